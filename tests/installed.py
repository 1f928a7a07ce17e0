"""The package as its users have it: a wheel in an environment of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SNAKEMAKE = "from snakemake.cli import main; main()"


class Installed:
    """A wheel of this checkout in a virtual environment, beside the libraries that are here.

    Args:
        folder: of the environment, and of whatever is built; outside the checkout.
    """

    def __init__(self, folder: Path):
        self.folder, self.wheels = folder, folder / "wheels"
        self.bin = folder / "venv/bin"

    def build(self) -> None:
        """Make an sdist of a copy of the checkout, a wheel of each, and install the sdist's."""
        copied = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
        source = self.folder / "source"
        for name in copied:
            if (ROOT / name).is_symlink() or (ROOT / name).exists():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, source / name, follow_symlinks=False)
        self._built("wheel", source, self.folder / "direct")
        packed = self._built("sdist", source, self.folder / "sdists")
        shutil.unpack_archive(packed, self.folder / "unpacked", filter="data")
        (unpacked,) = (self.folder / "unpacked").iterdir()
        self._install(self._built("wheel", unpacked, self.wheels))

    def _built(self, kind: str, source: Path, target: Path) -> Path:
        code = f"from setuptools.build_meta import build_{kind} as b; b({str(target)!r})"
        target.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=source, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (built,) = target.iterdir()
        return built

    def _install(self, wheel: Path) -> None:
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", self.folder / "venv"], check=True
        )
        python = self.bin / "python"
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
        subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True)
        # A line of a .pth is a path whose own .pth files are not read: no editable clipdiff.
        site = next((self.folder / "venv").glob("lib/python*/site-packages"))
        libraries = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        (site / "libraries.pth").write_text("\n".join(libraries) + "\n")
        (self.bin / "snakemake").write_text(f"#!{python}\n{SNAKEMAKE}\n")
        (self.bin / "snakemake").chmod(0o755)

    def run(self, command: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a line of bash as a user with that environment would, in a folder."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment["PATH"] = f"{self.bin}{os.pathsep}{environment['PATH']}"
        return subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True
        )
