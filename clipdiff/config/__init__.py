"""The whole configuration: its check, what stands behind its names, and each stage's slice."""

from clipdiff.config.model import Config
from clipdiff.config.read import check_config, load_config

__all__ = ["Config", "check_config", "load_config"]
