"""Lay the package out as Hugging Face's kernel hub takes it: ``python kernels/hub.py OUT``.

OUT becomes a kernel repository: ``build.toml`` and ``torch-ext/`` are its source, as kernel-builder
reads it; ``build/torch-<backend>/`` is what the library ``kernels`` loads. Nothing is compiled
before it meets the user's GPU, so both hold the same files: the package without ``aot/``, whose
command cannot be called there.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PACKAGE = HERE / "clipdiff_kernels"


def write(out: Path) -> list[Path]:
    """Write the repository to a folder that is empty or not there yet; return its variants.

    Raises:
        FileExistsError: something lies in ``out``; old files would be published with the new ones.
    """
    if out.exists() and any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty; name a new folder, or empty it")
    general = tomllib.loads((HERE / "build.toml").read_text(encoding="utf-8"))["general"]
    _copy(out / "torch-ext" / PACKAGE.name)
    shutil.copy(HERE / "build.toml", out)
    variants = [out / "build" / f"torch-{backend}" for backend in general["backends"]]
    for backend, variant in zip(general["backends"], variants, strict=True):
        _copy(variant)
        text = json.dumps(metadata(variant, general, backend), indent=2)
        (variant / "metadata.json").write_text(text + "\n", encoding="utf-8")
    return variants


def _copy(target: Path) -> None:
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__", "aot"))


def metadata(variant: Path, general: dict[str, Any], backend: str) -> dict[str, Any]:
    """What ``metadata.json`` says of a variant, a folder that does not hold one yet.

    The id is the module's name once it is loaded, and so the namespace of its operators: made of
    the files' contents, two copies in one process differ in it unless they are the same. Triton is
    no dependency: the hub lists those beside torch, and Triton comes with torch.
    """
    files = sorted(path for path in variant.rglob("*") if path.is_file())
    hashes = {
        path.relative_to(variant).as_posix(): hashlib.sha256(path.read_bytes()).digest()
        for path in files
    }
    unique = hashlib.sha256(b"".join(name.encode() + each for name, each in hashes.items()))
    digests = {name: base64.b64encode(each).decode() for name, each in hashes.items()}
    return {
        "name": general["name"],
        "id": f"_{PACKAGE.name}_{backend}_{unique.hexdigest()[:12]}",
        "version": general["version"],
        "license": general["license"],
        "python-depends": [],
        "backend": {"type": backend},
        "digest": {"algorithm": "sha256", "files": digests},
    }


def main(arguments: Sequence[str]) -> int:
    """0, or 2 where the folder is not empty."""
    parser = argparse.ArgumentParser(prog="python kernels/hub.py", description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder")
    try:
        for variant in write(parser.parse_args(arguments).out):
            print(variant)
    except FileExistsError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
