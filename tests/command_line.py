"""Run `gpuclust` within the test process, with the arguments, output and exit code of the command.

A new process spends 0.5 s to 5 s on imports. Tests of the process itself (tracebacks, signals, the
installed script) start one instead.
"""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from gpuclust_cli import main


class Finished(NamedTuple):
    """Exit code and output of a command, named as in `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


def gpuclust(*args: object, cwd: Path | None = None) -> Finished:
    """Run the command with `args`, each converted to a string, in the folder `cwd`."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        _logger_restored(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["gpuclust", *map(str, args)])
        if cwd is not None:
            patch.chdir(cwd)
        return Finished(_exit_code(), out.getvalue(), err.getvalue())


def _exit_code() -> int:
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return os.EX_OK


@contextlib.contextmanager
def _logger_restored() -> Iterator[None]:
    """Restore the handlers and level of the library's logger."""
    logger = logging.getLogger("gpuclust")
    handlers, level = list(logger.handlers), logger.level
    try:
        yield
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)
