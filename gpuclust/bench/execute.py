"""Call the pipeline on behalf of all benchmarks: its interface is used in this module only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from .. import pipeline
from ..cell import Cell, Unit, units_of
from ..device import backend
from ..device.backend import Backend
from ..embeddings.data import Data
from ..events import Watcher
from ..grid.attempt import Attempt
from ..methods.build import neighbors_of
from ..methods.spec import Spec
from ..methods.table import CLUSTERERS
from ..row import Outcome, Result

# Functions of the pipeline that are stages of a row.
STAGES = ("reduce", "cluster", "score")
Note = Callable[[str, Outcome | None], None]


def select(name: str, *, dry: bool = False) -> Backend:
    """Select a backend and set up its memory; a dry run takes the CPU in place of the GPU."""
    on = backend.select("cpu" if dry else name)
    on.prepare()
    return on


def reduce(X: Any, chain: tuple[Spec, ...], seed: int, on: Backend) -> Any:
    """Reduce X (n, d) to (n, m)."""
    return pipeline.reduce(X, chain, seed, on).Z


def cluster(X: Any, spec: Spec, k: int | None, seed: int, on: Backend) -> Any:
    """Cluster X (n, d) into labels (n,) int64, with no trees or neighbors from an earlier call."""
    wants = CLUSTERERS[spec.name].wants_k(dict(spec.params))
    cell = Cell("bench", "all", "vectors", "own", (), spec, k=k if wants else None, seed=seed)
    representation = pipeline.Representation(X, neighbors_of(X, on), {}, Outcome(None, 0.0))
    return pipeline.cluster(representation, cell, on).labels


def neighbors(X: Any, k: int, on: Backend) -> Any:
    """Find the `k` nearest neighbors of every sample, itself included: indices (n, k)."""
    return neighbors_of(X, on)(k, "euclidean")[1]


def unit_of(reducers: Iterable[str], clusterers: Iterable[str], **how: Any) -> Unit:
    """Combine every reducer with every clusterer on one given embedding."""
    place = {"dataset": "given", "split": "all", "encoder": "given"}
    pairs = [(reducer, clusterer) for reducer in reducers for clusterer in clusterers]
    cells = (Cell.of(**(place | how), reducer=r, clusterer=c) for r, c in pairs)
    (unit,) = units_of(cells)
    return unit


def run_unit(
    unit: Unit, data: Data, on: Backend, *, note: Note | None = None, trace: bool = False
) -> Iterator[Result]:
    """Run a unit and yield its results; failures become rows, as in a grid.

    Parameters
    ----------
    note : callable (stage, outcome), optional
        Called with None when a stage begins, and with its outcome when it ends.
    trace : bool
        Record the copies between host and device.
    """
    reducer = ""
    recorded = Attempt(unit, on, Watcher(), lambda work: None, "bench", trace)

    def attempt(what: str, stage: Callable[..., Any], *args: Any) -> Outcome:
        nonlocal reducer
        kind = stage.__name__ if stage.__name__ in STAGES else "other"
        reducer = what if kind == "reduce" else reducer
        name = f"{kind}: {reducer} | {what}" if kind == "score" else f"{kind}: {what}"
        if note:
            note(name, None)
        outcome = recorded(what, stage, *args)
        if note:
            note(name, outcome)
        return outcome

    yield from pipeline.run_unit(unit, data, on, attempt=attempt)


def array_of(value: Any) -> Any | None:
    """Return the array among the values of a stage: a reduced embedding, or labels."""
    return getattr(value, "Z", getattr(value, "labels", None))


def run_grid(
    units: Iterable[Unit], root: Path, on: Backend, *, trace: bool
) -> list[dict[str, Any]]:
    """Run units as `gpuclust grid` does, images included, and return all rows of `root`."""
    from ..grid import run
    from ..store.store import Store

    store = Store(root)
    run.run_grid(units, store, on, trace=trace)
    return store.rows()[0]
