"""Run the units of a grid, wherever they are computed, until every cell has its row.

Where that is, `map_` knows: here, one after another, or on the workers of a cluster (`scaleout`).
What is lost there, because a process died, is begun again; what cannot be kept alive becomes a
failed row.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..cell import Unit
from ..device.backend import Backend
from ..device.transfers import check_trace
from ..embeddings.load import DEFAULT_OPTIONS, Known, Options, known_of
from ..errors import CellError
from ..events import Watcher
from ..pipeline import Outcome
from ..store.store import Store
from . import cost
from .states import states_of
from .unit import Job, Summary, without_result, work

# Between two looks at units that another run is computing.
WAIT_SECONDS = 1.0
# So often something may be lost, with no new row in between, before it is given up.
TRIES = 3


class Lost(NamedTuple):
    """A unit whose process died before it was done, and why as far as that is known.

    `blamed` says that the unit may be what kills its processes; not so when all was lost at once.
    """

    why: str
    blamed: bool


Done = tuple[Unit, Summary | Lost]
# Takes units from the left of the queue until it is empty, also those that are added meanwhile.
Map = Callable[[Job, deque[Unit]], Iterable[Done | None]]


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
    stop: Callable[[], bool] = lambda: False,
    watcher: Watcher | None = None,
    map_: Map | None = None,
) -> Summary:
    """Compute every cell that has no row yet and save its row.

    Any number of runs may share a store: each unit is computed by one of them at a time, and what
    one has done the others skip.

    Parameters
    ----------
    units : iterable of Unit
        From `gpuclust.cell.load_grid`.
    store, on : Store, Backend
        Where the rows go, and where to compute.
    options : Options
        For embeddings that are missing.
    redo : {"none", "failed", "all"}
        Which cells to compute again although they have a row.
    save_labels : bool
        Also write the labels of every computed cell.
    save_bad_input : bool
        Whether a cell that cannot be computed as it was asked for (k above n, no images) leaves a
        failed row.  A grid wants to know what it is missing; a single run is told at once.
    trace : bool
        Measure the bytes that go between host and device, per stage, into the rows.  Tracing costs
        time; on a GPU only.
    stop : callable () -> bool
        Asked before every cell; on True the run ends after what is running.
    watcher : Watcher, optional
        Is told what happens.
    map_ : callable (job, queue of units) -> iterable of (unit, Summary or Lost), optional
        Computes units elsewhere, in any order (`gpuclust.cluster.dask_cluster.Cluster.mapper`); else here.

    Returns
    -------
    Summary
        Counts of cells.

    Raises
    ------
    InputError
        To trace without a GPU.
    StorageError
        When a row or an embedding cannot be written: there is no point in computing what cannot
        be kept.
    """
    watcher = watcher or Watcher()
    if trace:
        check_trace(on)
    job = Job(options, redo, save_labels, save_bad_input, trace)
    map_ = map_ or _here(store, on, stop, watcher)
    store.sweep()
    run = _Run(job, store, on, watcher, deque(units))
    while (run.waiting or run.later) and not stop():
        for done in map_(job, run.waiting):
            run.take(done)
        run.let_others_go_on(stop)
    run.summary.stopped |= stop()
    return run.summary


def _here(store: Store, on: Backend, stop: Callable[[], bool], watcher: Watcher) -> Map:
    """Compute one unit after another in this process."""

    def map_(job: Job, waiting: deque[Unit]) -> Iterator[Done]:
        while waiting and not stop():
            unit = waiting.popleft()
            yield unit, work(unit, job, store, on, stop=stop, watcher=watcher)

    return map_


@dataclass
class _Run:
    """What a run has done, what it waits for, and what becomes of units that were lost.

    `waiting` can be computed now; `later` holds units that another run had a moment ago.
    """

    job: Job
    store: Store
    on: Backend
    watcher: Watcher
    waiting: deque[Unit]
    later: list[Unit] = field(default_factory=list)
    due: float = 0.0
    summary: Summary = field(default_factory=Summary)
    losses: Counter[Unit] = field(default_factory=Counter)

    def take(self, done: Done | None) -> None:
        """Take in what became of a unit; None: nothing new, but time has passed."""
        if self.later and time.monotonic() > self.due:
            self.waiting.extend(self.later)
            self.later.clear()
        if done is None:
            return
        unit, what = done
        if isinstance(what, Lost):
            self.waiting.extend(self._after(unit, what))
        elif what.busy:
            self.watcher.note(f"another run has {unit}: waiting for what it leaves")
            self.later.append(unit)
            self.due = time.monotonic() + WAIT_SECONDS
        else:
            self.summary.add(what)
            counts = {"computed": what.computed, "failed": what.failed, "skipped": what.skipped}
            self.watcher.done(unit, **counts)

    def let_others_go_on(self, stop: Callable[[], bool]) -> None:
        """Wait until it is time to look again at what other runs had."""
        while self.later and not self.waiting and not stop():
            time.sleep(0.05)
            self.take(None)

    def _after(self, unit: Unit, lost: Lost) -> list[Unit]:
        """Return what to try again of a unit that was lost.

        The first time without a new row its cells are taken apart, so that in the end only those
        fail that kill their process all alone.
        """
        known = known_of(unit, self.store, self.job.options, self.watcher)
        rest = self._left(unit, known)
        if not rest.cells or not lost.blamed:
            return [rest] * bool(rest.cells)
        self.watcher.note(f"{unit}: {lost.why}")
        self.losses[rest] += 1
        if self.losses[rest] < TRIES:
            apart = self.losses[rest] == 1 and known.fingerprint is not None
            return [dataclasses.replace(rest, cells=(c,)) for c in rest.cells] if apart else [rest]
        return self._give_up(rest, lost, known)

    def _left(self, unit: Unit, known: Known) -> Unit:
        """Reduce a unit to the cells that are still wanted; the others are counted."""
        states = states_of(unit, known, self.store, self.on, watcher=self.watcher)
        left = {cell: state for cell, state in states.items() if self.job.wants(state)}
        self.summary.count([s for cell, s in states.items() if cell not in left], self.job)
        return dataclasses.replace(unit, cells=tuple(left))

    def _give_up(self, unit: Unit, lost: Lost, known: Known) -> list[Unit]:
        """Write failed rows, unless another run has the unit by now."""
        with self.store.claim(unit) as tell:
            if tell is None:
                return [unit]
            error = CellError(f"{lost.why}, {TRIES} times over. --retry-failed tries it again.")
            for cell in unit.cells:
                row = without_result(cell, known, self.on, Outcome(None, 0.0, (), error)).row
                row["run"] = self.job.run
                self.store.save_row(unit, row)
                self.watcher.row(row)
        count = len(unit.cells)
        self.summary.add(Summary(computed=count, failed=count, errors=[error]))
        return []


def status(
    units: Iterable[Unit], store: Store, on: Backend, *, options: Options = DEFAULT_OPTIONS
) -> dict[str, Any]:
    """Count the cells of a grid: done, failed, running, left; and name what is running.

    A live process that works on a unit computes one of its cells; a cell without a row is left
    until its row is written.

    Returns
    -------
    dict
        ``cells``, ``done``, ``failed``, ``running``, ``left``; ``seconds_left``, a rough estimate
        (None when some of it cannot be estimated); ``now``, what the processes say.
    """
    counts: Counter[str] = Counter(done=0, failed=0, running=0, left=0)
    now = store.running()
    seconds: float | None = 0.0
    at_once = 0
    for unit in units:
        known = known_of(unit, store, options, Watcher())
        states = states_of(unit, known, store, on, watcher=Watcher())
        told = Counter(state.name for state in states.values())
        running = min(told["left"], sum(one.get("unit") == str(unit) for one in now))
        at_once += running
        counts.update(told)
        counts.update(running=running, left=-running)
        if told["left"]:
            left = [cell for cell, state in states.items() if state.name == "left"]
            more = cost.estimate(dataclasses.replace(unit, cells=tuple(left)), store, options)
            seconds = None if seconds is None or more is None else seconds + more
    # As many units at once as now, or one.
    left_for = None if seconds is None else seconds / max(1, at_once)
    return {"cells": sum(counts.values()), **counts, "seconds_left": left_for, "now": now}
