"""The Snakemake workflow as the package carries it: rules, profiles, environments, presets.

In a checkout the files beside this one are links to the repository's top level; a wheel holds the
files themselves. Either way ``include: SNAKEFILE`` runs the workflow in whatever folder it is
included from.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
SNAKEFILE = str(FOLDER / "Snakefile")
