"""What a run tells while it goes.

A `Watcher` is told by calls, which become events: plain values, so that they cross processes, go
into a log and reach whoever shows them in one form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from .device.machine import now
from .errors import GpuclustError

if TYPE_CHECKING:
    from .cell import Unit

Event = dict[str, Any]
SHOWN = ("reducer", "clusterer", "k", "seed", "status", "seconds", "warnings")


class Stopped(GpuclustError):
    """A run was asked to stop, in the middle of what cannot be kept half made."""


class Watcher:
    """Hears what a run does; this one does not listen.

    Override `tell` to hear everything as events, or one of the others to hear only that.
    """

    def tell(self, event: Event) -> None:
        """Hear an event: its name under ``event``, the time under ``time``, the unit as text."""

    def embedding(self, unit: Unit, done: int, total: int) -> None:
        """`done` of `total` images of a unit are embedded."""
        self._tell("embedding", unit=str(unit), done=done, total=total)

    def unit(self, unit: Unit, left: int) -> None:
        """A unit begins with `left` cells to do."""
        self._tell("unit", unit=str(unit), left=left)

    def stage(self, unit: Unit, what: str) -> None:
        """A stage of a unit begins; `what` says in words what it does."""
        self._tell("stage", unit=str(unit), what=what)

    def row(self, row: dict[str, Any]) -> None:
        """A row was saved."""
        unit = {name: row[name] for name in ("dataset", "split", "encoder", "preprocess")}
        told = {name: row.get(name) for name in SHOWN}
        told |= {name: row["scores"].get(name) for name in ("ami", "n_clusters")}
        peaks = [stage["peak_bytes"] for stage in _stages(row) if stage.get("peak_bytes")]
        told |= {"gpu_bytes": max(peaks)} if peaks else {}
        told |= {"error": row["error"]["message"]} if "error" in row else {}
        self._tell("row", **unit, **told)

    def done(self, unit: Unit, *, computed: int, failed: int, skipped: int) -> None:
        """A unit is over, with so many cells."""
        self._tell("done", unit=str(unit), computed=computed, failed=failed, skipped=skipped)

    def workers(self, addresses: Iterable[str]) -> None:
        """These workers are there now."""
        self._tell("workers", addresses=sorted(addresses))

    def note(self, text: str) -> None:
        """Something a user should know happened."""
        self._tell("note", text=text)

    def _tell(self, name: str, **what: Any) -> None:
        self.tell({"event": name, "time": now(), **what})


def _stages(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [stage for stage in row.get("device", {}).values() if isinstance(stage, dict)]


class Relay(Watcher):
    """Passes all events on, with some `more` said in each; ends an embedding when it is to stop."""

    def __init__(
        self,
        *to: Callable[[Event], None],
        stop: Callable[[], bool] = lambda: False,
        more: Event | None = None,
    ):
        self._to = to
        self._stop = stop
        self._more = more or {}

    def tell(self, event: Event) -> None:
        """Pass an event on."""
        for tell in self._to:
            tell(event | self._more)

    def embedding(self, unit: Unit, done: int, total: int) -> None:
        """Pass on how far an embedding is: half of one cannot be kept, so it need not end."""
        if self._stop():
            raise Stopped("the run was asked to stop")
        super().embedding(unit, done, total)
