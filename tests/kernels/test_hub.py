"""The kernel hub's layout: a copy with a name of its own, which works alone and beside others."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

KERNELS = Path(__file__).parents[2] / "kernels"
PACKAGE = KERNELS / "clipdiff_kernels"
BATCH = """
import torch
generator = torch.Generator().manual_seed(0)
images, texts = (
    torch.nn.functional.normalize(torch.randn(n, 8, generator=generator, dtype=torch.float64))
    for n in (6, 5)
)
pairs = torch.tensor([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]])

def check(module):
    '''The loss of its chunks and its gradient, beside the formula with whole matrices.'''
    results = []
    for backend in ("chunked", "gather", "reference"):
        leaf = texts.clone().requires_grad_()
        loss = module.contrastive_loss(images, pairs, leaf, 10.0, backend=backend)
        results.append((loss.detach(), *torch.autograd.grad(loss, leaf)))
    assert results[0][1].norm() > 0
    torch.testing.assert_close(results[0], results[2])
    torch.testing.assert_close(results[1], results[2])
"""
# What the library does once it has chosen a variant.
LOAD = """
import importlib.util, json, sys
from pathlib import Path

def load(variant):
    name = json.loads((Path(variant) / "metadata.json").read_text())["id"]
    spec = importlib.util.spec_from_file_location(name, Path(variant) / "__init__.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
"""
ALONE = """
check(module)
layer = module.ContrastiveDifferenceLoss(10.0)
assert layer(images, pairs, texts).isfinite()
name = module.__name__
assert name == sys.argv[2]
exported = [getattr(module, each) for each in module.__all__ if each != "AllReduce"]
assert len(exported) > 8
assert all(each.__module__.startswith(name + ".") for each in exported)
assert [each for each in sys.modules if each.startswith("clipdiff")] == []
assert hasattr(getattr(torch.ops, name), "contrastive")
assert not hasattr(torch.ops.clipdiff_kernels, "contrastive")
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kernel repository, written once."""
    out = tmp_path_factory.mktemp("hub") / "out"
    done = _write(out)
    assert done.returncode == 0, done.stderr
    return out


def _write(out: Path, script: Path = KERNELS / "hub.py") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, script, out], capture_output=True, text=True)


def _metadata(variant: Path) -> dict:
    return json.loads((variant / "metadata.json").read_text())


def _run(
    code: str, *arguments: object, path: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in a process that finds the package, and the root, only where ``path`` says."""
    return subprocess.run(
        [sys.executable, "-P", "-c", BATCH + LOAD + code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", **environment},
        capture_output=True, text=True,
    )  # fmt: skip


def _names(folder: Path) -> set[str]:
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in files if "__pycache__" not in path.parts}


def test_every_variant_holds_the_package(repository):
    backends = tomllib.loads((repository / "build.toml").read_text())["general"]["backends"]
    assert {path.name for path in (repository / "build").iterdir()} == {
        f"torch-{backend}" for backend in backends
    }
    expected = {name for name in _names(PACKAGE) if not name.startswith("aot/")}
    assert {"__init__.py", "layers.py", "fused/product.py"} < expected
    assert _names(repository / "torch-ext/clipdiff_kernels") == expected
    for backend in backends:
        variant = repository / f"build/torch-{backend}"
        assert _names(variant) == expected | {"metadata.json"}
        facts = _metadata(variant)
        assert facts["id"].startswith(f"_clipdiff_kernels_{backend}_")
        assert facts["id"].isidentifier()
        assert facts["backend"] == {"type": backend}
        assert facts["python-depends"] == []
        digest = hashlib.sha256((variant / "layers.py").read_bytes()).digest()
        assert facts["digest"]["files"]["layers.py"] == base64.b64encode(digest).decode()
        assert set(facts["digest"]["files"]) == expected


def test_build_toml_is_the_package_s(repository):
    written = tomllib.loads((repository / "build.toml").read_text())
    project = tomllib.loads((KERNELS / "pyproject.toml").read_text())["project"]
    assert "torch-noarch" in written
    for key in ("name", "license"):
        assert written["general"][key] == project[key]
        assert _metadata(repository / "build/torch-cuda")[key] == project[key]
    suffixes = {path.suffix for path in PACKAGE.rglob("*") if path.suffix in (".py", ".json")}
    assert {suffix[1:] for suffix in suffixes} <= set(written["torch-noarch"]["pyext"])


def test_the_id_follows_the_content(repository, tmp_path):
    changed = tmp_path / "kernels"
    changed.mkdir()
    (changed / "clipdiff_kernels").symlink_to(PACKAGE)
    for name in ("hub.py", "build.toml"):
        (changed / name).write_bytes((KERNELS / name).read_bytes())
    for out, same in (("again", True), ("other", False)):
        if not same:
            (changed / "clipdiff_kernels").unlink()
            (changed / "clipdiff_kernels").mkdir()
            (changed / "clipdiff_kernels/__init__.py").write_text("VALUE = 1\n")
        done = _write(tmp_path / out, changed / "hub.py")
        assert done.returncode == 0, done.stderr
        ids = [_metadata(at / "build/torch-cuda")["id"] for at in (tmp_path / out, repository)]
        assert (ids[0] == ids[1]) == same


def test_old_files_are_not_published(repository):
    done = _write(repository)
    assert done.returncode == 2
    assert "is not empty; name a new folder" in done.stderr


@pytest.mark.parametrize("backend", ["cuda", "rocm"])
def test_a_copy_works_alone(repository, backend):
    variant = repository / f"build/torch-{backend}"
    code = "module = load(sys.argv[1])" + ALONE
    done = _run(code, variant, _metadata(variant)["id"])
    assert done.returncode == 0, done.stderr


def test_the_triton_kernels_of_a_copy_run(repository):
    code = """
module = load(sys.argv[1])
narrow = images.float(), pairs, texts.float()
want = module.hinge_loss(images, pairs, texts, backend="reference")
for backend in ("triton", "triton-gather"):
    got = module.hinge_loss(*narrow, backend=backend)
    torch.testing.assert_close(got, want.float(), rtol=1e-4, atol=1e-5)
"""
    done = _run(code, repository / "build/torch-cuda", TRITON_INTERPRET="1")
    assert done.returncode == 0, done.stderr


def test_a_copy_works_beside_the_package(repository):
    """Whichever comes first, each calls its own operators."""
    code = """
import clipdiff_kernels
copy = load(sys.argv[1])
assert copy.contrastive_loss is not clipdiff_kernels.contrastive_loss
for module in (copy, clipdiff_kernels, copy):
    check(module)
from torch.utils._python_dispatch import TorchDispatchMode

class Called(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.namespace)
        return function(*args, **(kwargs or {}))

for module in (copy, clipdiff_kernels):
    with Called() as called:
        called.names = set()
        module.squared_loss(images, pairs, texts)
    assert called.names - {"aten", "prim", "prims"} == {module.__name__}, called.names
"""
    done = _run(code, repository / "build/torch-cuda", path=str(KERNELS))
    assert done.returncode == 0, done.stderr


def test_the_hubs_own_library_loads_it(repository):
    """From the repository, its builds, and a variant; and it finds the files as they were."""
    library = os.environ.get("PYTHONPATH", "")
    needed = "from kernels import get_local_kernel; assert torch.version.cuda"
    if _run(needed, path=library).returncode:
        pytest.skip("the library `kernels` or a torch for CUDA is not installed")
    code = """
from kernels import get_local_kernel
from kernels._rust import Build, Digest, DigestAlgorithm, Metadata
out = Path(sys.argv[1])
variant = out / "build/torch-cuda"
assert Build.open(out).general.backends
facts = Metadata.read_from_file(variant / "metadata.json")
facts.digest.validate(Digest.hash_variant(DigestAlgorithm.SHA256, variant))
for path in (out, out / "build", variant):
    module = get_local_kernel(path, backend="cuda")
    assert Path(module.__file__).parent == variant
"""
    variant = repository / "build/torch-cuda"
    done = _run(code + ALONE, repository, _metadata(variant)["id"], path=library)
    assert done.returncode == 0, done.stderr
