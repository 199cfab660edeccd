"""One unit from its embedding to its rows: reduce, cluster, score.

The stages are pure functions.  `run_unit` neither saves, prints nor catches: `attempt` decides what
happens when a stage fails (`measured` lets the error through, a grid records it).
"""

from __future__ import annotations

import contextlib
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from . import host, scoring
from .backend import Backend, load_class
from .cell import Cell, Unit, asked_values
from .errors import BackendError, CellError, InputError
from .methods import CLUSTERERS, REDUCERS, Fit
from .spec import Spec, chain_text

Row = dict[str, Any]


class Data(NamedTuple):
    """An embedding and what is known of it.

    X is (n, d) float, y (n,) integer classes or None; `fingerprint` identifies the encoder, the
    preprocessing and the images, and is part of every key.
    """

    X: Any
    y: Any | None
    fingerprint: str

    @property
    def n_classes(self) -> int | None:
        """The number of true classes, None without labels."""
        return None if self.y is None else len(np.unique(self.y))


class Outcome(NamedTuple):
    """What a stage gave: its value or its error, the seconds it took and what it warned of."""

    value: Any
    seconds: float
    warnings: tuple[str, ...] = ()
    error: Exception | None = None


class Space(NamedTuple):
    """A reduced embedding, with the trees that its clusterings share and what it cost."""

    Z: Any
    trees: dict[tuple[str, str], Any]
    seconds: float
    warnings: tuple[str, ...]


class Result(NamedTuple):
    """The row of a cell, ready for JSON, with its labels (n,) or its error."""

    row: Row
    labels: Any | None
    error: Exception | None = None


def measured(what: str, stage: Callable[..., Any], *args: Any) -> Outcome:
    """Run a stage, take its time and collect its warnings; errors go through.

    `what` says in words what is done, for whoever shows it.
    """
    del what
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        value = stage(*args)
        seconds = time.perf_counter() - start
    return Outcome(value, seconds, _texts(caught))


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
    attempt: Callable[..., Outcome] = measured,
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
        The embedding of the unit; finite, see `check_finite`.
    on : Backend
        Where to run.
    attempt : callable (what, stage, *args) -> Outcome
        Runs a stage, `what` says in words which; an Outcome with an `error` becomes a failed row.
    stop : callable () -> bool
        Asked before every cell.
    """
    _import_ahead(unit, on)
    for (chain, seed), cells in _by_space(unit.cells).items():
        if stop():
            return
        reduced = attempt(chain_text(chain), reduce, data.X, chain, seed, on)
        if reduced.error:
            yield from (_failed(cell, data, on, reduced) for cell in cells)
            continue
        space = Space(reduced.value, {}, reduced.seconds, reduced.warnings)
        yield from _run_space(cells, space, data, on, attempt=attempt, stop=stop)


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
        filled = attempt(what, asked.with_k, data.n_classes)
        cell = filled.value if filled.error is None else asked
        outcome = filled if filled.error else attempt(what, cluster, space, cell, on)
        if outcome.error:
            yield _failed(cell, data, on, outcome)
        else:
            clustered.append((cell, outcome))
    for names, group in _by_metrics(clustered).items():
        label_sets = [outcome.value for _, outcome in group]
        scored = attempt(f"scoring {len(group)}", _score, label_sets, space, data, names)
        for i, (cell, outcome) in enumerate(group):
            if scored.error:
                yield _failed(cell, data, on, scored)
            else:
                share = scored.seconds / len(group)
                yield _done(_facts(cell, data, on), space, outcome, scored.value[i], share)


def _by_metrics(
    clustered: list[tuple[Cell, Outcome]],
) -> dict[tuple[str, ...], list[tuple[Cell, Outcome]]]:
    groups: dict[tuple[str, ...], list[tuple[Cell, Outcome]]] = {}
    for cell, outcome in clustered:
        groups.setdefault(cell.metrics, []).append((cell, outcome))
    return groups


def check_finite(X: Any, name: str) -> None:
    """Raise `InputError` unless `X` is a non-empty (n, d) array without NaN or infinity."""
    if X.ndim != 2 or 0 in X.shape:
        raise InputError(
            f"the embedding of {name} must be a non-empty (n, d) array; got {X.shape}."
        )
    bad = np.flatnonzero(~np.isfinite(np.asarray(X)).all(axis=1))
    if len(bad):
        raise InputError(
            f"the embedding of {name} has NaN or infinite values in {len(bad)} of {len(X)} "
            f"samples, first in row {bad[0]}. Embed again, or remove these samples."
        )


def _import_ahead(unit: Unit, on: Backend) -> None:
    """Import what the cells need, so that no stage's time contains an import."""
    specs = [(CLUSTERERS, cell.clusterer) for cell in unit.cells]
    specs += [(REDUCERS, spec) for cell in unit.cells for spec in cell.reducer]
    for path in {getattr(table[spec.name], on.name) for table, spec in specs}:
        if path is not None:
            with contextlib.suppress(BackendError):  # told again when the cell is built
                load_class(path)


def reduce(X: Any, chain: tuple[Spec, ...], seed: int, on: Backend) -> Any:
    """Apply a chain of reducers to `X` (n, d) and return (n, m); ``none`` returns `X` itself."""
    Z = X
    for spec in chain:
        fit = Fit(n=Z.shape[0], d=Z.shape[1], k=None, seed=seed, trees={})
        reducer = on.build(spec.name, REDUCERS[spec.name], dict(spec.params), fit)
        Z = reducer.fit_transform(Z)
    if not np.isfinite(Z).all():
        raise CellError(f"{chain_text(chain)} gave NaN or infinite values.")
    return Z


def cluster(space: Space, cell: Cell, on: Backend) -> Any:
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
    fit = Fit(n=n, d=d, k=cell.k, seed=cell.seed, trees=space.trees)
    estimator = on.build(spec.name, CLUSTERERS[spec.name], dict(spec.params), fit)
    return np.asarray(estimator.fit_predict(space.Z)).astype(np.int64)


def _score(
    label_sets: list[Any], space: Space, data: Data, names: tuple[str, ...]
) -> list[scoring.Scored]:
    return scoring.score_all(label_sets, X=data.X, Z=space.Z, y=data.y, names=names)


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
        "finished": host.now(),
        "host": host.facts(),
    }


def _done(
    facts: Row, space: Space, outcome: Outcome, scored: scoring.Scored, score_seconds: float
) -> Result:
    stages = {"reduce": space.seconds, "cluster": outcome.seconds, "score": score_seconds}
    row = {
        "status": "ok",
        **facts,
        "seconds": sum(stages.values()),
        "stages": stages,
        "scores": scored.scores,
        "undefined": scored.undefined,
        "warnings": [*space.warnings, *outcome.warnings],
    }
    return Result(row, outcome.value)


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
