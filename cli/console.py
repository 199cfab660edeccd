"""What the commands share: the two consoles, the root, watching a run, Ctrl-C.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from rich.progress import Progress

    from gpuclust.cell import Unit

# In a file or a pipe nobody's window limits the width: tables keep their columns whole.
out = Console(width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True)

Root = Annotated[
    Path,
    typer.Option("--root", envvar="GPUCLUST_ROOT", help="Folder of embeddings and results."),
]
Device = Annotated[
    str, typer.Option("--device", help="auto, cpu or gpu; an explicit gpu never falls back.")
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="GPUCLUST_DATA", help="Folder of the image datasets."),
]
BatchSize = Annotated[int | None, typer.Option("--batch-size", min=1, help="Images at a time.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=0, help="Processes that decode images.")
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out images that cannot be decoded.")
]
TraceTransfers = Annotated[
    bool,
    typer.Option(
        "--trace-transfers",
        help="Measure the bytes between host and device, per stage, into the rows (GPU; slower).",
    ),
]
DEFAULT_ROOT = Path("gpuclust-results")


def note(text: str) -> None:
    """Tell the user something, on standard error."""
    err.print(escape(text), soft_wrap=True, highlight=False)


class LogToConsole(logging.Handler):
    """Show what the library logs (a halved batch size, say) as notes."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        note(record.getMessage())


def hear_library() -> None:
    """Send the library's log to the console, once."""
    logger = logging.getLogger("gpuclust")
    if not any(isinstance(handler, LogToConsole) for handler in logger.handlers):
        logger.addHandler(LogToConsole())
        logger.setLevel(logging.INFO)


class Interrupt:
    """The first Ctrl-C asks a run to stop after what is running; the second stops it at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __call__(self) -> bool:
        """Answer whether the run was asked to stop."""
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
        note("Stopping as soon as the running step ends; what is done is kept. Again: at once.")


class ConsoleWatcher:
    """Shows a run: a progress bar for embedding, one line per row, each note once."""

    def __init__(self, stop: Interrupt, *, failures: bool = True) -> None:
        self._stop = stop
        self._failures = failures
        self._notes: set[str] = set()
        self._bar: Progress | None = None
        self._task: Any = None
        self._status: Any = None
        self._told = 0.0
        self._start = 0.0

    def __enter__(self) -> ConsoleWatcher:
        return self

    def __exit__(self, *exc: object) -> None:
        self._close()
        self._quiet()

    def embedding(self, unit: Unit, done: int, total: int) -> None:
        """Advance the bar; a half-made embedding cannot be kept, so Ctrl-C ends it at once."""
        if self._stop():
            raise KeyboardInterrupt
        if self._task is None:
            self._begin(unit, total)
        if self._bar is not None:
            self._bar.update(self._task, completed=done)
        elif done and (time.monotonic() - self._told > 15 or done == total):
            self._told = time.monotonic()
            rate = done / max(self._told - self._start, 1e-9)
            left = (total - done) / max(rate, 1e-9)
            note(f"  {done}/{total} images, {rate:.1f} images/s, {left:.0f} s left")
        if done == total:
            self._close()

    def _begin(self, unit: Unit, total: int) -> None:
        note(f"embedding {unit}")
        self._start = self._told = time.monotonic()
        self._task = 0
        if err.is_terminal:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            rate = TextColumn("{task.completed}/{task.total} images, {task.speed} images/s")
            rate.render = _rate  # type: ignore[method-assign]
            self._bar = Progress(BarColumn(), rate, TimeRemainingColumn(), console=err)
            self._bar.start()
            self._task = self._bar.add_task("", total=total)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None

    def _quiet(self) -> None:
        if self._status is not None:
            self._status.stop()
        self._status = None

    def stage(self, unit: Unit, what: str) -> None:
        """Show what runs right now, where somebody is looking."""
        if not err.is_terminal:
            return
        if self._status is None:
            self._status = err.status(escape(what))
            self._status.start()
        self._status.update(escape(what))

    def unit(self, unit: Unit, left: int) -> None:
        """Head the rows of a unit."""
        self._quiet()
        note(f"{unit}: {left} {'cell' if left == 1 else 'cells'} to do")

    def row(self, row: dict[str, Any]) -> None:
        """Show a row in one line."""
        what = f"{row['reducer']} | {row['clusterer']}"
        what += (f", k={row['k']}" if row["k"] else "") + f", seed {row['seed']}"
        if row["status"] == "failed":
            if self._failures:
                note(f"  failed  {what}: {row['error']['message']}")
            return
        ami = row["scores"].get("ami")
        score = "" if ami is None else f"  AMI {ami:.3f}"
        note(f"  {what}: {row['scores']['n_clusters']} clusters{score}  {row['seconds']:.1f} s")
        for text in row["warnings"]:
            self.note(f"    {text}")

    def note(self, text: str) -> None:
        """Show a note the first time it comes."""
        if text not in self._notes:
            self._notes.add(text)
            note(text)


def _rate(task: Any) -> Any:
    from rich.text import Text

    speed = f"{task.speed:.1f}" if task.speed else "?"
    return Text(f"{int(task.completed)}/{int(task.total)} images, {speed} images/s")


def show_table(header: list[str], lines: list[list[str]]) -> None:
    """Print a table on standard output, as wide as it needs when that is not a terminal."""
    from rich.table import Table

    numeric = [bool(lines) and all(_number(line[i]) for line in lines) for i in range(len(header))]
    table = Table(box=None, pad_edge=False)
    for name, right in zip(header, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=right)
    for line in lines:
        table.add_row(*map(escape, line))
    out.print(table)


def show_transfers(rows: list[dict[str, Any]]) -> None:
    """Print what each unit copied between host and device, where it was traced."""
    from gpuclust.report import transfers

    brief = transfers(rows)
    note(brief.common)
    show_table(brief.header, brief.lines)


def _number(text: str) -> bool:
    try:
        float(text or 0)
    except ValueError:
        return False
    return True
