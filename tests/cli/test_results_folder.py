"""Where a verb that is called by hand looks for results."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from clipdiff.cli import app
from clipdiff.cli.options import layout


def test_the_option_wins_over_the_configuration(tmp_path: Path) -> None:
    preset = tmp_path / "other.yaml"
    preset.write_text("results: elsewhere\n")
    files = [Path("config.yaml"), preset]
    assert layout(None, files).root == Path("elsewhere")
    assert layout(tmp_path, files).root == tmp_path
    assert layout(None).root == Path("results")


def test_without_a_configuration_it_is_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert layout(None).root == Path("results")


def test_a_stage_writes_where_the_configuration_says(tmp_path: Path) -> None:
    small = {"train_images": 3, "validation_images": 1, "test_images": 1, "pairs": 2}
    preset = tmp_path / "small.yaml"
    preset.write_text(yaml.safe_dump({"data": small, "results": str(tmp_path / "there")}))
    done = CliRunner().invoke(app, ["prepare", "--config", "config.yaml", "--config", str(preset)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "there/data/pairs.parquet").is_file()


def test_the_version_is_told() -> None:
    from clipdiff import __version__

    assert CliRunner().invoke(app, ["--version"]).output == f"clipdiff {__version__}\n"
