"""``python -m clipdiff.cli``: the same as ``clipdiff``."""

from clipdiff.cli import main

main()
