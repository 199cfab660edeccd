"""Rows of results: the outcome of the stages of a cell, as JSON values."""

from __future__ import annotations

import traceback
from typing import Any, NamedTuple, Protocol

from .arrays.transfer import to_host
from .cell import Cell, KeyedCell, ResolvedUnit
from .device import machine
from .device.backend import Backend
from .embeddings.data import Data
from .store.labels import Assignments

Row = dict[str, Any]


class Outcome(NamedTuple):
    """Value or error of a stage, its seconds and its warnings.

    `device` holds what `Backend.watch` measured; it is empty on the CPU.
    """

    value: Any
    seconds: float
    warnings: tuple[str, ...] = ()
    error: Exception | None = None
    device: dict[str, Any] = {}  # noqa: RUF012 - never changed


class Result(NamedTuple):
    """The row of a cell, ready for JSON, with its labels (n,) or its error.

    Of a successful cell also: `strength` (n,), the membership probability of HDBSCAN, 0 for noise,
    and None for methods without one; the representation `Z` (n, m); and the `data` of the unit.
    """

    row: Row
    labels: Any | None
    error: Exception | None = None
    strength: Any | None = None
    Z: Any | None = None
    data: Data | None = None

    def assignments(self) -> Assignments | None:
        """Return the clusters of all samples with their names, on the host; None on failure."""
        if self.labels is None or self.data is None:
            return None
        strength = None if self.strength is None else to_host(self.strength)
        paths, truth = names_and_truth(self.data)
        return Assignments(to_host(self.labels), paths, truth, strength)


def names_and_truth(data: Data) -> tuple[tuple[str, ...] | None, list[Any] | None]:
    """Return the paths of the samples, and their classes by name, or by number without names.

    None where there are none; O(n).  A sample without a label has the class None.
    """
    paths, class_names = data.names()
    if data.y is None:
        return paths, None
    known = class_names or ()
    truth = [known[k] if 0 <= k < len(known) else k for k in to_host(data.y).tolist()]
    if data.labelled is not None:
        labelled = to_host(data.labelled).tolist()
        truth = [k if has else None for k, has in zip(truth, labelled, strict=True)]
    return paths, truth


class Kept(Protocol):
    """Place for clusterings without scores yet, so that a killed run does not lose them."""

    def find(self, keyed: KeyedCell, Z: Any) -> Outcome | None:
        """Return the clustering of a cell of the representation `Z`, or None."""

    def put(self, keyed: KeyedCell, Z: Any, clustered: Outcome) -> None:
        """Keep the clustering of a cell until its row is written."""


class NothingKept:
    """Keep no clustering."""

    def find(self, keyed: KeyedCell, Z: Any) -> None:
        """Find nothing."""

    def put(self, keyed: KeyedCell, Z: Any, clustered: Outcome) -> None:
        """Keep nothing."""


class UnitRows(NamedTuple):
    """Makes the rows of a unit."""

    unit: ResolvedUnit
    data: Data
    on: Backend

    def _columns(self, keyed: KeyedCell) -> Row:
        """Return the columns of every row, whether the cell succeeded or failed."""
        gpu = {"gpu": machine.gpu()} if self.on.name == "gpu" else {}
        some = {} if self.data.labelled is None else {"n_labelled": self.data.n_labelled}
        return {
            "key": keyed.key,
            **asked_values(keyed.cell),
            "backend": self.on.name,
            "n": int(self.data.X.shape[0]),
            "d": int(self.data.X.shape[1]),
            "n_classes": self.data.n_classes,
            **some,  # when not all samples have a label
            "resolved": self.unit.identity(keyed.cell),
            "finished": machine.now(),
            "host": {**machine.facts(), **gpu},
        }

    def done(self, keyed: KeyedCell, made: Outcome, clustered: Outcome, scored: Outcome) -> Result:
        """Make the row of a successful cell."""
        outcomes = {"reduce": made, "cluster": clustered, "score": scored}
        stages = {name: outcome.seconds for name, outcome in outcomes.items()}
        device = {name: outcome.device for name, outcome in outcomes.items() if outcome.device}
        row = {
            "status": "ok",
            **self._columns(keyed),
            "ran": {"reducer": list(made.value.ran), "clusterer": clustered.value.ran},
            "seconds": sum(stages.values()),
            "stages": stages,
            **({"device": device} if device else {}),
            "scores": scored.value.scores,
            "undefined": scored.value.undefined,
            "warnings": [*made.warnings, *clustered.warnings],
        }
        labels, strength = clustered.value.labels, clustered.value.strength
        return Result(row, labels, None, strength, made.value.Z, self.data)

    def failed(self, keyed: KeyedCell, outcome: Outcome) -> Result:
        """Make the row of a failed cell."""
        row = {"status": "failed", **self._columns(keyed), **failure(outcome)}
        return Result(row, None, outcome.error)


def failure(outcome: Outcome) -> Row:
    """Return the columns of a failed row: type, message and traceback of the error."""
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


def without_result(keyed: KeyedCell, on: Backend, outcome: Outcome) -> Result:
    """Make the failed row of a cell without a result, from the error of `outcome`."""
    row = {
        "status": "failed",
        "key": keyed.key,
        **asked_values(keyed.cell),
        "backend": on.name,
        **failure(outcome),
        "finished": machine.now(),
        "host": machine.facts(),
    }
    return Result(row, None, outcome.error)


def asked_values(cell: Cell) -> Row:
    """Return the coordinates of a cell, as in a row."""
    return {
        "dataset": cell.dataset,
        "split": cell.split,
        "encoder": cell.encoder,
        "preprocess": cell.preprocess,
        "reducer": cell.reducer_text,
        "clusterer": str(cell.clusterer),
        "k": cell.k,
        "seed": cell.seed,
    }
