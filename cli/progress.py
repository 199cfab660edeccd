"""Showing a run while it goes: a live table in a terminal, plain lines elsewhere, JSON in a log."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from gpuclust.errors import StorageError
from gpuclust.events import Event, Stopped, Watcher

from .console import err, note

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from gpuclust.cell import Unit

HERE = "here"
# Seconds between two lines about an embedding where there is no live table.
EVERY = 15.0


class Board:
    """What a run has told so far: the state behind the live table.

    Attributes
    ----------
    units, cells : int
        How many the run has in all; 0 when that is not known.
    """

    def __init__(
        self, units: int = 0, cells: int = 0, *, clock: Callable[[], float] = time.monotonic
    ):
        self.units = units
        self.cells = cells
        self.computed = self.failed = self.skipped = self.done = 0
        self.workers: dict[str, dict[str, Any]] = {}
        self._clock = clock
        self._start: float | None = None

    def hear(self, event: Event) -> None:
        """Take in one event."""
        kind = event["event"]
        if kind == "done":
            self.done += 1
            self.skipped += event["skipped"]
        if kind == "workers":
            gone = set(self.workers) - {_at(address) for address in event["addresses"]}
            for name in gone - {HERE}:
                del self.workers[name]
        if kind not in ("unit", "stage", "embedding", "row"):
            return
        self._start = self._clock() if self._start is None else self._start
        worker = self.workers.setdefault(name_of(event), {"cells": 0, "since": self._clock()})
        if kind in ("unit", "stage"):
            worker.update(unit=event["unit"], what=event.get("what", ""), since=self._clock())
        elif kind == "embedding":
            worker.update(unit=event["unit"], what=_images(event, self._clock() - worker["since"]))
        else:
            self.computed += 1
            self.failed += event["status"] == "failed"
            worker["cells"] += 1
            worker["gpu_bytes"] = event.get("gpu_bytes")

    @property
    def rate(self) -> float:
        """Cells per second since the first thing that was heard."""
        seconds = 0.0 if self._start is None else self._clock() - self._start
        return self.computed / seconds if seconds > 0 else 0.0

    def summary(self) -> str:
        """Say in one line how far the run is."""
        parts = [f"{self.done} of {self.units} units"] if self.units else []
        of = f" of {self.cells - self.skipped}" if self.cells else ""
        parts.append(f"{self.computed}{of} cells")
        parts += [f"{self.failed} failed"] * bool(self.failed)
        parts += [f"{self.rate:.2f} cells/s"] * bool(self.computed)
        left = self.cells - self.skipped - self.computed
        if self.cells and self.computed and left > 0:
            from gpuclust.grid.cost import human

            parts.append(f"about {human(left / self.rate)} left")
        return ", ".join(parts)

    def table(self) -> Table:
        """Draw the table: the summary, then a line per worker."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, title=self.summary(), title_justify="left")
        gpu = any(worker.get("gpu_bytes") for worker in self.workers.values())
        for name in ["worker", "unit", "doing", "cells", "s", *(["GPU peak"] if gpu else [])]:
            table.add_column(name, justify="right" if name in ("cells", "s") else "left")
        for name, worker in sorted(self.workers.items()):
            seconds = f"{self._clock() - worker['since']:.0f}"
            line = [name, worker.get("unit", ""), worker.get("what", ""), str(worker["cells"])]
            peak = worker.get("gpu_bytes")
            line += [seconds, *([f"{peak / 2**30:.1f} GiB" if peak else ""] if gpu else [])]
            table.add_row(*map(escape, line))
        return table


def name_of(event: Event) -> str:
    """Name the worker that an event comes from."""
    return _at(event["worker"]) if "worker" in event else HERE


def _at(address: str) -> str:
    return address.rpartition("//")[2]


def _images(event: Event, seconds: float) -> str:
    done, total = event["done"], event["total"]
    if not done or seconds <= 0:
        return f"{done}/{total} images"
    rate = done / seconds
    return f"{done}/{total} images, {rate:.1f} images/s, {(total - done) / rate:.0f} s left"


class ConsoleWatcher(Watcher):
    """Shows a run on standard error: a line per row, each note once, and what runs right now.

    Parameters
    ----------
    stop : callable () -> bool
        Whether the run was asked to stop: then an embedding ends at once, for half of one cannot be
        kept.
    failures : bool
        Also show the rows of cells that failed.
    units, cells : int
        What there is to do in all, where that is known.
    """

    def __init__(
        self, stop: Callable[[], bool], *, failures: bool = True, units: int = 0, cells: int = 0
    ) -> None:
        self._stop = stop
        self._failures = failures
        self._notes: set[str] = set()
        self._board = Board(units, cells)
        self._live: Live | None = None
        self._told = 0.0
        self._lock = threading.Lock()

    def __enter__(self) -> ConsoleWatcher:
        if err.is_terminal:
            from rich.live import Live

            self._live = Live(
                get_renderable=self._board.table, console=err, refresh_per_second=4, transient=True
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
        self._live = None

    def embedding(self, unit: Unit, done: int, total: int) -> None:
        """Hear of an embedding that is made here."""
        if self._stop():
            raise Stopped("the run was asked to stop")
        super().embedding(unit, done, total)

    def tell(self, event: Event) -> None:
        """Show an event; from any thread."""
        show = getattr(self, f"_show_{event['event']}", None)
        with self._lock:
            self._board.hear(event)
            if show is not None:
                show(event)

    def _show_note(self, event: Event) -> None:
        self._once(event["text"])

    def _once(self, text: str) -> None:
        if text not in self._notes:
            self._notes.add(text)
            note(text)

    def _show_workers(self, event: Event) -> None:
        if not event["addresses"]:
            note("no worker is there; waiting for one")

    def _show_unit(self, event: Event) -> None:
        left = event["left"]
        where = f" on {name_of(event)}" if "worker" in event else ""
        note(f"{event['unit']}: {left} {'cell' if left == 1 else 'cells'} to do{where}")

    def _show_embedding(self, event: Event) -> None:
        """Say now and then how far an embedding is, where there is no live table."""
        done, total = event["done"], event["total"]
        if not done:
            note(f"embedding {event['unit']}")
            self._told = time.monotonic()
        elif self._live is None and (time.monotonic() - self._told > EVERY or done == total):
            self._told = time.monotonic()
            note(f"  {self._board.workers[name_of(event)]['what']}")

    def _show_row(self, event: Event) -> None:
        what = f"{event['reducer']} | {event['clusterer']}"
        what += (f", k={event['k']}" if event["k"] else "") + f", seed {event['seed']}"
        if "worker" in event:
            what = f"{event['dataset']} x {event['encoder']}: {what}"
        if event["status"] == "failed":
            if self._failures:
                note(f"  failed  {what}: {event['error']}")
            return
        score = "" if event["ami"] is None else f"  AMI {event['ami']:.3f}"
        note(f"  {what}: {event['n_clusters']} clusters{score}  {event['seconds']:.1f} s")
        for text in event["warnings"]:
            self._once(f"    {text}")


class JsonLog:
    """Appends every event to a file, a line of JSON each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("a", encoding="utf-8", buffering=1)
        except OSError as error:
            raise StorageError(
                f"cannot write the log {path}: {error.strerror}. Name another --json-log."
            ) from error

    def __call__(self, event: Event) -> None:
        """Append one event."""
        try:
            self._file.write(json.dumps(event) + "\n")
        except OSError as error:
            raise StorageError(f"cannot write the log {self._path}: {error.strerror}.") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()
