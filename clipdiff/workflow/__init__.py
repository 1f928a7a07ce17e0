"""The Snakemake workflow as the package carries it: rules, profiles, environments, presets.

In a checkout the files beside this one are links to the repository's top level; a wheel holds the
files themselves. Either way ``include: SNAKEFILE`` runs the workflow in whatever folder it is
included from.
"""

from pathlib import Path

from clipdiff import __version__

FOLDER = Path(__file__).parent
SNAKEFILE = str(FOLDER / "Snakefile")

_own = (FOLDER / "Snakefile").resolve()
_is_checkout = _own.parent != FOLDER.resolve()
PIP_VARIABLES = {
    "CLIPDIFF_REQUIREMENTS": str((FOLDER / "requirements.txt").resolve()),
    "CLIPDIFF_PACKAGE": (f"-e {_own.parent}" if _is_checkout else f"clipdiff=={__version__}"),
}
"""What ``envs/clipdiff.yaml`` installs: the pins, and this package."""
