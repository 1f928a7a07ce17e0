"""A study: a folder of its own, outside any checkout, that the installed workflow runs in.

``clipdiff init`` writes it: a configuration made from a preset of :mod:`clipdiff.workflow`, its
schema for editors, the profiles, and a Snakefile that includes the packaged one.
"""

from clipdiff.study.presets import PRESETS, Preset
from clipdiff.study.write import study_files, write_study

__all__ = ["PRESETS", "Preset", "study_files", "write_study"]
