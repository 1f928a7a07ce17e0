"""The gate: kernels compile for every architecture without a GPU, and hold their bounds."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from clipdiff_kernels.fused import launch

if launch.interpreting():
    pytest.skip("the interpreter compiles nothing", allow_module_level=True)

import clipdiff_kernels
from clipdiff_kernels.aot import report, roofline
from clipdiff_kernels.aot.bounds import broken
from clipdiff_kernels.aot.compiled import TARGETS, Compiled, Resources, compile_all, compile_for
from clipdiff_kernels.aot.configurations import configurations
from clipdiff_kernels.aot.sass import Step, analyse
from clipdiff_kernels.aot.spec import Configuration, Loss, Phase, Problem, Workload

OTHER_TRITON = "3.6.0"
# Short listings as nvdisasm and Triton write them.
LISTINGS = Path(__file__).with_name("compiled")


def read(name: str, **settings: float) -> Step:
    """The step that is found in two listings, with ``settings`` of its configuration."""
    sass, ptx = ((LISTINGS / f"{name}.{kind}").read_text() for kind in ("sass", "ptx"))
    return analyse(sass, ptx, Configuration("kernel", None, {}, {}, 8, 3, **settings))


@pytest.fixture
def dense() -> Compiled:
    """A kernel that holds every bound of a dense one: 128 x 256 x 64 in three stages."""
    step = Step(
        instructions=88,
        products=4,
        shape="m64n256k16",
        flop=2.0 * 128 * 256 * 64,
        copied_bytes=(128 + 256) * 64 * 2,
        loaded_bytes=0,
        stages=2,
        waits_for=1,
        exps=0,
        loads={},
        logits=0,
        threads=256,
        rest_instructions=1500,
        rest_exps=128,
    )
    return Compiled("fwd", "dense", "3.8.0", Resources("sm_90", 166, 0, 147_480, 256), step)


def test_the_product_kernel_on_hopper() -> None:
    """It keeps the tensor cores busy from bulk copies, and nothing spills."""
    first = next(configurations("sm_90"))
    compiled, assembly = compile_for(first, "sm_90")
    assert compiled.name == "product log_sums bf16"
    assert not broken(compiled)
    assert compiled.use == "dense"
    assert compiled.step.shape == "m64n128k16"
    assert compiled.step.products == 8
    assert compiled.step.flop == first.flop == 2 * 256 * 128 * 64
    assert compiled.step.stages == 2
    assert "UTMALDG" in assembly["sass"]


def test_another_batch_size_compiles_nothing() -> None:
    """Sizes are run-time arguments, and those of a batch are not looked at for 1 or 16 either."""
    for configuration in configurations("sm_90"):
        sizes = [each for each in configuration.kernel.params if each.name in launch.SIZES]
        assert sizes
        assert all(each.do_not_specialize for each in sizes)
        assert not set(launch.SIZES) & set(configuration.constexprs)


def test_a_loop_of_products_is_read() -> None:
    """The wait that goes round and the skipped epilogue inside are not counted."""
    step = read("product", flop=2.0 * 128 * 256 * 32)
    assert (step.instructions, step.products, step.shape) == (8, 2, "m64n256k16")
    assert step.per_four_products == 16
    assert step.flop == 2 * 128 * 256 * 32
    assert step.copied_bytes == (128 + 256) * 32 * 2
    assert step.flop_a_byte == pytest.approx(128 * 256 / (128 + 256))
    assert (step.stages, step.waits_for, step.threads) == (2, 1, 256)
    assert (step.rest_instructions, step.rest_exps) == (8, 2)


def test_unrolled_products_count_as_two_steps() -> None:
    step = read("product", flop=2.0 * 128 * 256 * 16)
    assert (step.instructions, step.products, step.flop_a_byte) == (
        4,
        1,
        pytest.approx(85.33, 0.01),
    )


def test_a_loop_of_gathers_is_read() -> None:
    """Two steps a turn in SASS, one in PTX: numbers are of one step."""
    step = read("gather", logits=128, exps=1)
    assert (step.instructions, step.products, step.exps) == (3.5, 0, 1)
    assert step.per_logit == 3.5
    assert step.loads == {"128": 0.5, "128 async": 0.5, "32": 0.5}
    assert step.loaded_bytes == 128 * 16
    assert step.copied_bytes == 128 * (16 + 4)
    assert step.stages == 2
    assert step.rest_instructions == 2  # and the last turn leaves before the branch back


def test_blocks_of_a_multiprocessor() -> None:
    """By registers, by shared memory (1 KiB beside the block's own), by tensor memory, on AMD."""
    assert Resources("sm_90", 166, 0, 147_480, 256).blocks == 1
    assert Resources("sm_90", 128, 0, 40_000, 256).blocks == 2
    assert Resources("sm_90", 32, 0, 0, 128).blocks == 16
    assert Resources("sm_90", 32, 0, 115_712, 128).blocks == 2
    assert Resources("sm_90", 32, 0, 115_713, 128).blocks == 1
    assert Resources("sm_100", 64, 0, 1024, 128, tensor_columns=256).blocks == 2
    assert Resources("gfx942", 128, 0, 8192, 256).blocks == 4
    assert Resources("sm_90", 255, 0, 1024, 512).blocks == 0


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"copied_bytes": 2.0 * (128 + 256) * 64 * 2}, "42.7 FLOP for a byte asked of L2"),
        ({"shape": "m64n64k16"}, "products of m64n64k16; m64n128k16 or m64n256k16"),
        ({"instructions": 121}, "121 SASS instructions for 4 tensor-core instructions"),
        ({"copied_bytes": 0.0}, "0.0 FLOP for a byte asked of L2"),
        ({"stages": 1}, "copies of 1 steps in flight"),
        ({"products": 0}, "no loop holds tensor-core products"),
    ],
)
def test_gate_sees_a_poor_loop(dense: Compiled, step: dict[str, object], words: str) -> None:
    assert broken(dense) == []
    (said,) = broken(replace(dense, step=replace(dense.step, **step)))
    assert said.startswith("fwd on sm_90 (Triton 3.8.0): ")
    assert words in said
    assert broken(replace(dense, use="other", step=replace(dense.step, **step))) == []


@pytest.mark.parametrize(
    ("used", "words"),
    [
        (Resources("sm_80", 255, 8, 100_000, 256), "spills 8 bytes"),
        (Resources("sm_80", 255, 0, 200_000, 256), "takes 200000 bytes of shared memory"),
        (Resources("gfx942", 255, 0, 65_537, 256), "takes 65537 bytes of shared memory"),
        (Resources("sm_80", 255, 0, 1000, 512), "does not fit a multiprocessor"),
    ],
)
def test_gate_sees_spills_and_shared_memory(used: Resources, words: str) -> None:
    (said,) = broken(Compiled("kernel", "other", "3.8.0", used, None))
    assert words in said
    table = report.resources_table([Compiled("kernel", "other", "3.8.0", used, None)])
    assert "**over**" in table


def test_times_follow_the_busiest_unit(dense: Compiled) -> None:
    """L2 sets the pace of 85 FLOP a byte at 6.5 TB/s; what nothing hides is added."""
    machine, tiles = roofline.H200, 132 * 100
    work = Workload(programs=tiles, steps=12, memory_bytes=0)
    loop = dense.step.copied_bytes * 12 * tiles / machine.l2
    rest = 1500 * 8 * 100 / (4 * machine.clock) + 100 * roofline.FILL
    alone = roofline.kernel_time(dense, work)
    assert alone.seconds == pytest.approx(loop + rest)
    assert alone.bound_by == "l2"
    shared = replace(dense, resources=replace(dense.resources, registers=96, shared_bytes=98_304))
    assert roofline.kernel_time(shared, work).seconds == pytest.approx(loop)
    stored = replace(work, memory_bytes=machine.memory)
    assert roofline.kernel_time(shared, stored) == roofline.Time(1.0, "memory")


def test_uneven_and_short_launches(dense: Compiled) -> None:
    """133 programs take as long as 264; nothing ends before the next launch can start."""
    times = [roofline.kernel_time(dense, Workload(n, 1e4, 0)).seconds for n in (133, 264)]
    assert times[0] == pytest.approx(times[1])
    short = replace(dense, step=replace(dense.step, rest_instructions=0, rest_exps=0))
    many = roofline.kernel_time(short, Workload(programs=5, steps=1, memory_bytes=0, launches=5))
    assert many == roofline.Time(5 * roofline.H200.launch, "launch")
    loss = Loss("loss", lambda batch: [Phase("fwd"), Phase(library_flop=790e12 * batch.pairs)])
    times = {"fwd": roofline.Time(0.5, "l2")}
    assert roofline.loss_time(loss, Problem(2, 768, 10), times) == pytest.approx(2.5)


def test_results_of_another_run(dense: Compiled, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    amd = Compiled("fwd", "dense", "3.8.0", Resources("gfx942", 88, 0, 8192, 256), None)
    report.write_json([dense, amd], path)
    assert report.read_json(path) == [dense, amd]
    older = replace(dense, triton="3.6.0")
    page = report.markdown([dense, amd, older], "python -m clipdiff_kernels.aot --also a.json")
    assert "Generated by `python -m clipdiff_kernels.aot --also a.json`" in page
    assert "by Triton 3.8.0 and 3.6.0." in page
    assert "| fwd | sm_90 | 3.6.0 | m64n256k16 | 85.3 | 88 | 2 | 1 |" in page
    assert "| fwd | 3.8.0 | 166 / 0 / 144.0 / 1 | 88 / 0 / 8.0 / 5 |" in page
    path.write_text(json.dumps([{"name": "fwd"}]))
    with pytest.raises(ValueError, match=r"results.json holds no results .* write it anew"):
        report.read_json(path)


def test_signature_names_every_argument() -> None:
    first = next(configurations("sm_90"))
    short = replace(first, signature={k: v for k, v in first.signature.items() if k != "texts"})
    with pytest.raises(ValueError, match=r"differ in texts; name every argument once"):
        short.source()


@pytest.fixture(scope="module")
def results() -> list[Compiled]:
    """Every configuration on every architecture, by this Triton."""
    return compile_all(configurations, TARGETS)


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> list[Compiled]:
    """By what a machine with an older torch brings: installed beside, imported by a subprocess."""
    beside = [other_triton(), str(Path(clipdiff_kernels.__file__).parents[1])]
    beside += filter(None, [os.environ.get("PYTHONPATH")])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(beside)}
    written = tmp_path_factory.mktemp("aot") / "results.json"
    command = [sys.executable, "-m", "clipdiff_kernels.aot", "--json", str(written)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert written.exists(), run.stderr
    return report.read_json(written)


@pytest.mark.slow
def test_every_configuration_holds_its_bounds(results: list[Compiled]) -> None:
    assert {each.arch for each in results} == set(TARGETS)
    assert [words for each in results for words in broken(each)] == []


@pytest.mark.slow
def test_bounds_hold_with_the_older_triton(older: list[Compiled]) -> None:
    assert {each.triton for each in older} == {OTHER_TRITON}
    assert [words for each in older for words in broken(each)] == []


@pytest.mark.slow
def test_the_page_is_of_these_kernels(results: list[Compiled], older: list[Compiled]) -> None:
    """Else: make kernels-compiled."""
    page = Path(__file__).parents[2] / "docs" / "kernels-compiled.md"
    assert page.read_text() == report.markdown([*results, *older], "make kernels-compiled")


def other_triton() -> str:
    """The folder with Triton 3.6 alone (190 MB), made once a machine."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "clipdiff" / f"triton-{OTHER_TRITON}"
    if not folder.exists():
        made = folder.with_name(f"{folder.name}-{os.getpid()}")
        wanted = ["--no-deps", "--target", str(made), f"triton=={OTHER_TRITON}"]
        install = [sys.executable, "-m", "pip", "install", "--quiet", *wanted]
        run = subprocess.run(install, capture_output=True, text=True, check=False)
        if run.returncode:
            pytest.skip(f"pip cannot install Triton {OTHER_TRITON} beside: {run.stderr[-300:]}")
        made.rename(folder)
    return str(folder)
