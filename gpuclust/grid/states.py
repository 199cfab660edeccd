"""Which cells of a unit have a row, and what it says: done, failed, or not there: left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..cell import Cell, Unit
from ..device.backend import Backend
from ..embeddings.load import DEFAULT_OPTIONS, Known, Options, known_of
from ..errors import DamagedFileError
from ..events import Watcher
from ..store.store import Store


class State(NamedTuple):
    """What there is of a cell: ``done``, ``failed`` or ``left``, and the run that made its row."""

    name: str
    run: str | None = None


LEFT = State("left")


def key_of(cell: Cell, known: Known, on: Backend) -> str:
    """Give the key of a cell's row, with k filled in where the classes are known."""
    cell = cell.filled(known.n_classes)
    return cell.key(fingerprint=known.fingerprint, backend=on.name)


def states_of(
    unit: Unit, known: Known, store: Store, on: Backend, *, watcher: Watcher
) -> dict[Cell, State]:
    """Tell for every cell of a unit what there is of it; a row that is damaged is not there."""
    states = {}
    paths = store.row_paths(unit, (key_of(cell, known, on) for cell in unit.cells))
    for cell, path in zip(unit.cells, paths, strict=True):
        try:
            row = store.read_row(path)
        except DamagedFileError as error:
            watcher.note(str(error))
            row = None
        states[cell] = LEFT if row is None else _state(row)
    return states


def _state(row: dict[str, Any]) -> State:
    return State("done" if row["status"] == "ok" else "failed", row.get("run"))


def rows_of(
    units: Iterable[Unit], store: Store, on: Backend, options: Options = DEFAULT_OPTIONS
) -> list[dict[str, Any]]:
    """Read the rows that the cells of some units have; cells without one are left out."""
    found = []
    for unit in units:
        known = known_of(unit, store, options, Watcher())
        keys = (key_of(cell, known, on) for cell in unit.cells)
        for path in store.row_paths(unit, keys):
            with contextlib.suppress(DamagedFileError):
                row = store.read_row(path)
                found += [] if row is None else [row]
    return found
