"""Configuration: sections, their check, and the slice that each stage gets."""

from clipdiff.config.load import check_config, load_config
from clipdiff.config.sections import Config

__all__ = ["Config", "check_config", "load_config"]
