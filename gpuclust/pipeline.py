"""One unit, from its embedding to its rows: reduce, cluster, score.

The stages are pure functions.  `run_unit` neither saves, prints nor catches errors: `attempt`
decides what happens when a stage fails (`measured` raises, a grid records the error), and `kept`
what happens to a clustering that waits for its scores (a grid writes it to the disk).
"""

from __future__ import annotations

import contextlib
import functools
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, NoReturn

import array_api_compat

from .arrays.shared_neighbors import SharedNeighbors
from .cell import Cell, KeyedCell, ResolvedUnit, Unit
from .device.backend import Backend, Trace
from .embeddings.data import Data
from .errors import CellError, InputError
from .methods.build import build, neighbors_of
from .methods.spec import Spec, chain_text
from .methods.table import CLUSTERERS, REDUCERS, Fit
from .methods.units import fit_transform, unit_for
from .metrics import suite
from .registry import load_target
from .row import Kept, NothingKept, Outcome, Result, UnitRows

# Warnings for authors of libraries: nothing that a user can act on.
QUIET = (
    DeprecationWarning, PendingDeprecationWarning, FutureWarning, ImportWarning, ResourceWarning,
    SyntaxWarning, BytesWarning, EncodingWarning,
)  # fmt: skip
Attempt = Callable[..., Outcome]  # (what, stage, *args)


class Reduced(NamedTuple):
    """A reduced embedding (n, m) and the import paths of its reducers."""

    Z: Any
    ran: tuple[str, ...]


class Clustered(NamedTuple):
    """Labels (n,) int64 on the device of the run, and the import path of the clusterer.

    `strength` (n,) is the membership probability of HDBSCAN, None for methods without one.
    """

    labels: Any
    ran: str
    strength: Any | None = None


class Representation(NamedTuple):
    """A reduced embedding, with the neighbor graph and trees shared by its clusterings."""

    Z: Any
    neighbors: SharedNeighbors
    trees: dict[tuple[str, str], Any]
    made: Outcome


def measured(
    what: str, stage: Callable[..., Any], *args: Any, on: Backend, trace: Trace | None = None
) -> Outcome:
    """Run a stage, measure its time and collect its warnings; errors are raised.

    `what` names the stage for progress reports and is not used here.  On a GPU the clock is read
    when the device is idle, and peak memory is measured; with `trace` also the copies.
    """
    del what
    with warnings.catch_warnings(record=True) as caught, on.watch(trace) as device:
        warnings.simplefilter("always")
        on.synchronize()
        start = time.perf_counter()
        value = stage(*args)
        on.synchronize()
        seconds = time.perf_counter() - start
    return Outcome(value, seconds, _texts(caught), None, device)


def _texts(caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """Return the texts of warnings, without repeats and those meant for authors of libraries."""
    kept = [w for w in caught if not issubclass(w.category, QUIET)]
    return tuple(dict.fromkeys(f"{w.category.__name__}: {w.message}" for w in kept))


def run_unit(
    unit: Unit | ResolvedUnit,
    data: Data,
    on: Backend,
    *,
    attempt: Attempt | None = None,
    stop: Callable[[], bool] = lambda: False,
    kept: Kept | None = None,
) -> Iterator[Result]:
    """Compute the cells of a unit and yield their results.

    Cells with the same reducer and seed share the representation and are scored together, so their
    rows come together; until then `kept` holds their clusterings.  When `stop` answers True, no
    further cell is begun; finished clusterings are still scored and yielded.

    Parameters
    ----------
    unit : Unit or ResolvedUnit
        The cells to compute.
    data : Data
        The embedding of the unit, finite (see `check_finite`).  Arrays on the host are copied to
        the device of the run once.
    on : Backend
        Backend that computes.
    attempt : callable (what, stage, *args) -> Outcome
        Runs a stage, named by the text `what`; an Outcome with an `error` becomes a failed row.
        `measured` by default, which raises errors.
    stop : callable () -> bool
        Called before every cell.
    kept : Kept, optional
        Clusterings of an earlier run that are only to be scored, and place for those of this run.
    """
    if isinstance(unit, Unit):
        unit = unit.resolve(data.fingerprint, data.n_classes, on.name)
    attempt, kept = attempt or functools.partial(measured, on=on), kept or NothingKept()
    _import_ahead(unit, on)
    data = on.place(data)
    graph = neighbors_of(data.X, on, most=_most_neighbors(unit.cells))
    rows = UnitRows(unit, data, on)
    for (chain, seed), cells in _by_representation(unit.cells).items():
        if stop():
            return
        made = attempt(chain_text(chain), reduce, data.X, chain, seed, on, graph)
        if made.error:
            yield from (rows.failed(keyed, made) for keyed in cells)
            continue
        shared = _represent(made, data.X, graph, cells, on)
        clustered, todo = _begun(cells, kept, shared.Z)
        for keyed in todo:
            if stop():
                break
            what = f"{keyed.cell.reducer_text} | {keyed.cell.clusterer}"
            outcome = attempt(what, *_stage(keyed, shared, on))
            if outcome.error:
                yield rows.failed(keyed, outcome)
            else:
                kept.put(keyed, shared.Z, outcome)
                clustered.append((keyed, outcome))
        yield from _scored(clustered, shared, data, rows, attempt)


def _begun(
    cells: list[KeyedCell], kept: Kept, Z: Any
) -> tuple[list[tuple[KeyedCell, Outcome]], list[KeyedCell]]:
    """Separate the cells that were clustered before from those to cluster."""
    found = [(keyed, kept.find(keyed, Z)) for keyed in cells]
    clustered = [(keyed, outcome) for keyed, outcome in found if outcome is not None]
    return clustered, [keyed for keyed, outcome in found if outcome is None]


def _represent(
    made: Outcome, X: Any, graph: SharedNeighbors, cells: list[KeyedCell], on: Backend
) -> Representation:
    """Give a reduced embedding its neighbor graph; without a reduction X shares its own."""
    Z = made.value.Z
    if Z is not X:
        graph = neighbors_of(Z, on, most=_most_neighbors(cells, reduced=True))
    return Representation(Z, graph, {}, made)


def _most_neighbors(cells: Iterable[KeyedCell], *, reduced: bool = False) -> int:
    """Return the largest number of neighbors of all methods: one search serves them all.

    In a `reduced` representation only the clusterers search.
    """
    specs = [cell.clusterer for cell, *_ in cells]
    specs += [] if reduced else [cell.reducer[0] for cell, *_ in cells]
    return max((dict(spec.params).get("n_neighbors") or 0 for spec in specs), default=0)


def _by_representation(
    cells: Iterable[KeyedCell],
) -> dict[tuple[tuple[Spec, ...], int], list[KeyedCell]]:
    groups: dict[tuple[tuple[Spec, ...], int], list[KeyedCell]] = {}
    for keyed in cells:
        groups.setdefault((keyed.cell.reducer, keyed.cell.seed), []).append(keyed)
    return groups


def _scored(
    clustered: list[tuple[KeyedCell, Outcome]],
    shared: Representation,
    data: Data,
    rows: UnitRows,
    attempt: Attempt,
) -> Iterator[Result]:
    """Score the clusterings of one representation, in one pass per list of metrics."""
    groups: dict[tuple[str, ...], list[tuple[KeyedCell, Outcome]]] = {}
    for keyed, outcome in clustered:
        groups.setdefault(keyed.cell.metrics, []).append((keyed, outcome))
    for names, group in groups.items():
        label_sets = [outcome.value.labels for _, outcome in group]
        scored = attempt(f"scoring {len(group)}", score, label_sets, shared, data, names)
        for i, (keyed, outcome) in enumerate(group):
            if scored.error:
                yield rows.failed(keyed, scored)
            else:
                share = scored._replace(value=scored.value[i], seconds=scored.seconds / len(group))
                yield rows.done(keyed, shared.made, outcome, share)


def _import_ahead(unit: ResolvedUnit, on: Backend) -> None:
    """Import and compile what the cells need before any stage is timed."""
    specs = [(CLUSTERERS, cell.clusterer) for cell, *_ in unit.cells]
    specs += [(REDUCERS, spec) for cell, *_ in unit.cells for spec in cell.reducer]
    implementations = {one for table, spec in specs for one in getattr(table[spec.name], on.name)}
    for implementation in implementations:
        with contextlib.suppress(Exception):  # raised again when the cell is built
            load_target(implementation.target)
            if implementation.ahead is not None:
                load_target(implementation.ahead)()


def reduce(
    X: Any, chain: tuple[Spec, ...], seed: int, on: Backend, graph: SharedNeighbors | None = None
) -> Reduced:
    """Apply a chain of reducers to `X` (n, d) and return (n, m); ``none`` returns `X` itself.

    `graph` is the neighbor graph of `X`; without it each reducer that needs one makes its own.
    """
    Z, ran = X, []
    for spec in chain:
        if graph is None or Z is not X:
            graph = neighbors_of(Z, on)
        n, d = Z.shape
        fit = Fit(n=n, d=d, k=None, seed=seed, trees={}, neighbors=graph)
        built = build(spec.name, dict(spec.params), fit, on)
        Z = fit_transform(built.estimator, Z)
        ran.append(built.path)
    xp = array_api_compat.array_namespace(Z)
    if not bool(xp.all(xp.isfinite(Z))):
        raise CellError(f"{chain_text(chain)} gave NaN or infinite values.")
    return Reduced(Z, tuple(ran))


def cluster(representation: Representation, cell: Cell, on: Backend) -> Clustered:
    """Cluster a representation and return the labels (n,), int64; -1 means unclustered.

    Raises
    ------
    InputError
        When there are fewer than two samples, or fewer than k.
    CellError
        When the method needs more samples.
    """
    n, d = representation.Z.shape
    if n < 2:
        raise InputError(f"clustering needs at least 2 samples; {cell.dataset} has {n}.")
    if cell.k is not None and cell.k > n:
        raise InputError(f"k={cell.k} is more than the {n} samples. Give a k of at most {n}.")
    spec = cell.clusterer
    trees, neighbors = representation.trees, representation.neighbors
    fit = Fit(n, d, cell.k, cell.seed, trees=trees, neighbors=neighbors)
    built = build(spec.name, dict(spec.params), fit, on)
    scaled = unit_for(built.estimator, representation.Z).scaled(representation.Z)
    labels = built.estimator.fit_predict(scaled)
    if remark := CLUSTERERS[spec.name].remark(dict(spec.params), labels):
        warnings.warn(remark, stacklevel=2)
    xp = array_api_compat.array_namespace(labels)
    strength = getattr(built.estimator, "probabilities_", None)
    return Clustered(xp.astype(labels, xp.int64, copy=False), built.path, strength)


def _stage(keyed: KeyedCell, representation: Representation, on: Backend) -> tuple[Any, ...]:
    """Return the stage of a cell and its arguments."""
    if keyed.problem is None:
        return cluster, representation, keyed.cell, on
    return _refuse, keyed.problem


def _refuse(problem: InputError) -> NoReturn:
    """Raise the error of an impossible cell, as a stage of its own."""
    raise problem


def score(
    label_sets: list[Any], representation: Representation, data: Data, names: tuple[str, ...]
) -> list[suite.Scored]:
    """Score the clusterings of one representation; see `suite.score_all`."""
    X, Z, y = data.X, representation.Z, data.y
    return suite.score_all(label_sets, X=X, Z=Z, y=y, names=names, labelled=data.labelled)
