"""Progress of a run: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.text import Text

from gpuclust.events import Event, Stopped, Watcher
from gpuclust.files.visible import visible

from .console import err, note

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from gpuclust.cell import Unit

HERE = "here"
EVERY = 15.0  # seconds between two lines about one embedding, without a live table


class Progress:
    """State of a run, collected from its events, and the live table drawn from it.

    Parameters
    ----------
    units, cells : int
        Number of units and cells in the run; 0 if unknown.
    clock : callable () -> float
        Current time in seconds; replaced in tests.

    Attributes
    ----------
    computed, failed, skipped : int
        Cells computed in this run, failures among them, and cells with a row from an earlier run.
    done : int
        Finished units.
    workers : dict of str to dict
        Name of each worker -> its current unit and step, its cells and its peak GPU memory.
    """

    def __init__(
        self, units: int = 0, cells: int = 0, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.units = units
        self.cells = cells
        self.computed = self.failed = self.skipped = self.done = 0
        self.workers: dict[str, dict[str, Any]] = {}
        self._clock = clock
        self._start: float | None = None

    def update(self, event: Event) -> None:
        """Count one event."""
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
            # Several units may be embedded at a time; images from before say nothing on the speed.
            started = worker.setdefault("embeds", {})
            first = started.setdefault(event["unit"], (event["done"], self._clock()))
            worker.update(before=first[0], since=first[1])
            what = _images(event, worker["before"], self._clock() - worker["since"])
            worker.update(unit=event["unit"], what=what)
        else:
            self.computed += 1
            self.failed += event["status"] == "failed"
            worker["cells"] += 1
            worker["gpu_bytes"] = event.get("gpu_bytes")

    @property
    def rate(self) -> float:
        """Cells per second since the first event of a unit; 0 before."""
        seconds = 0.0 if self._start is None else self._clock() - self._start
        return self.computed / seconds if seconds > 0 else 0.0

    def summary(self) -> str:
        """Summarize the run in one line: units, cells, failures, rate and remaining time."""
        parts = [f"{self.done} of {self.units} units"] if self.units else []
        of = f" of {self.cells - self.skipped}" if self.cells else ""
        parts.append(f"{self.computed}{of} cells")
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.computed:
            parts.append(f"{self.rate:.2f} cells/s")
        remaining = self.cells - self.skipped - self.computed
        if self.cells and self.computed and remaining > 0:
            from gpuclust.grid.cost import human

            parts.append(f"about {human(remaining / self.rate)} remaining")
        return ", ".join(parts)

    def table(self) -> Table:
        """Draw the summary and one line per worker."""
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
            table.add_row(*(Text(visible(text)) for text in line))
        return table


def name_of(event: Event) -> str:
    """Return the address of the worker of an event, or ``"here"`` for this process."""
    return _at(event["worker"]) if "worker" in event else HERE


def _at(address: str) -> str:
    return address.rpartition("//")[2]


def _images(event: Event, before: int, seconds: float) -> str:
    done, total = event["done"], event["total"]
    if done <= before or seconds <= 0:
        return f"{done}/{total} images"
    rate = (done - before) / seconds
    return f"{done}/{total} images, {rate:.1f} images/s, {(total - done) / rate:.0f} s remaining"


class ConsoleWatcher(Watcher):
    """Print a run on standard error: one line per row, each note once, and the current step.

    Use it as a context manager: the live table ends with the block.

    Parameters
    ----------
    stop : callable () -> bool
        Returns True after the user asked the run to stop. An embedding then ends at once; the
        images embedded so far are kept.
    failures : bool
        Also print the rows of failed cells.
    units, cells : int
        Number of units and cells in the run; 0 if unknown.
    """

    def __init__(
        self, stop: Callable[[], bool], *, failures: bool = True, units: int = 0, cells: int = 0
    ) -> None:
        self._stop = stop
        self._failures = failures
        self._notes: set[str] = set()
        self._reasons: set[str] = set()  # of units without an embedding
        self._without: set[tuple[str, ...]] = set()
        self._progress = Progress(units, cells)
        self._live: Live | None = None
        self._reported = 0.0
        self._complete: set[str] = set()  # units with a line about their last image
        self._lock = threading.Lock()

    def __enter__(self) -> ConsoleWatcher:
        if err.is_terminal and not err.is_dumb_terminal:
            from rich.live import Live

            self._live = Live(
                get_renderable=self._progress.table,
                console=err,
                refresh_per_second=4,
                transient=True,
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
        """Report progress of an embedding in this process.

        Raises
        ------
        Stopped
            If the user asked the run to stop.
        """
        if self._stop():
            raise Stopped("the run was asked to stop")
        super().embedding(unit, done, total)

    def tell(self, event: Event) -> None:
        """Print one event. Threads may call it at the same time."""
        show = getattr(self, f"_show_{event['event']}", None)
        with self._lock:
            self._progress.update(event)
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
            note("no workers connected; waiting for one")

    def _show_unit(self, event: Event) -> None:
        count = event["left"]
        where = f" on {name_of(event)}" if "worker" in event else ""
        note(f"{event['unit']}: {count} {'cell' if count == 1 else 'cells'} to do{where}")

    def _show_embedding(self, event: Event) -> None:
        """Print the progress of an embedding now and then, unless a live table shows it."""
        done, total = event["done"], event["total"]
        worker = self._progress.workers[name_of(event)]
        if done == worker["before"]:
            note(f"embedding {event['unit']}")
            self._reported = time.monotonic()
        elif self._live is None and (time.monotonic() - self._reported > EVERY or done == total):
            # An embedding reports its last image several times: of its batches, and of its end.
            if done == total and event["unit"] in self._complete:
                return
            self._complete |= {event["unit"]} if done == total else set()
            self._reported = time.monotonic()
            whose = f"{event['unit']}: " if len(worker["embeds"]) > 1 else ""
            note(f"  {whose}{worker['what']}")

    def _show_row(self, event: Event) -> None:
        what = f"{event['reducer']} | {event['clusterer']}"
        what += (f", k={event['k']}" if event["k"] else "") + f", seed {event['seed']}"
        if "worker" in event:
            what = f"{event['dataset']} x {event['encoder']}: {what}"
        if event["status"] == "failed":
            self._show_failure(event, what)
            return
        score = "" if event["ami"] is None else f"  AMI {event['ami']:.3f}"
        note(f"  {what}: {event['n_clusters']} clusters{score}  {event['seconds']:.1f} s")
        for text in event["warnings"]:
            self._once(f"    {text}")

    def _show_failure(self, event: Event, what: str) -> None:
        """Print a failed row; without an embedding once per unit, and each reason in full once."""
        if not self._failures:
            return
        reason = event["error"]
        if event.get("embedded", True):
            note(f"  failed  {what}: {reason}")
            return
        unit = (event["dataset"], event["split"], event["encoder"], event["preprocess"])
        if unit in self._without:
            return
        self._without.add(unit)
        where = f"{event['dataset']} x {event['encoder']}: " if "worker" in event else ""
        again = reason in self._reasons
        self._reasons.add(reason)
        note(f"  failed  {where}all cells: {'the reason above' if again else reason}")
