"""Run units: what is already there is skipped, what fails becomes a row, what is done is saved.

This is the one place that catches errors broadly, because it records them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import blocks, host, memory, pipeline
from .backend import Backend, check_trace
from .cell import Cell, Unit, asked_values
from .errors import DamagedFileError, InputError, StorageError, unknown
from .pipeline import Outcome, Result
from .source import DEFAULT_OPTIONS, Known, Options, Watcher, known_of, load_unit
from .store import Store


@dataclass
class Summary:
    """What a run of a grid did."""

    computed: int = 0
    failed: int = 0
    skipped: int = 0
    failed_before: int = 0
    stopped: bool = False
    errors: list[Exception] = field(default_factory=list)


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
) -> Summary:
    """Compute every cell that has no row yet and save its row.

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

    Returns
    -------
    Summary
        Counts of cells; `failed_before` are among those that were skipped.

    Raises
    ------
    InputError
        To trace without a GPU.
    StorageError
        When a row or an embedding cannot be written: there is no point in computing what cannot
        be kept.
    """
    watcher = watcher or Watcher()
    summary = Summary()
    if trace:
        check_trace(on)
    layout = on.prepare()
    store.sweep()
    with store.running() as tell:
        for unit in units:
            if stop():
                summary.stopped = True
                break
            known = known_of(unit, store, options, watcher)
            states = states_of(unit, known, store, on, watcher=watcher)
            todo = dataclasses.replace(unit, cells=_todo(states, redo))
            summary.skipped += len(unit.cells) - len(todo.cells)
            summary.failed_before += 0 if redo != "none" else list(states.values()).count("failed")
            if not todo.cells:
                continue
            watcher.unit(unit, len(todo.cells))
            tell({"unit": str(unit), "cells": len(todo.cells)})
            how = {"stop": stop, "watcher": watcher, "trace": trace}
            for result in _results(todo, store, on, options, **how):
                if layout:
                    result.row.setdefault("device", {})["memory"] = layout
                if save_bad_input or not isinstance(result.error, InputError):
                    store.save_row(unit, result.row, result.labels if save_labels else None)
                _count(summary, result)
                watcher.row(result.row)
    summary.stopped = summary.stopped or stop()
    return summary


def _count(summary: Summary, result: Result) -> None:
    summary.computed += 1
    if result.error is not None:
        summary.failed += 1
        summary.errors.append(result.error)


def _attempt(what: str, stage: Callable[..., Any], *args: Any, on: Backend, trace: bool) -> Outcome:
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
    with blocks.smaller_blocks(0.5):
        second = _caught(run)
    told = f"ran out of memory ({said}) and was run again with blocks of half the size"
    return second._replace(warnings=(*second.warnings, told))


def _caught(run: Callable[[], Outcome]) -> Outcome:
    start = time.perf_counter()
    try:
        return run()
    except StorageError:
        raise
    except Exception as error:  # noqa: BLE001 - it becomes a row, with its traceback
        _forget_arrays(error)
        return Outcome(None, time.perf_counter() - start, (), error)


def _forget_arrays(error: BaseException | None) -> None:
    """Keep where an error came from, but none of the arrays that its frames hold."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def states_of(
    unit: Unit, known: Known, store: Store, on: Backend, *, watcher: Watcher
) -> dict[Cell, str]:
    """Tell for every cell of a unit whether its row says done or failed, or is not there: left."""
    states = {}
    for cell in unit.cells:
        try:
            row = store.read_row(store.row_path(unit, key_of(cell, known, on)))
        except DamagedFileError as error:
            watcher.note(str(error))
            row = None
        states[cell] = "left" if row is None else {"ok": "done"}.get(row["status"], "failed")
    return states


def _todo(states: dict[Cell, str], redo: str) -> tuple[Cell, ...]:
    wanted = {"none": ("left",), "failed": ("left", "failed"), "all": ("left", "failed", "done")}
    if redo not in wanted:
        raise unknown("redo", redo, wanted)
    return tuple(cell for cell, state in states.items() if state in wanted[redo])


def key_of(cell: Cell, known: Known, on: Backend) -> str:
    """Give the key of a cell's row, with k filled in where the classes are known."""
    cell = cell.filled(known.n_classes)
    return cell.key(fingerprint=known.fingerprint, backend=on.name)


def _results(
    unit: Unit,
    store: Store,
    on: Backend,
    options: Options,
    *,
    stop: Callable[[], bool],
    watcher: Watcher,
    trace: bool,
) -> Iterator[Result]:
    """Embed what is missing, then compute; a unit without an embedding fails cell by cell."""
    how = {"on": on, "trace": trace}
    loaded = _attempt("loading", load_unit, unit, store, on, options, watcher, **how)
    if loaded.error is not None:
        known = known_of(unit, store, options, watcher)
        yield from (_unloaded(cell, known, on, loaded) for cell in unit.cells)
        return
    for cell in unit.cells:  # what failed before the embedding could be made is outdated
        store.row_path(unit, key_of(cell, Known(), on)).unlink(missing_ok=True)

    def attempt(what: str, stage: Callable[..., Any], *args: Any) -> Outcome:
        watcher.stage(unit, what)
        return _attempt(what, stage, *args, **how)

    for result in pipeline.run_unit(unit, loaded.value, on, attempt=attempt, stop=stop):
        if loaded.device:
            result.row.setdefault("device", {})["load"] = loaded.device
        yield result


def _unloaded(cell: Cell, known: Known, on: Backend, loaded: Outcome) -> Result:
    row = {
        "status": "failed",
        "key": key_of(cell, known, on),
        **asked_values(cell),
        "backend": on.name,
        **pipeline.failure(loaded),
        "finished": host.now(),
        "host": host.facts(),
    }
    return Result(row, None, loaded.error)


def status(
    units: Iterable[Unit], store: Store, on: Backend, *, options: Options = DEFAULT_OPTIONS
) -> dict[str, Any]:
    """Count the cells of a grid: done, failed, running, left; and name what is running.

    A live process that works on a unit computes one of its cells; a cell without a row is left
    until its row is written.
    """
    counts: Counter[str] = Counter(done=0, failed=0, running=0, left=0)
    now = store.running_now()
    for unit in units:
        known = known_of(unit, store, options, Watcher())
        states = Counter(states_of(unit, known, store, on, watcher=Watcher()).values())
        running = min(states["left"], sum(told.get("unit") == str(unit) for told in now))
        counts.update(states)
        counts.update(running=running, left=-running)
    return {"cells": sum(counts.values()), **counts, "now": now}


def rows_of(
    units: Iterable[Unit], store: Store, on: Backend, options: Options = DEFAULT_OPTIONS
) -> list[dict[str, Any]]:
    """Read the rows that the cells of some units have; cells without one are left out."""
    found = []
    for unit in units:
        known = known_of(unit, store, options, Watcher())
        for cell in unit.cells:
            with contextlib.suppress(DamagedFileError):
                row = store.read_row(store.row_path(unit, key_of(cell, known, on)))
                found += [] if row is None else [row]
    return found
