"""One unit from its embedding to its rows: reduce, cluster, score.

The stages are pure functions.  `run_unit` neither saves, prints nor catches: `attempt` decides what
happens when a stage fails (`measured` lets the error through, a grid records it).
"""

from __future__ import annotations

import contextlib
import functools
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import array_api_compat

from .arrays.shared_neighbors import SharedNeighbors
from .cell import Cell, Unit, asked_values
from .device import machine
from .device.backend import Backend, Trace
from .embeddings.data import Data
from .errors import BackendError, CellError, InputError
from .methods.build import build, load_class, neighbors_of
from .methods.spec import Spec, chain_text
from .methods.table import CLUSTERERS, REDUCERS, Fit
from .metrics import suite

Row = dict[str, Any]


class Outcome(NamedTuple):
    """What a stage gave: its value or its error, the seconds it took and what it warned of.

    `device` says what it did on the device, see `Backend.watch`; empty on the CPU.
    """

    value: Any
    seconds: float
    warnings: tuple[str, ...] = ()
    error: Exception | None = None
    device: dict[str, Any] = {}  # noqa: RUF012 - never changed


class Reduced(NamedTuple):
    """A reduced embedding (n, m) and the classes that made it, one per step."""

    Z: Any
    ran: tuple[str, ...]


class Clustered(NamedTuple):
    """Labels (n,) int64 on the device of the run, and the class that found them."""

    labels: Any
    ran: str


class Space(NamedTuple):
    """A reduced embedding, with the graph and the trees that its clusterings share."""

    Z: Any
    neighbors: SharedNeighbors
    trees: dict[tuple[str, str], Any]
    made: Outcome


class Result(NamedTuple):
    """The row of a cell, ready for JSON, with its labels (n,) or its error."""

    row: Row
    labels: Any | None
    error: Exception | None = None


def measured(
    what: str, stage: Callable[..., Any], *args: Any, on: Backend, trace: Trace | None = None
) -> Outcome:
    """Run a stage, take its time and collect its warnings; errors go through.

    `what` says in words what is done, for whoever shows it.  On a GPU the clock is read when the
    device is idle, and its memory is watched; with `trace` also its transfers.
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
    """Keep what a user can act on: not the deprecations inside libraries, and each text once."""
    quiet = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
    kept = [w for w in caught if not issubclass(w.category, quiet)]
    return tuple(dict.fromkeys(f"{w.category.__name__}: {w.message}" for w in kept))


def run_unit(
    unit: Unit,
    data: Data,
    on: Backend,
    *,
    attempt: Callable[..., Outcome] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Result]:
    """Compute the cells of a unit and yield their results.

    Cells with the same reducer and seed share the reduced space and are scored together, so their
    rows come together.  When `stop` answers True, no further cell is begun; what was clustered is
    still scored and yielded.

    Parameters
    ----------
    unit : Unit
        Only the cells that are to be computed.
    data : Data
        The embedding of the unit; finite, see `check_finite`.  What is on the host is brought to
        the device of the run once.
    on : Backend
        Where to run.
    attempt : callable (what, stage, *args) -> Outcome
        Runs a stage, `what` says in words which; an Outcome with an `error` becomes a failed row.
        `measured` by default, which lets errors through.
    stop : callable () -> bool
        Asked before every cell.
    """
    attempt = attempt or functools.partial(measured, on=on)
    _import_ahead(unit, on)
    data = on.place(data)
    graph = neighbors_of(data.X, on, most=_most_neighbors(unit.cells))
    for (chain, seed), cells in _by_space(unit.cells).items():
        if stop():
            return
        made = attempt(chain_text(chain), reduce, data.X, chain, seed, on, graph)
        if made.error:
            yield from (_failed(cell, data, on, made) for cell in cells)
            continue
        Z = made.value.Z
        shared = (
            graph if Z is data.X else neighbors_of(Z, on, most=_most_neighbors(cells, inside=True))
        )
        space = Space(Z, shared, {}, made)
        yield from _run_space(cells, space, data, on, attempt=attempt, stop=stop)


def _most_neighbors(cells: Iterable[Cell], *, inside: bool = False) -> int:
    """Find the largest number of neighbours that the methods ask for, so that one search will do.

    `inside` a reduced space only the clusterers search.
    """
    specs = [cell.clusterer for cell in cells]
    specs += [] if inside else [cell.reducer[0] for cell in cells]
    return max((dict(spec.params).get("n_neighbors") or 0 for spec in specs), default=0)


def _by_space(cells: tuple[Cell, ...]) -> dict[tuple[tuple[Spec, ...], int], list[Cell]]:
    groups: dict[tuple[tuple[Spec, ...], int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.reducer, cell.seed), []).append(cell)
    return groups


def _run_space(
    cells: list[Cell],
    space: Space,
    data: Data,
    on: Backend,
    *,
    attempt: Callable[..., Outcome],
    stop: Callable[[], bool],
) -> Iterator[Result]:
    """Cluster one space in every way that is asked for, then score all of it in one pass."""
    clustered: list[tuple[Cell, Outcome]] = []
    for asked in cells:
        if stop():
            break
        what = f"{asked.reducer_text} | {asked.clusterer}"
        outcome = attempt(what, _cluster, space, asked, data, on)
        if outcome.error:
            yield _failed(asked, data, on, outcome)
        else:
            clustered.append((asked.with_k(data.n_classes), outcome))
    for names, group in _by_metrics(clustered).items():
        label_sets = [outcome.value.labels for _, outcome in group]
        scored = attempt(f"scoring {len(group)}", _score, label_sets, space, data, names)
        for i, (cell, outcome) in enumerate(group):
            if scored.error:
                yield _failed(cell, data, on, scored)
            else:
                yield _done(_facts(cell, data, on), space, outcome, scored, i, of=len(group))


def _by_metrics(
    clustered: list[tuple[Cell, Outcome]],
) -> dict[tuple[str, ...], list[tuple[Cell, Outcome]]]:
    groups: dict[tuple[str, ...], list[tuple[Cell, Outcome]]] = {}
    for cell, outcome in clustered:
        groups.setdefault(cell.metrics, []).append((cell, outcome))
    return groups


def _import_ahead(unit: Unit, on: Backend) -> None:
    """Import what the cells need, so that no stage's time contains an import."""
    specs = [(CLUSTERERS, cell.clusterer) for cell in unit.cells]
    specs += [(REDUCERS, spec) for cell in unit.cells for spec in cell.reducer]
    forms = {form for table, spec in specs for form in getattr(table[spec.name], on.name)}
    for form in forms:
        with contextlib.suppress(BackendError):  # told again when the cell is built
            load_class(form.path)


def reduce(
    X: Any, chain: tuple[Spec, ...], seed: int, on: Backend, graph: SharedNeighbors | None = None
) -> Reduced:
    """Apply a chain of reducers to `X` (n, d) and return (n, m); ``none`` returns `X` itself.

    `graph` is that of `X`, where somebody shares it.
    """
    Z, ran = X, []
    for spec in chain:
        if graph is None or Z is not X:
            graph = neighbors_of(Z, on)
        n, d = Z.shape
        fit = Fit(n=n, d=d, k=None, seed=seed, trees={}, neighbors=graph)
        built = build(spec.name, dict(spec.params), fit, on)
        Z = built.estimator.fit_transform(Z)
        ran.append(built.path)
    xp = array_api_compat.array_namespace(Z)
    if not bool(xp.all(xp.isfinite(Z))):
        raise CellError(f"{chain_text(chain)} gave NaN or infinite values.")
    return Reduced(Z, tuple(ran))


def cluster(space: Space, cell: Cell, on: Backend) -> Clustered:
    """Cluster a space and return the labels (n,), int64; -1 means unclustered.

    Raises
    ------
    InputError
        When there are fewer than two samples, or fewer than k.
    CellError
        When the method needs more of them.
    """
    n, d = space.Z.shape
    if n < 2:
        raise InputError(f"clustering needs at least 2 samples; {cell.dataset} has {n}.")
    if cell.k is not None and cell.k > n:
        raise InputError(f"k={cell.k} is more than the {n} samples. Give a k of at most {n}.")
    spec = cell.clusterer
    fit = Fit(n, d, cell.k, cell.seed, trees=space.trees, neighbors=space.neighbors)
    built = build(spec.name, dict(spec.params), fit, on)
    labels = built.estimator.fit_predict(space.Z)
    xp = array_api_compat.array_namespace(labels)
    return Clustered(xp.astype(labels, xp.int64, copy=False), built.path)


def _cluster(space: Space, asked: Cell, data: Data, on: Backend) -> Clustered:
    """Cluster a space, with k filled in where the number of classes is to be taken."""
    return cluster(space, asked.with_k(data.n_classes), on)


def _score(
    label_sets: list[Any], space: Space, data: Data, names: tuple[str, ...]
) -> list[suite.Scored]:
    return suite.score_all(label_sets, X=data.X, Z=space.Z, y=data.y, names=names)


def _facts(cell: Cell, data: Data, on: Backend) -> Row:
    """Columns that a row has whether it succeeded or not."""
    cell = cell.filled(data.n_classes)
    return {
        "key": cell.key(fingerprint=data.fingerprint, backend=on.name),
        **asked_values(cell),
        "backend": on.name,
        "n": int(data.X.shape[0]),
        "d": int(data.X.shape[1]),
        "n_classes": data.n_classes,
        "resolved": cell.identity(fingerprint=data.fingerprint, backend=on.name),
        "finished": machine.now(),
        "host": {**machine.facts(), **({"gpu": machine.gpu()} if on.name == "gpu" else {})},
    }


def _done(
    facts: Row, space: Space, clustered: Outcome, scored: Outcome, i: int, *, of: int
) -> Result:
    """Make the row of the i-th cell `of` so many that were scored together: each has its share."""
    outcomes = {"reduce": space.made, "cluster": clustered, "score": scored}
    stages = {name: outcome.seconds for name, outcome in outcomes.items()}
    stages["score"] /= of
    device = {name: outcome.device for name, outcome in outcomes.items() if outcome.device}
    row = {
        "status": "ok",
        **facts,
        "ran": {"reducer": list(space.made.value.ran), "clusterer": clustered.value.ran},
        "seconds": sum(stages.values()),
        "stages": stages,
        **({"device": device} if device else {}),
        "scores": scored.value[i].scores,
        "undefined": scored.value[i].undefined,
        "warnings": [*space.made.warnings, *clustered.warnings],
    }
    return Result(row, clustered.value.labels)


def _failed(cell: Cell, data: Data, on: Backend, outcome: Outcome) -> Result:
    row = {"status": "failed", **_facts(cell, data, on), **failure(outcome)}
    return Result(row, None, outcome.error)


def failure(outcome: Outcome) -> Row:
    """Give the columns that say why there is no result: type, message and traceback."""
    error = outcome.error
    return {
        "seconds": outcome.seconds,
        "scores": {},
        "warnings": list(outcome.warnings),
        "error": {
            "type": type(error).__name__,
            "message": str(error),
            "traceback": "".join(traceback.format_exception(error)),
        },
    }
