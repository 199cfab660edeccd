"""Consoles and the Ctrl-C handler shared by all commands.

Results go to standard output, everything else to standard error.  All text passes `Screen`, which
shows control characters in names instead of sending them to the terminal.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import warnings
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from gpuclust.errors import StorageError
from gpuclust.files.output import is_stdout, naming, write
from gpuclust.files.visible import visible

from .options import (
    DEFAULT_ROOT,
    BatchSize,
    DataDir,
    Device,
    Loaders,
    Root,
    SkipBad,
    Threads,
    TraceTransfers,
)

__all__ = [
    "DEFAULT_ROOT",
    "BatchSize",
    "DataDir",
    "Device",
    "Interrupt",
    "Loaders",
    "Root",
    "SkipBad",
    "Threads",
    "TraceTransfers",
    "err",
    "note",
    "out",
    "put",
    "save",
    "show_log",
    "show_table",
    "show_transfers",
]


class Screen(Console):
    """Console for text with names of users in it: no markup, no control characters.

    A reader that is gone, as in ``gpuclust report | head -1``, ends the output and not the command.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """Print texts, one line each, and renderables of rich."""
        shown = [Text(visible(one, lines=True)) if isinstance(one, str) else one for one in objects]
        options.setdefault("soft_wrap", all(isinstance(one, str) for one in objects))
        try:
            super().print(*shown, **options)
        except OSError as error:
            discard(sys.stderr if self.stderr else sys.stdout)
            if not self.stderr:
                raise StorageError(f"cannot write to standard output: {error.strerror}.") from error

    def on_broken_pipe(self) -> None:
        """Drop this and all further output."""
        discard(sys.stderr if self.stderr else sys.stdout)


def discard(stream: TextIO | None) -> None:
    """Send all further output of a stream to nowhere, with the remains of its buffer."""
    with contextlib.suppress(OSError, AttributeError, ValueError):  # a stream in memory
        descriptor = stream.fileno()  # type: ignore[union-attr]
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


# No window limits the width of a file or a pipe: there, tables keep their columns whole.
out = Screen(width=None if sys.stdout is not None and sys.stdout.isatty() else 1_000_000)
err = Screen(stderr=True)


def note(text: str) -> None:
    """Print a message on standard error."""
    err.print(text)


def put(text: str) -> None:
    """Print data, such as JSON or CSV, on standard output: as it is, unless a terminal shows it.

    Raises
    ------
    StorageError
        When standard output cannot be written.
    """
    stream = sys.stdout
    try:
        stream.write(visible(text, lines=True) if stream.isatty() else text)
        stream.flush()
    except BrokenPipeError:
        discard(stream)
    except OSError as error:
        discard(stream)
        raise StorageError(f"cannot write to standard output: {error.strerror}.") from error


def save(option: str, path: Path, content: str) -> None:
    """Write the file of an option, and say so; ``-`` or another name of stdout is printed."""
    if is_stdout(path):
        put(content)
        return
    with naming(option):
        write(path, content)
    note(f"written: {path}")


def open_streams() -> None:
    """Make the standard streams usable: closed ones lead to nowhere, any character can be printed.

    A closed one would give its number to the next file that is opened, and prints would end there.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        note("standard output is closed, so nothing is printed there.")
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # a stream in memory
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a Python warning as one line; takes the place of `warnings.showwarning`."""
    del filename, lineno, file, line
    note(f"{category.__name__}: {message}")


@contextlib.contextmanager
def warnings_as_notes() -> Any:
    """Show Python warnings on the console while the block runs."""
    before = warnings.showwarning
    warnings.showwarning = show_warning
    try:
        yield
    finally:
        warnings.showwarning = before


class LogToConsole(logging.Handler):
    """Print the library's log messages, such as a halved batch size, on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        note(record.getMessage())


def show_log() -> None:
    """Print the library's log on standard error. Repeated calls change nothing."""
    logger = logging.getLogger("gpuclust")
    if not any(isinstance(handler, LogToConsole) for handler in logger.handlers):
        logger.addHandler(LogToConsole())
        logger.setLevel(logging.INFO)


class Interrupt:
    """Ctrl-C handler: the first one lets the running step end, the second stops at once.

    Use it as a context manager; call it to ask whether the run should stop.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __call__(self) -> bool:
        """Return True after the first Ctrl-C."""
        return self.asked

    def __enter__(self) -> Interrupt:
        self._before = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *exc: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        note("Stopping as soon as the running step ends; results are kept. Ctrl-C again: at once.")


def show_table(header: list[str], lines: list[list[str]]) -> None:
    """Print a table on standard output; see `layout.table`."""
    from .layout import table

    terminal = out.width if out.is_terminal else None
    for part, width in table(header, lines, terminal):
        out.print(part, width=width, soft_wrap=False)


def show_transfers(rows: list[dict[str, Any]]) -> None:
    """Print the bytes copied between host and device, per traced unit."""
    from gpuclust.report.transfers import transfers

    brief = transfers(rows)
    note(brief.common)
    show_table(brief.header, brief.lines)
