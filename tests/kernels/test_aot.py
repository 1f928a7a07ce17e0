"""Every Triton kernel compiles for every architecture, without a GPU, and fits: no spills."""

import pytest
from clipdiff_kernels import launch

if launch.interpreting():
    pytest.skip("the interpreter compiles nothing", allow_module_level=True)

from clipdiff_kernels import compile as aot


def test_contrastive_forward_uses_hopper_products() -> None:
    """Gathered tiles still reach the tensor cores, and images arrive by asynchronous copies."""
    first = next(aot.configurations("sm_90"))
    used, assembly = aot.compile_for(first, "sm_90")
    assert used.name == "contrastive_fwd_kernel bf16 gather=0"
    assert used.fits, used
    assert "wgmma.mma_async" in assembly["ptx"]
    assert "cp.async" in assembly["ptx"]


def test_another_batch_size_compiles_nothing() -> None:
    """Sizes are run-time arguments, and those of a batch are not looked at for 1 or 16 either."""
    rows = {"num_rows", "start_row", "stop_row"}
    for configuration in aot.configurations("sm_90"):
        sizes = [each for each in configuration.kernel.params if each.name in launch.SIZES]
        assert sizes
        assert all(each.do_not_specialize for each in sizes)
        assert not {*launch.SIZES, *rows} & set(configuration.constexprs)


def test_gate_sees_spills_and_shared_memory() -> None:
    fitting = aot.Resources("kernel", "sm_80", 255, 0, 100_000)
    assert fitting.fits
    assert not aot.Resources("kernel", "sm_80", 255, 8, 100_000).fits
    assert not aot.Resources("kernel", "sm_80", 255, 0, 200_000).fits
    assert "255 / 0 / 97.7 |" in aot.table([fitting])


@pytest.mark.slow
def test_every_configuration_fits_every_architecture(capsys: pytest.CaptureFixture) -> None:
    results = aot.compile_all(list(aot.TARGETS))
    with capsys.disabled():
        print("\nregisters / spilled bytes / KiB of shared memory\n" + aot.table(results))
    assert all(used.fits for used in results)
