"""The kernels as a package of their own: its wheel, and that clipdiff's says the same of it."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import clipdiff_kernels
import pytest

ROOT = Path(__file__).parents[2]
KERNELS = ROOT / "kernels"
OWN = tomllib.loads((KERNELS / "pyproject.toml").read_text())
LEFT_OUT = ("__pycache__", "build", "*.egg-info", "benchmarks")
USE = """
import sys
from pathlib import Path
import clipdiff_kernels, torch
assert Path(clipdiff_kernels.__file__).parent == Path(sys.argv[1], "clipdiff_kernels")
images, texts = torch.eye(4), torch.eye(3, 4, requires_grad=True)
pairs = torch.tensor([[0, 1], [1, 2], [2, 3]])
loss = clipdiff_kernels.ContrastiveDifferenceLoss(10.0)(images, pairs, texts)
loss.backward()
want = clipdiff_kernels.contrastive_loss(images, pairs, texts, 10.0, backend="reference")
torch.testing.assert_close(loss, want)
assert texts.grad.norm() > 0
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def _pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", *map(str, arguments), "--quiet", "--no-index"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of a copy of the folder, built once, with the setuptools that is here."""
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("package")
    source = folder / "kernels"
    shutil.copytree(KERNELS, source, ignore=shutil.ignore_patterns(*LEFT_OUT))
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "wheels", source)
    (built,) = (folder / "wheels").iterdir()
    return built


def _read(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def test_a_wheel_holds_the_package_and_nothing_else(wheel):
    files = {name for name in _read(wheel) if ".dist-info/" not in name}
    there = (path for path in (KERNELS / "clipdiff_kernels").rglob("*") if path.is_file())
    expected = {path.relative_to(KERNELS).as_posix() for path in there if path.suffix != ".pyc"}
    assert files == expected
    assert {"clipdiff_kernels/py.typed", "clipdiff_kernels/fused/product.py"} < files


def test_it_requires_torch_only(wheel):
    files = _read(wheel)
    (name,) = (each for each in files if each.endswith(".dist-info/METADATA"))
    facts = Parser().parsestr(files[name].decode())
    (needed,) = facts.get_all("Requires-Dist")
    assert needed.startswith("torch>=")
    assert facts["Name"] == "clipdiff-kernels"
    assert facts["Version"] == clipdiff_kernels.__version__
    assert facts["License-Expression"] == "Apache-2.0"
    assert "Adding an op" in facts.get_payload()
    license_file = name.replace("METADATA", "licenses/LICENSE")
    assert files[license_file] == (ROOT / "LICENSE").read_bytes()


def test_it_works_where_it_is_installed(wheel, tmp_path):
    _pip("install", "--no-deps", "--target", tmp_path, wheel)
    done = subprocess.run(
        [sys.executable, "-P", "-c", USE, tmp_path],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, cwd=tmp_path,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "clipdiff_kernels" in done.stdout.split()
    assert "clipdiff" not in done.stdout.split()


def test_clipdiffs_own_wheel_packs_the_same():
    """One folder, two ways to install it; what they say of it must not drift apart."""
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for key in ("license", "requires-python"):
        assert OWN["project"][key] == whole["project"][key]
    assert OWN["build-system"] == whole["build-system"]
    ours, theirs = (each["tool"]["setuptools"] for each in (OWN, whole))
    assert ours["package-data"].items() <= theirs["package-data"].items()
    assert set(ours["packages"]["find"]["include"]) <= set(theirs["packages"]["find"]["include"])
    assert KERNELS.name in theirs["packages"]["find"]["where"]
    assert _dependencies(OWN) < _dependencies(whole)


def _dependencies(project: dict) -> set[str]:
    return {each.partition(">")[0] for each in project["project"]["dependencies"]}
