"""Status of each cell of a unit: done, failed or missing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..cell import ResolvedUnit, Unit
from ..device.backend import Backend
from ..embeddings.load import DEFAULT_OPTIONS, Options, look_up
from ..errors import DamagedFileError
from ..events import Watcher
from ..store.store import Store


class State(NamedTuple):
    """Status of a cell, ``done``, ``failed`` or ``missing``, and the run of its row."""

    name: str
    run: str | None = None


MISSING = State("missing")


def states_of(resolved: ResolvedUnit, store: Store, watcher: Watcher) -> list[State]:
    """Read the status of every cell of a unit, in order; a damaged row counts as missing."""
    states = []
    for path in store.row_paths(resolved.unit, (keyed.key for keyed in resolved.cells)):
        try:
            row = store.read_row(path)
        except DamagedFileError as error:
            watcher.note(str(error))
            row = None
        states.append(MISSING if row is None else _state(row))
    return states


def _state(row: dict[str, Any]) -> State:
    return State("done" if row["status"] == "ok" else "failed", row.get("run"))


def rows_of(
    units: Iterable[Unit | ResolvedUnit],
    store: Store,
    on: Backend,
    options: Options = DEFAULT_OPTIONS,
) -> list[dict[str, Any]]:
    """Read the rows of the cells of some units; cells without a row are left out.

    A `Unit` costs one lookup of its embedding; a `ResolvedUnit` (see `Summary.units`) costs none.
    """
    found = []
    for unit in units:
        if isinstance(unit, Unit):
            unit = look_up(unit, store, options, Watcher()).resolve(on.name)
        for path in store.row_paths(unit.unit, (keyed.key for keyed in unit.cells)):
            with contextlib.suppress(DamagedFileError):
                row = store.read_row(path)
                found += [] if row is None else [row]
    return found
