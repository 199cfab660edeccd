"""Run the units of a grid until every cell has its row.

`map_` decides where units are computed: here, one after another, or on the workers of a cluster
(`gpuclust.cluster`).  A unit that was lost because a process died is begun again; after several
losses its cells become failed rows.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..cell import ResolvedUnit, Unit
from ..device.backend import Backend
from ..device.transfers import check_trace
from ..embeddings.load import DEFAULT_OPTIONS, Options, check_sources, look_up
from ..errors import CellError, StorageError
from ..events import Watcher
from ..row import Outcome, Result, without_result
from ..store.store import Store
from . import cost
from .kept import begun
from .states import states_of
from .unit import Run, Summary, compute_unit, never

# Pause before a unit that another run was computing is tried again.
WAIT_SECONDS = 1.0
# Losses without a new row in between, after which the cells of a unit fail.
TRIES = 3


class Lost(NamedTuple):
    """A unit lost with its process, and the reason as far as it is known.

    `blamed` says that the unit itself may kill its processes; it is False when all units were lost
    at once.
    """

    why: str
    blamed: bool


Done = tuple[Unit, Summary | Lost]
# Takes units from the left of the queue until it is empty; units may be added meanwhile.
Map = Callable[[Run, deque[Unit]], Iterable[Done | None]]


def run_grid(
    units: Iterable[Unit],
    store: Store,
    on: Backend,
    *,
    options: Options = DEFAULT_OPTIONS,
    redo: str = "none",
    save_labels: bool = False,
    save_bad_input: bool = True,
    trace: bool = False,
    stop: Callable[[], bool] = never,
    watcher: Watcher | None = None,
    keep: Callable[[Result], None] | None = None,
    map_: Map | None = None,
) -> Summary:
    """Compute all cells without a row and save their rows.

    Interrupted runs go on where they ended: a cell whose row exists is done.  Several runs may
    share a store: each unit is computed by one of them at a time.

    Parameters
    ----------
    units : iterable of Unit
        Work to do.
    store : Store
        Where embeddings and rows are.
    on : Backend
        Backend that computes.
    options : Options
        Source of the embeddings that are missing.
    redo : {"none", "failed", "all"}
        Cells to compute again although they have a row.
    save_labels : bool
        Also write the predicted labels (n,) of every computed cell.
    save_bad_input : bool
        Write a failed row for a cell with an invalid request, such as k above n.
    trace : bool
        Measure the copies between host and device into the rows; needs a GPU, and is slower.
    stop : callable () -> bool
        Called before every cell; on True the run ends after the running step.
    watcher : Watcher, optional
        Receives progress events.
    keep : callable (Result), optional
        Receives every result that is computed in this process, with its arrays.
    map_ : callable (run, queue of units) -> iterable of (unit, Summary or Lost), optional
        Computes units elsewhere, in any order, such as `gpuclust.cluster.dask_cluster.Cluster`;
        by default in this process.

    Returns
    -------
    Summary
        Counts of cells, and the resolved units.

    Raises
    ------
    InputError
        To trace without a GPU, or for images or an encoder that do not exist, unless their
        embedding is stored.
    StorageError
        When a row or an embedding cannot be written, or rows are gone at the end.
    """
    if trace:
        check_trace(on)
    run = Run(
        store,
        on,
        options,
        watcher or Watcher(),
        stop,
        redo=redo,
        save_labels=save_labels,
        save_bad_input=save_bad_input,
        trace=trace,
        keep=keep,
    )
    units = list(units)
    if options.vectors is None:
        check_sources(units, store)
    store.sweep()
    progress = _Progress(run, deque(units))
    while (progress.waiting or progress.later) and not stop():
        for done in (map_ or _in_this_process)(run, progress.waiting):
            progress.take(done)
        progress.wait_for_others()
    progress.summary.stopped |= stop()
    if not progress.summary.stopped:
        _check_rows(units, run, progress.summary)
    return progress.summary


def _check_rows(units: Iterable[Unit], run: Run, summary: Summary) -> None:
    """Look for the row of every cell on the disk, by one listing of the folder of each unit.

    Raises
    ------
    StorageError
        When rows are gone, because the folder of results was removed or moved meanwhile.
    """
    if not run.save_bad_input and summary.errors:  # some rows are not written on purpose
        return
    gone = cells = 0
    for unit in summary.keyed(units):
        if isinstance(unit, Unit):
            unit = run.look_up(unit).resolve(run.on.name)
            summary.units.append(unit)
        try:
            with os.scandir(run.store.row_path(unit.unit, "").parent) as entries:
                there = {entry.name for entry in entries}
        except OSError:
            there = set()
        cells += len(unit.cells)
        gone += sum(f"{keyed.key}.json" not in there for keyed in unit.cells)
    if gone:
        raise StorageError(
            f"{gone} of {cells} rows are no longer in {run.store.root}: they were removed or moved "
            "while the grid ran, or its images changed. Run the same command again."
        )


def _in_this_process(run: Run, waiting: deque[Unit]) -> Iterator[Done]:
    """Compute one unit after another."""
    while waiting and not run.stop():
        unit = waiting.popleft()
        yield unit, compute_unit(unit, run)


@dataclass
class _Progress:
    """Progress of a run: units done, waiting and lost.

    `waiting` units can be computed now; `later` holds units that another run had a moment ago.
    """

    run: Run
    waiting: deque[Unit]
    later: list[Unit] = field(default_factory=list)
    due: float = 0.0
    summary: Summary = field(default_factory=Summary)
    losses: Counter[Unit] = field(default_factory=Counter)

    def take(self, done: Done | None) -> None:
        """Record the outcome of a unit; None is only a sign of life."""
        if self.later and time.monotonic() > self.due:
            self.waiting.extend(self.later)
            self.later.clear()
        if done is None:
            return
        unit, outcome = done
        if isinstance(outcome, Lost):
            self.waiting.extend(self._after(unit, outcome))
        elif outcome.busy:
            self.run.watcher.note(f"another run is computing {unit}: waiting for it")
            self.later.append(unit)
            self.due = time.monotonic() + WAIT_SECONDS
        else:
            self.summary.add(outcome)
            names = ("computed", "failed", "skipped")
            self.run.watcher.done(unit, **{name: getattr(outcome, name) for name in names})

    def wait_for_others(self) -> None:
        """Pause, then try the units of other runs again."""
        while self.later and not self.waiting and not self.run.stop():
            time.sleep(0.05)
            self.take(None)

    def _after(self, unit: Unit, lost: Lost) -> list[Unit]:
        """Return the units to try again after a loss.

        After the first loss without a new row the cells are tried one by one, so that in the end
        only those cells fail that kill their process alone.  Cells that wait for their scores stay
        together: they need one more pass.
        """
        todo, rest = self.run.split(self.run.look_up(unit).resolve(self.run.on.name))
        self.summary.count(rest, self.run.id)
        if not todo.cells:
            return []
        if not lost.blamed:
            return [todo.unit]
        self.run.watcher.note(f"{unit}: {lost.why}")
        self.losses[todo.unit] += 1
        if self.losses[todo.unit] >= TRIES:
            return self._give_up(todo, lost)
        if self.losses[todo.unit] == 1 and todo.fingerprint is not None:
            return _apart(todo, begun(todo, self.run.store))
        return [todo.unit]

    def _give_up(self, todo: ResolvedUnit, lost: Lost) -> list[Unit]:
        """Write failed rows, unless another run has claimed the unit."""
        run = self.run
        with run.store.claim(todo.unit) as say:
            if say is None:
                return [todo.unit]
            error = CellError(f"{lost.why}, {TRIES} times over. --retry-failed tries it again.")
            for keyed in todo.cells:
                row = without_result(keyed, run.on, Outcome(None, 0.0, (), error)).row
                row["run"] = run.id
                run.store.save_row(todo.unit, row)
                run.watcher.row(row)
        count = len(todo.cells)
        self.summary.add(Summary(computed=count, failed=count, errors=[error]))
        return []


def _apart(todo: ResolvedUnit, clustered: list[bool]) -> list[Unit]:
    """Return the cells as units of their own, the clustered ones as one unit unless all are."""
    together = todo.only(clustered).unit.cells if not all(clustered) else ()
    units = [dataclasses.replace(todo.unit, cells=together)] if together else []
    alone = [cell for cell in todo.unit.cells if cell not in set(together)]
    return units + [dataclasses.replace(todo.unit, cells=(cell,)) for cell in alone]


def status(
    units: Iterable[Unit],
    store: Store,
    on: Backend,
    *,
    options: Options = DEFAULT_OPTIONS,
    sizes: cost.Sizes | None = None,
) -> dict[str, Any]:
    """Count the cells of a grid by status, and list the running processes.

    A live process that works on a unit computes one of its cells; a cell without a row is missing
    until its row is written.  `sizes` are those of `cost.estimate`.

    Returns
    -------
    dict
        ``cells``, ``done``, ``failed``, ``running``, ``left``; ``seconds_left``, a rough estimate
        (None when some of it cannot be estimated); ``now``, the work of the live processes.
    """
    counts: Counter[str] = Counter(done=0, failed=0, running=0, left=0)
    sizes = {} if sizes is None else sizes
    now = store.running()
    seconds: float | None = 0.0
    at_once = 0
    for unit in units:
        resolved = look_up(unit, store, options, Watcher()).resolve(on.name)
        states = states_of(resolved, store, Watcher())
        found = Counter(state.name for state in states)
        running = min(found["missing"], sum(one.get("unit") == str(unit) for one in now))
        at_once += running
        counts.update(done=found["done"], failed=found["failed"])
        counts.update(running=running, left=found["missing"] - running)
        if found["missing"]:
            missing = resolved.only([state.name == "missing" for state in states]).unit
            more = cost.estimate(missing, store, options, sizes)
            seconds = None if seconds is None or more is None else seconds + more
    # As many units at once as now, or one.
    seconds_left = None if seconds is None else seconds / max(1, at_once)
    return {"cells": sum(counts.values()), **counts, "seconds_left": seconds_left, "now": now}
