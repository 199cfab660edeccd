"""One cell with its arrays, for the command line and for Python."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import row as rows
from ..arrays import accept
from ..cell import Cell, Unit, units_of
from ..device.backend import Backend
from ..embeddings.data import Data
from ..embeddings.load import Options, load_unit, look_up
from ..errors import CellError, DamagedFileError, GpuclustError
from ..events import Watcher
from ..grid import run as grid
from ..grid.states import rows_of
from ..pipeline import reduce
from ..row import Row
from ..store import labels
from ..store.labels import Assignments
from ..store.store import Store
from .result import Result


class Found(NamedTuple):
    """Row of a cell; its arrays when it was computed just now, its labels file when it existed.

    `row` is None when the run was stopped before it.
    """

    row: Row | None
    result: rows.Result | None = None
    saved: Assignments | None = None

    @property
    def computed(self) -> bool:
        """True when the cell was computed just now."""
        return self.result is not None


def run_cell(
    cell: Cell,
    store: Store,
    on: Backend,
    *,
    force: bool = False,
    need_labels: bool = False,
    **how: Any,
) -> Found:
    """Compute one cell, or read its row, and raise the error of a failed one.

    Parameters
    ----------
    cell, store, on
        The cell, the store of its row, and the backend.
    force : bool
        Compute it again although it has a row.
    need_labels : bool
        Compute it again when its row exists without a file of its labels.
    **how
        Passed to `gpuclust.grid.run.run_grid`.
    """
    found = _run(cell, store, on, redo="all" if force else "failed", **how)
    if found.row is None or found.computed:
        return found
    saved = saved_labels(store, found.row)
    if saved is None and need_labels:
        return _run(cell, store, on, redo="all", **how)
    return found._replace(saved=saved)


def _run(cell: Cell, store: Store, on: Backend, *, redo: str, **how: Any) -> Found:
    units = units_of([cell])
    results: list[rows.Result] = []
    summary = grid.run_grid(
        units, store, on, redo=redo, save_bad_input=False, keep=results.append, **how
    )
    if summary.errors:
        raise summary.errors[0]
    found = rows_of(summary.keyed(units), store, on, how.get("options", Options()))
    return Found(found[0] if found else None, results[0] if results else None)


def saved_labels(store: Store, row: Row) -> Assignments | None:
    """Read the labels of a row; None when they were not saved, or are damaged."""
    try:
        found = labels.read(store.labels_path(row["key"]))
    except DamagedFileError:
        return None  # computed again, which writes the file anew
    return found if found is not None and len(found.cluster) == row["n"] else None


def result_of(
    found: Found,
    cell: Cell,
    store: Store,
    on: Backend,
    options: Options,
    *,
    like: Any | None = None,
    notes: tuple[str, ...] = (),
) -> Result:
    """Return the result of a cell for users of Python.

    Parameters
    ----------
    found : Found
        With a row, and with its arrays or its saved labels.
    cell, store, on, options
        As for `run_cell`.
    like : array, optional
        The arrays of the result get its type; NumPy by default.
    notes : tuple of str
        See `Result`.
    """
    back = functools.partial(accept.returned, given=like)
    (unit,) = units_of([cell])
    load = functools.cache(lambda: _load(unit, store, on, options))
    row = found.row or {}
    if found.result is not None:
        new, data = found.result, found.result.data
        strength = None if new.strength is None else back(new.strength)
        get = load if data is None else lambda: data
        return Result(back(new.labels), strength, row, notes, get, lambda: back(new.Z))
    if found.saved is None:
        raise GpuclustError(f"row {row.get('key')} has no labels. Run it again with --force.")
    saved = found.saved
    strength = None if saved.strength is None else back(saved.strength)
    again = functools.partial(_reduced_again, load, cell, on)
    return Result(back(saved.cluster), strength, row, notes, load, lambda: back(again()))


def _load(unit: Unit, store: Store, on: Backend, options: Options) -> Data:
    watcher = Watcher()
    return load_unit(look_up(unit, store, options, watcher), store, on, options, watcher)


def _reduced_again(load: Callable[[], Data], cell: Cell, on: Backend) -> Any:
    """Reduce the vectors of an earlier row once more."""
    if any(dict(spec.params).get("seeded") is False for spec in cell.reducer):
        raise CellError(
            f"{cell.reducer_text} gives another layout in every run, so the one of this row is "
            "gone. Run it again with --force, and its layout stays in memory."
        )
    return reduce(load().X, cell.reducer, cell.seed, on).Z
