"""Workers without a unit of their own help to embed the units of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..cell import Unit
from ..events import Event

if TYPE_CHECKING:
    import distributed


Workers = dict[str, dict[str, Any]]


def resources(workers: Workers) -> dict[str, int] | None:
    """Return the resources of a task: a GPU where workers have one.

    Examples
    --------
    >>> resources({"tcp://a:1": {"resources": {"GPU": 1}}})
    {'GPU': 1}
    """
    return {"GPU": 1} if any("GPU" in one["resources"] for one in workers.values()) else None


class Helpers:
    """Tasks of idle workers.

    A helper claims ranges of images in the shared folder and writes parts there, so nothing is lost
    with it but its last seconds, and its result is not needed.
    """

    def __init__(self) -> None:
        self._embedding: set[str] = set()
        self._futures: list[Any] = []

    def hear(self, event: Event) -> None:
        """Take the units being embedded from an event."""
        if event["event"] == "embedding" and event["done"] < event["total"]:
            self._embedding.add(event["unit"])
        elif event["event"] in ("embedding", "stage", "done"):
            self._embedding.discard(event.get("unit", ""))

    def submit(
        self,
        client: distributed.Client,
        task: Callable[[Unit], int],
        units: Iterable[Unit],
        workers: Workers,
    ) -> None:
        """Give each idle worker a unit in work; at most one helper per worker.

        Parameters
        ----------
        client : distributed.Client
            Client of the scheduler.
        task : callable (unit) -> int
            Helps with a unit on a worker.
        units : iterable of Unit
            Units at the workers, one each.
        workers : dict
            Facts of the scheduler on each worker.
        """
        at_work = list(units)
        self._futures = [future for future in self._futures if not future.done()]
        wanted = [unit for unit in at_work if str(unit) in self._embedding]
        idle = len(workers) - len(at_work) - len(self._futures)
        for number in range(idle if wanted else 0):
            unit = wanted[number % len(wanted)]
            # Of lower priority than every unit.
            how = {"priority": -1, "resources": resources(workers)}
            self._futures.append(client.submit(task, unit, pure=False, **how))

    def cancel(self, client: distributed.Client) -> None:
        """Cancel waiting helpers; running ones end with their unit."""
        client.cancel(self._futures)
