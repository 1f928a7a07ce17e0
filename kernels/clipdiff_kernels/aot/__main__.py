"""``python -m clipdiff_kernels.aot [ARCH ...]``: compile all kernels, print tables, keep bounds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..fused.launch import interpreting
from .bounds import broken
from .compiled import TARGETS, compile_all
from .configurations import configurations
from .report import markdown, read_json, report, write_json


def main(arguments: Sequence[str]) -> int:
    """0 where every bound holds, 1 where one is broken."""
    parser = argparse.ArgumentParser(prog="python -m clipdiff_kernels.aot", description=__doc__)
    all_of_them = ", ".join(TARGETS)
    parser.add_argument("archs", nargs="*", metavar="ARCH", help=f"of {all_of_them} (default: all)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables as a page")
    command = "python -m clipdiff_kernels.aot"
    parser.add_argument("--command", default=command, help="what the page says that makes it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    parser.add_argument(
        "--also", type=Path, action="append", default=[], metavar="FILE",
        help="add results that another run, by another Triton, wrote with --json",
    )  # fmt: skip
    asked = parser.parse_args(arguments)
    if unknown := set(asked.archs) - set(TARGETS):
        parser.error(f"unknown architecture {', '.join(sorted(unknown))}; allowed: {all_of_them}")
    if interpreting():
        parser.error("TRITON_INTERPRET=1 is set: the interpreter compiles nothing; unset it")
    try:
        others = [each for path in asked.also for each in read_json(path)]
    except (OSError, ValueError) as error:
        parser.error(str(error))
    results = compile_all(configurations, asked.archs or list(TARGETS))
    if asked.json:
        write_json(results, asked.json)
    results += others
    sys.stdout.write(report(results) + "\n")
    if asked.markdown:
        asked.markdown.write_text(markdown(results, asked.command))
    return 1 if any(broken(each) for each in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
