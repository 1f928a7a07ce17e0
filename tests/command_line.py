"""The command line in this process, which saves its imports."""

import contextlib
import io
import sys
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

from clipdiff.cli import main


def clipdiff(*arguments: str | Path, folder: Path | str = ".") -> CompletedProcess[str]:
    """Run ``clipdiff ARGUMENTS`` in a folder; return its status and what it printed."""
    words = [str(each) for each in arguments]
    out, err = io.StringIO(), io.StringIO()
    status: int | str | None = 0
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch.object(sys, "argv", ["clipdiff", *words]),
    ):
        try:
            main()
        except SystemExit as end:
            status = end.code
    if isinstance(status, str):  # as the interpreter does with a message
        err.write(f"{status}\n")
        status = 1
    return CompletedProcess(words, status or 0, out.getvalue(), err.getvalue())
