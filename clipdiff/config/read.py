"""Reading and checking a configuration: every fault at once, each with its dotted key."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from clipdiff.config.checks import axis_faults, consistency_faults
from clipdiff.config.faults import fault_text
from clipdiff.config.model import Config
from clipdiff.errors import ConfigError
from clipdiff.settings.base import merge


def load_config(*paths: Path | str) -> Config:
    """Read YAML files, later ones merged over earlier ones as Snakemake's --configfile does.

    Raises:
        ConfigError: a file is missing or not a YAML mapping, or any value is wrong.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            loaded = yaml.safe_load(Path(path).read_text())
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: can't be read as YAML: {error}") from error
        if not isinstance(loaded, dict):
            raise ConfigError(
                f"{path}: expected a mapping of sections, got {type(loaded).__name__}"
            )
        merged = merge(merged, loaded)
    return check_config(merged)


def check_config(values: dict[str, Any]) -> Config:
    """Validate merged configuration values.

    Raises:
        ConfigError: lists every fault with its dotted key, what was got and what is allowed.
    """
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        faults = [fault_text(item, values) for item in error.errors()]
        raise ConfigError(_listed(faults + axis_faults(values))) from error
    faults = axis_faults(values) + consistency_faults(config)
    if faults:
        raise ConfigError(_listed(faults))
    return config


def _listed(faults: list[str]) -> str:
    return "\n".join(
        [f"the configuration has {len(faults)} fault(s):", *(f"  {f}" for f in faults)]
    )
