"""One unit of a run: skip finished cells, compute the others and save their rows."""

from __future__ import annotations

import dataclasses
import os
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..cell import ResolvedUnit, Unit
from ..device.backend import Backend
from ..embeddings.load import (
    DEFAULT_OPTIONS,
    Lookup,
    Options,
    help_unit,
    is_current,
    load_unit,
    look_up,
)
from ..errors import CellError, InputError, unknown
from ..events import Stopped, Watcher
from ..pipeline import run_unit
from ..row import Outcome, Result, Row, without_result
from ..store.claims import Say
from ..store.store import Store
from .attempt import Attempt
from .kept import Clusterings
from .states import MISSING, State, states_of

# Cells to compute again although they have a row, by the state of the row.
REDO = {"none": (), "failed": ("failed",), "all": ("failed", "done")}


def never() -> bool:
    """Return False: the run is not asked to stop."""
    return False


@dataclass(frozen=True)
class Run:
    """Settings common to all units of one run.

    Attributes
    ----------
    store : Store
        Embeddings and rows.
    on : Backend
        Backend that computes.
    options : Options
        For embeddings that are missing.
    watcher : Watcher
        Receives progress events.
    stop : callable () -> bool
        Called before every cell; on True the run ends after the running step.
    redo : {"none", "failed", "all"}
        Cells to compute again although they have a row of another run.
    save_labels : bool
        Also write the labels of every computed cell.
    save_bad_input : bool
        Write a failed row for a cell with an invalid request, such as k above n.
    trace : bool
        Measure the copies between host and device.
    keep : callable (Result), optional
        Receives every saved result of this process, with its arrays.
    id : str
        Recorded in every row of the run, so that a unit that is begun again after its process
        died does not compute them twice.
    """

    store: Store
    on: Backend
    options: Options = DEFAULT_OPTIONS
    watcher: Watcher = field(default_factory=Watcher)
    stop: Callable[[], bool] = never
    redo: str = "none"
    save_labels: bool = False
    save_bad_input: bool = True
    trace: bool = False
    keep: Callable[[Result], None] | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def __post_init__(self) -> None:
        if self.redo not in REDO:
            raise unknown("redo", self.redo, REDO)

    def wants(self, state: State) -> bool:
        """Return whether a cell in this state is to be computed."""
        return state == MISSING or (state.run != self.id and state.name in REDO[self.redo])

    def _lacks_labels(self, state: State, key: str) -> bool:
        """Return whether the labels of a finished cell were asked for and are not on the disk."""
        done = self.save_labels and state.name == "done"
        return done and not self.store.labels_path(key).exists()

    def look_up(self, unit: Unit) -> Lookup:
        """Look for the embedding of a unit; see `gpuclust.embeddings.load.look_up`."""
        return look_up(unit, self.store, self.options, self.watcher)

    def split(self, resolved: ResolvedUnit) -> tuple[ResolvedUnit, list[State]]:
        """Return the unit reduced to the cells to compute, and the states of the other cells."""
        states = states_of(resolved, self.store, self.watcher)
        each = zip(states, resolved.cells, strict=True)
        wanted = [self.wants(state) or self._lacks_labels(state, cell.key) for state, cell in each]
        rest = [state for state, want in zip(states, wanted, strict=True) if not want]
        return resolved.only(wanted), rest


@dataclass
class Summary:
    """Counts of cells of a run, or of a part of it.

    Attributes
    ----------
    computed, failed : int
        Cells of this run; `failed` ones are among the computed.
    skipped, failed_before : int
        Cells that had a row; those with a failed one are counted in both.
    busy : int
        Units that another process was computing.
    stopped : bool
        The run was stopped early.
    errors : list of Exception
        Of the failed cells that were computed in this process.
    units : list of ResolvedUnit
        Units of the run with their keys; `states.rows_of` reads their rows without a new lookup.
    """

    computed: int = 0
    failed: int = 0
    skipped: int = 0
    failed_before: int = 0
    busy: int = 0
    stopped: bool = False
    errors: list[Exception] = field(default_factory=list)
    units: list[ResolvedUnit] = field(default_factory=list)

    def keyed(self, units: Iterable[Unit]) -> list[Unit | ResolvedUnit]:
        """Replace units by their resolved units, as far as known; see `states.rows_of`."""
        known = {resolved.unit: resolved for resolved in self.units}
        return [known.get(unit, unit) for unit in units]

    def add(self, other: Summary) -> None:
        """Add the counts of another part of the run."""
        for each in dataclasses.fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        self.stopped = bool(self.stopped)

    def count(self, states: list[State], run: str) -> None:
        """Count the cells of existing rows; rows of this run count as computed."""
        for state in states:
            mine, failed = state.run == run, state.name == "failed"
            self.computed += mine
            self.failed += mine and failed
            self.skipped += not mine
            self.failed_before += not mine and failed


def compute_unit(unit: Unit, run: Run) -> Summary:
    """Compute the missing cells of one unit and save their rows.

    The unit is claimed first.  When another process has it, this one helps to embed its images, if
    that is what is being done, and `busy` is 1.

    Raises
    ------
    StorageError
        When a row or an embedding cannot be written.
    """
    found = run.look_up(unit)
    resolved = found.resolve(run.on.name)
    todo, rest = run.split(resolved)
    summary = Summary()
    if todo.cells:
        with run.store.claim(unit) as say:
            if say is None:
                return _help(found, run)
            # The last owner of the unit may have embedded it, and computed some of its cells.
            if is_current(found, run.store):
                todo, more = run.split(todo)
                rest += more
            else:
                found = run.look_up(unit)
                resolved = found.resolve(run.on.name)
                todo, rest = run.split(resolved)
            if todo.cells:
                done = _compute(todo.unit, found, run, say, summary)
                if done.fingerprint != resolved.fingerprint:  # embedded just now
                    resolved = unit.resolve(done.fingerprint, done.n_classes, run.on.name)
    summary.count(rest, run.id)
    summary.units.append(resolved)
    return summary


def _help(found: Lookup, run: Run) -> Summary:
    """Help another process to embed a unit."""
    try:
        help_unit(found, run.store, run.on, run.options, run.watcher)
    except Stopped:
        return Summary(busy=1, stopped=True)
    return Summary(busy=1)


def _compute(unit: Unit, found: Lookup, run: Run, say: Say, summary: Summary) -> ResolvedUnit:
    """Load or compute the embedding of a unit, compute its cells, and save each row."""
    run.watcher.unit(unit, len(unit.cells))
    attempt = Attempt(unit, run.on, run.watcher, say, run.id, run.trace)
    layout = run.on.prepare()
    device: Row = {}
    resolved = dataclasses.replace(found, unit=unit).resolve(run.on.name)
    try:
        loaded = attempt("loading", load_unit, found, run.store, run.on, run.options, run.watcher)
        if loaded.error is not None:
            resolved = _after_failure(unit, found, run)
            results = _without_embedding(resolved, run.on, loaded)
        else:
            _remove_outdated(unit, run)
            device |= {"memory": layout} if layout else {}
            device |= {"load": loaded.device} if loaded.device else {}
            data = loaded.value
            resolved = unit.resolve(data.fingerprint, data.n_classes, run.on.name)
            kept = Clusterings(run.store, unit, run.on, run.id, every=run.redo != "all")
            results = run_unit(resolved, data, run.on, attempt=attempt, stop=run.stop, kept=kept)
        for result in results:
            if device:
                result.row.setdefault("device", {}).update(device)
            _save(resolved, result, run, summary)
    except Stopped:  # while embedding; between cells a run just ends
        summary.stopped = True
    _drop_frames(summary.errors)
    summary.stopped |= run.stop()
    return resolved


def _after_failure(unit: Unit, found: Lookup, run: Run) -> ResolvedUnit:
    """Resolve a unit after its loading failed; the embedding may exist all the same."""
    found = found if is_current(found, run.store) else run.look_up(unit)
    return dataclasses.replace(found, unit=unit).resolve(run.on.name)


def _remove_outdated(unit: Unit, run: Run) -> None:
    """Remove the failed rows from before the embedding could be computed."""
    never_embedded = unit.resolve(None, None, run.on.name)
    for path in run.store.row_paths(unit, (keyed.key for keyed in never_embedded.cells)):
        Path(path).unlink(missing_ok=True)


def _without_embedding(resolved: ResolvedUnit, on: Backend, loaded: Outcome) -> Iterator[Result]:
    """Fail all cells of a unit with the error of its embedding."""
    for keyed in resolved.cells:
        yield without_result(keyed, on, loaded)


def _write(unit: Unit, result: Result, run: Run) -> None:
    result.row.update(run=run.id, pid=os.getpid())
    if run.save_bad_input or not isinstance(result.error, InputError):
        assignments = result.assignments() if run.save_labels else None
        run.store.save_row(unit, result.row, assignments)


def _drop_frames(errors: Iterable[Exception]) -> None:
    """Replace the tracebacks of errors by text: their frames hold the arrays of the unit.

    Only when all rows are written, because cells that share a stage share its error.
    """
    for error in {id(error): error for error in errors}.values():
        text = "".join(traceback.format_exception(error))
        error.__cause__ = error.__context__ = None
        error.with_traceback(None).add_note(text)


def _save(resolved: ResolvedUnit, result: Result, run: Run, summary: Summary) -> None:
    """Write the row of a result; values unfit for JSON make it a failed row."""
    try:
        _write(resolved.unit, result, run)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        keyed = next(one for one in resolved.cells if one.key == result.row["key"])
        reason = CellError(f"the result cannot be saved: {error}.")
        result = without_result(keyed, run.on, Outcome(None, result.row["seconds"], (), reason))
        _write(resolved.unit, result, run)
    summary.computed += 1
    if result.error is not None:
        summary.failed += 1
        summary.errors.append(result.error)
    run.watcher.row(result.row)
    if run.keep is not None:
        run.keep(result)
