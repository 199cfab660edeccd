"""Run the units of a grid, wherever they are computed, until every cell has its row.

Where that is, `map_` knows: here, one after another, or on the workers of a cluster (`scaleout`).
What is lost there, because a process died, is begun again; what cannot be kept alive becomes a
failed row.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from . import cost
from .backend import Backend, check_trace
from .cell import Unit
from .errors import CellError
from .pipeline import Outcome
from .source import DEFAULT_OPTIONS, Options, known_of
from .states import states_of
from .store import Store
from .watch import Watcher
from .work import Job, Summary, without_result, work

# Between two looks at units that another run is computing.
WAIT_SECONDS = 1.0


class Lost(NamedTuple):
    """A unit whose process died before it was done, and why as far as that is known.

    `blamed` says that the unit may be what kills its processes; not so when all was lost at once.
    """

    why: str
    blamed: bool


Done = tuple[Unit, Summary | Lost]
Map = Callable[[Job, Sequence[Unit]], Iterable[Done]]


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
    map_ : callable (job, units) -> iterable of (unit, Summary or Lost), optional
        Computes units elsewhere, in any order (`gpuclust.scaleout.Cluster.mapper`); else here.

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
    if trace and map_ is None:
        check_trace(on)
    job = Job(options, redo, save_labels, save_bad_input, trace)
    map_ = map_ or _here(store, on, stop, watcher)
    store.sweep()
    summary, waiting = Summary(), list(units)
    while waiting and not stop():
        again: list[Unit] = []
        busy = 0
        for unit, done in map_(job, waiting):
            if isinstance(done, Lost):
                again += _after_loss(unit, done, job, store, on, summary=summary, watcher=watcher)
                continue
            if done.busy:
                again.append(unit)
                busy += 1
                continue
            summary.add(done)
            counts = {"computed": done.computed, "failed": done.failed, "skipped": done.skipped}
            watcher.done(unit, **counts)
        waiting = again
        if busy and busy == len(waiting):
            _wait(waiting, watcher, stop)
    summary.stopped = summary.stopped or stop()
    return summary


def _here(store: Store, on: Backend, stop: Callable[[], bool], watcher: Watcher) -> Map:
    """Compute one unit after another in this process."""

    def map_(job: Job, units: Sequence[Unit]) -> Iterator[Done]:
        for unit in units:
            if stop():
                return
            yield unit, work(unit, job, store, on, stop=stop, watcher=watcher)

    return map_


def _wait(units: Sequence[Unit], watcher: Watcher, stop: Callable[[], bool]) -> None:
    """Let other runs go on with what they have begun."""
    watcher.note(f"waiting for another run that computes {', '.join(map(str, units))}")
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end and not stop():
        time.sleep(0.05)


def _after_loss(
    unit: Unit,
    lost: Lost,
    job: Job,
    store: Store,
    on: Backend,
    *,
    summary: Summary,
    watcher: Watcher,
) -> list[Unit]:
    """Decide what becomes of a unit whose process died: a list of what to try again.

    As long as there are new rows each time, all that is left is tried again.  Then its cells are
    tried one by one, so that only those become failed rows that kill their process alone.
    """
    known = known_of(unit, store, job.options, watcher)
    states = states_of(unit, known, store, on, watcher=watcher)
    left = tuple(cell for cell, state in states.items() if job.wants(state))
    summary.count([state for state in states.values() if not job.wants(state)], job)
    rest = dataclasses.replace(unit, cells=left)
    if not left:
        return []
    if not lost.blamed or len(left) < len(unit.cells):
        return [rest]
    watcher.note(f"{unit}: {lost.why}")
    if len(left) > 1 and known.fingerprint is not None:
        return [dataclasses.replace(unit, cells=(cell,)) for cell in left]
    with store.claim(unit) as tell:
        if tell is None:
            return [rest]
        error = CellError(f"{lost.why}. --retry-failed tries it again.")
        for cell in left:
            result = without_result(cell, known, on, Outcome(None, 0.0, (), error))
            result.row["run"] = job.run
            store.save_row(unit, result.row)
            watcher.row(result.row)
    summary.add(Summary(computed=len(left), failed=len(left), errors=[error]))
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
    for unit in units:
        known = known_of(unit, store, options, Watcher())
        states = states_of(unit, known, store, on, watcher=Watcher())
        told = Counter(state.name for state in states.values())
        running = min(told["left"], sum(one.get("unit") == str(unit) for one in now))
        counts.update(told)
        counts.update(running=running, left=-running)
        if told["left"]:
            left = [cell for cell, state in states.items() if state.name == "left"]
            more = cost.estimate(dataclasses.replace(unit, cells=tuple(left)), store, options)
            seconds = None if seconds is None or more is None else seconds + more
    left_for = None if seconds is None else seconds / max(1, len(now))
    return {"cells": sum(counts.values()), **counts, "seconds_left": left_for, "now": now}
