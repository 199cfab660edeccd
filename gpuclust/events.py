"""Progress events of a run.

The runner calls the methods of a `Watcher`; each call becomes an event, a dict of plain values that
can be sent between processes, logged and shown.
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
    """Stop request during an embedding; the images embedded so far are kept."""


class Watcher:
    """Receives progress events; this base class ignores them.

    Override `tell` to receive all events, or another method to receive one kind only.

    Examples
    --------
    >>> from gpuclust.events import Watcher
    >>> class Printer(Watcher):
    ...     def tell(self, event):
    ...         print(event["event"], event["text"])
    >>> Printer().note("2 images were skipped")
    note 2 images were skipped
    """

    def tell(self, event: Event) -> None:
        """Receive an event: a dict with its name (``event``), ``time`` and, as text, ``unit``."""

    def embedding(self, unit: Unit, done: int, total: int) -> None:
        """Report the progress of an embedding: `done` of `total` images."""
        self._tell("embedding", unit=str(unit), done=done, total=total)

    def unit(self, unit: Unit, left: int) -> None:
        """Report the start of a unit with `left` cells to compute."""
        self._tell("unit", unit=str(unit), left=left)

    def stage(self, unit: Unit, what: str) -> None:
        """Report the start of a stage of a unit, described by `what`."""
        self._tell("stage", unit=str(unit), what=what)

    def row(self, row: dict[str, Any]) -> None:
        """Report a saved row."""
        unit = {name: row[name] for name in ("dataset", "split", "encoder", "preprocess")}
        event = {name: row.get(name) for name in SHOWN}
        event |= {name: row["scores"].get(name) for name in ("ami", "n_clusters")}
        peaks = [stage["peak_bytes"] for stage in _stages(row) if stage.get("peak_bytes")]
        event |= {"gpu_bytes": max(peaks)} if peaks else {}
        if "error" in row:
            event |= {"error": row["error"]["message"], "embedded": "n" in row}
        self._tell("row", **unit, **event)

    def done(self, unit: Unit, *, computed: int, failed: int, skipped: int) -> None:
        """Report the end of a unit, with its numbers of cells."""
        self._tell("done", unit=str(unit), computed=computed, failed=failed, skipped=skipped)

    def workers(self, addresses: Iterable[str]) -> None:
        """Report the addresses of all connected workers."""
        self._tell("workers", addresses=sorted(addresses))

    def note(self, text: str) -> None:
        """Report a message for the user."""
        self._tell("note", text=text)

    def _tell(self, name: str, **what: Any) -> None:
        self.tell({"event": name, "time": now(), **what})


def _stages(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [stage for stage in row.get("device", {}).values() if isinstance(stage, dict)]


class Relay(Watcher):
    """Passes all events to several receivers, and stops an embedding on request.

    Parameters
    ----------
    *to : callable
        Receivers, each called with every event.
    stop : callable
        Returns True once the run should stop.
    more : dict, optional
        Items added to every event.

    Examples
    --------
    >>> from gpuclust.events import Relay
    >>> seen = []
    >>> Relay(seen.append, more={"worker": "tcp://10.0.0.2:41234"}).note("ready")
    >>> seen[0]["worker"], seen[0]["text"]
    ('tcp://10.0.0.2:41234', 'ready')
    """

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
        """Pass an event to all receivers."""
        for receive in self._to:
            receive(event | self._more)

    def embedding(self, unit: Unit, done: int, total: int) -> None:
        """Pass the progress of an embedding; raise `Stopped` if the run should stop."""
        if self._stop():
            raise Stopped("the run was asked to stop")
        super().embedding(unit, done, total)
