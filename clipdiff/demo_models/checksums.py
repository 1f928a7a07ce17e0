"""``SHA256SUMS`` of the shipped files, one a line: ``python -m clipdiff.demo_models.checksums``."""

from clipdiff.shipped import ASSETS, SUMS, checksum


def write_checksums() -> None:
    """Write the checksum of every shipped file but the notice and this list itself."""
    files = sorted(p for p in ASSETS.rglob("*") if p.is_file() and p.suffix not in {"", ".md"})
    lines = [f"{checksum(path)}  {path.relative_to(ASSETS)}" for path in files]
    SUMS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write_checksums()
