"""Consoles, options and the Ctrl-C handler shared by all commands.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

# No window limits the width of a file or a pipe: there, tables keep their columns whole.
out = Console(width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True)

Root = Annotated[
    Path,
    typer.Option("--root", envvar="GPUCLUST_ROOT", help="Folder of embeddings and results."),
]
Device = Annotated[
    str, typer.Option("--device", help="auto, cpu or gpu; gpu never falls back to cpu.")
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="GPUCLUST_DATA", help="Folder of the image datasets."),
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", min=1, help="Images per forward pass.")
]
Loaders = Annotated[
    int | None, typer.Option("--loaders", min=0, help="Processes that decode images.")
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Threads per process or worker; default all."),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Skip images that cannot be decoded.")]
TraceTransfers = Annotated[
    bool,
    typer.Option(
        "--trace-transfers",
        help="Record bytes copied between host and device per stage in the rows (GPU; slower).",
    ),
]
DEFAULT_ROOT = Path("gpuclust-results")


def note(text: str) -> None:
    """Print a message on standard error."""
    err.print(escape(text), soft_wrap=True, highlight=False)


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
    """Print a table on standard output; in a file or a pipe at full width."""
    from rich.table import Table

    numeric = [bool(lines) and all(_number(line[i]) for line in lines) for i in range(len(header))]
    table = Table(box=None, pad_edge=False)
    for name, right in zip(header, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=right)
    for line in lines:
        table.add_row(*map(escape, line))
    out.print(table)


def show_transfers(rows: list[dict[str, Any]]) -> None:
    """Print the bytes copied between host and device, per traced unit."""
    from gpuclust.report.tables import transfers

    brief = transfers(rows)
    note(brief.common)
    show_table(brief.header, brief.lines)


def _number(text: str) -> bool:
    try:
        float(text or 0)
    except ValueError:
        return False
    return True
