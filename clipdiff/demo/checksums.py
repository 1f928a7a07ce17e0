"""``assets/SHA256SUMS``, one line a shipped file: ``python -m clipdiff.demo.checksums``."""

import hashlib

from clipdiff.demo.scenes import ASSETS

SUMS = ASSETS / "SHA256SUMS"


def write_checksums() -> None:
    """Write the checksum of every shipped file but the notice and this list itself."""
    files = sorted(p for p in ASSETS.rglob("*") if p.is_file() and p.suffix not in {"", ".md"})
    lines = [
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(ASSETS)}" for p in files
    ]
    SUMS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write_checksums()
