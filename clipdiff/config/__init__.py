"""The whole configuration: its check, what stands behind its names, and each stage's slice."""

from clipdiff.config.load import check_config, load_config
from clipdiff.config.model import Config

__all__ = ["Config", "check_config", "load_config"]
