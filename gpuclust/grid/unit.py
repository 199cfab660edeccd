"""One unit of a run: what is already there is skipped, what fails becomes a row, all is saved.

This is the one place that catches errors broadly, because it records them.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import platform
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from .. import pipeline
from ..cell import Cell, Unit, asked_values
from ..device import block_size, machine, memory, transfers
from ..device.backend import Backend
from ..embeddings.load import DEFAULT_OPTIONS, Known, Options, known_of, load_unit
from ..errors import InputError, StorageError, unknown
from ..events import Stopped, Watcher
from ..pipeline import Outcome, Result
from ..store.claims import Tell
from ..store.store import Store
from .states import LEFT, State, key_of, states_of

# What to compute of the cells that have a row: by the state of it.
REDO = {"none": (), "failed": ("failed",), "all": ("failed", "done")}


@dataclass(frozen=True)
class Job:
    """What all units of one run have in common.

    Attributes
    ----------
    options : Options
        For embeddings that are missing.
    redo : {"none", "failed", "all"}
        Which cells to compute again although they have a row of another run.
    save_labels : bool
        Also write the labels of every computed cell.
    save_bad_input : bool
        Whether a cell that cannot be computed as it was asked for leaves a failed row.
    trace : bool
        Measure the bytes that go between host and device.
    run : str
        Stands in every row that the run makes, so that a unit that is begun again after its
        process died does not compute them twice.
    """

    options: Options = DEFAULT_OPTIONS
    redo: str = "none"
    save_labels: bool = False
    save_bad_input: bool = True
    trace: bool = False
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def __post_init__(self) -> None:
        if self.redo not in REDO:
            raise unknown("redo", self.redo, REDO)

    def wants(self, state: State) -> bool:
        """Tell whether a cell in this state is to be computed."""
        return state == LEFT or (state.run != self.run and state.name in REDO[self.redo])


@dataclass
class Summary:
    """What a run did, in cells; `failed_before` are among those that were skipped.

    `busy` counts units that another process had, `stopped` says that the run ended before its end.
    """

    computed: int = 0
    failed: int = 0
    skipped: int = 0
    failed_before: int = 0
    busy: int = 0
    stopped: bool = False
    errors: list[Exception] = field(default_factory=list)

    def add(self, other: Summary) -> None:
        """Add what another part of the run did."""
        for each in dataclasses.fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        self.stopped = bool(self.stopped)

    def count(self, states: Iterable[State], job: Job) -> None:
        """Count the cells that need no computing; those of this very run were computed by it."""
        for state in states:
            mine, failed = state.run == job.run, state.name == "failed"
            self.computed += mine
            self.failed += mine and failed
            self.skipped += not mine
            self.failed_before += not mine and failed


class Here(NamedTuple):
    """Where a unit is computed, and who hears of it."""

    store: Store
    on: Backend
    tell: Tell
    watcher: Watcher
    stop: Callable[[], bool]


def work(
    unit: Unit,
    job: Job,
    store: Store,
    on: Backend,
    *,
    stop: Callable[[], bool] = lambda: False,
    watcher: Watcher | None = None,
) -> Summary:
    """Compute the cells of one unit that are wanted and save their rows.

    The unit is claimed first.  Where another process has it, nothing is done: `busy`.

    Raises
    ------
    StorageError
        When a row or an embedding cannot be written: there is no point in computing what cannot
        be kept.
    """
    watcher = watcher or Watcher()
    known = known_of(unit, store, job.options, watcher)
    states = states_of(unit, known, store, on, watcher=watcher)
    summary = Summary()
    todo = tuple(cell for cell, state in states.items() if job.wants(state))
    if todo:
        with store.claim(unit) as tell:
            if tell is None:
                return Summary(busy=1)
            # Whoever had the unit until now may have embedded it, and computed some of it.
            if known.fingerprint is None:
                known = known_of(unit, store, job.options, watcher)
            states |= states_of(_with(unit, todo), known, store, on, watcher=watcher)
            todo = tuple(cell for cell in todo if job.wants(states[cell]))
            if todo:
                _compute(_with(unit, todo), job, Here(store, on, tell, watcher, stop), summary)
    begun = set(todo)
    summary.count([state for cell, state in states.items() if cell not in begun], job)
    return summary


def _with(unit: Unit, cells: tuple[Cell, ...]) -> Unit:
    return dataclasses.replace(unit, cells=cells)


def _compute(unit: Unit, job: Job, here: Here, summary: Summary) -> None:
    try:
        for result in _results(unit, job, here):
            _save(unit, result, job, here, summary)
    except Stopped:  # while embedding; between cells a run just ends
        summary.stopped = True
    summary.stopped |= here.stop()


def _save(unit: Unit, result: Result, job: Job, here: Here, summary: Summary) -> None:
    summary.computed += 1
    if result.error is not None:
        summary.failed += 1
        summary.errors.append(result.error)
    if job.save_bad_input or not isinstance(result.error, InputError):
        here.store.save_row(unit, result.row, result.labels if job.save_labels else None)
    here.watcher.row(result.row)


def _results(unit: Unit, job: Job, here: Here) -> Iterator[Result]:
    """Embed what is missing, then compute; a unit without an embedding fails cell by cell."""
    store, on, watcher = here.store, here.on, here.watcher
    watcher.unit(unit, len(unit.cells))
    facts = {"run": job.run, "pid": os.getpid()}
    claimed = {"unit": str(unit), "cells": len(unit.cells), "host": platform.node(), **facts}

    def attempt(what: str, stage: Callable[..., Any], *args: Any) -> Outcome:
        here.tell({**claimed, "stage": what, "since": machine.now()})
        watcher.stage(unit, what)
        return _attempt(what, stage, *args, on=on, trace=transfers.trace if job.trace else None)

    layout = on.prepare()
    loaded = attempt("loading", load_unit, unit, store, on, job.options, watcher)
    if loaded.error is not None:
        known = known_of(unit, store, job.options, watcher)
        for cell in unit.cells:
            yield _made_by(facts, without_result(cell, known, on, loaded))
        return
    # What failed before the embedding could be made is outdated.
    for path in store.row_paths(unit, (key_of(cell, Known(), on) for cell in unit.cells)):
        Path(path).unlink(missing_ok=True)
    device = ({"memory": layout} if layout else {}) | (
        {"load": loaded.device} if loaded.device else {}
    )
    for result in pipeline.run_unit(unit, loaded.value, on, attempt=attempt, stop=here.stop):
        if device:
            result.row.setdefault("device", {}).update(device)
        yield _made_by(facts, result)


def _made_by(facts: dict[str, Any], result: Result) -> Result:
    result.row.update(facts)
    return result


def without_result(cell: Cell, known: Known, on: Backend, outcome: Outcome) -> Result:
    """Make the row of a cell that was not even begun, and says why in the error of `outcome`."""
    row = {
        "status": "failed",
        "key": key_of(cell, known, on),
        **asked_values(cell),
        "backend": on.name,
        **pipeline.failure(outcome),
        "finished": machine.now(),
        "host": machine.facts(),
    }
    return Result(row, None, outcome.error)


def _attempt(what: str, stage: Callable[..., Any], *args: Any, on: Backend, trace: Any) -> Outcome:
    """Run a stage; an error is an outcome, but for a full disk: that is no fault of the cell.

    What runs out of memory gets a second try with blocks of half the size.
    """
    run = functools.partial(pipeline.measured, what, stage, *args, on=on, trace=trace)
    first = _caught(run)
    if first.error is None or not memory.is_out_of_memory(first.error):
        return first
    said = f"{type(first.error).__name__}: {first.error}"
    del first
    memory.release()
    with block_size.smaller_blocks(0.5):
        second = _caught(run)
    told = f"ran out of memory ({said}) and was run again with blocks of half the size"
    return second._replace(warnings=(*second.warnings, told))


def _caught(run: Callable[[], Outcome]) -> Outcome:
    start = time.perf_counter()
    try:
        return run()
    except (StorageError, Stopped):
        raise
    except Exception as error:  # noqa: BLE001 - it becomes a row, with its traceback
        _forget_arrays(error)
        return Outcome(None, time.perf_counter() - start, (), error)


def _forget_arrays(error: BaseException | None) -> None:
    """Keep where an error came from, but none of the arrays that its frames hold."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
