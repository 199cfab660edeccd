"""Cells, their keys, and units: all cells of one embedding.

A cell is one row of results.  All parameters are resolved before a cell runs, and its key hashes
all of them, so that a changed default never meets an old row.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import numbers
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

from .encoders.encoder import PREPROCESSINGS
from .errors import InputError, unknown
from .files.paths import expand
from .methods.spec import Spec, chain_text, parse_clusterer, parse_reducer
from .methods.table import CLUSTERERS
from .metrics import suite
from .registry import Resource
from .vectors.dataset import is_own, source_of


@dataclass(frozen=True)
class Cell:
    """One clustering of one reduced embedding: one row.

    Attributes
    ----------
    dataset, split, encoder, preprocess : str
        The embedding.
    reducer, clusterer : tuple of Spec, Spec
        With every parameter resolved.
    k : int or None
        Number of clusters; None when the clusterer finds it, or stands for the number of true
        classes (see `with_k`).
    seed : int
        Seed of the reducer and the clusterer.
    metrics : tuple of str
        Score names, resolved.
    """

    dataset: str
    split: str
    encoder: str
    preprocess: str
    reducer: tuple[Spec, ...]
    clusterer: Spec
    k: int | None = None
    seed: int = 0
    metrics: tuple[str, ...] = suite.DEFAULT

    @classmethod
    def of(
        cls,
        *,
        dataset: str,
        split: str,
        encoder: str,
        preprocess: str = "own",
        reducer: str | tuple[Spec, ...] = "none",
        clusterer: str | Spec,
        k: int | None = None,
        seed: int = 0,
        metrics: str | Sequence[str] = ("default",),
    ) -> Cell:
        """Build a cell from text, or from parsed specs.

        Raises
        ------
        InputError
            For a name or value that the tables do not have.

        Examples
        --------
        >>> cell = Cell.of(dataset="digits", split="all", encoder="raw", clusterer="kmeans", k=10)
        >>> cell.reducer_text, cell.k
        ('none', 10)
        """
        spec = clusterer if isinstance(clusterer, Spec) else parse_clusterer(clusterer)
        k = None if k is None else _whole("k", k, low=1)
        seed = _whole("seed", seed, low=0, high=2**32 - 1)
        metrics = [metrics] if isinstance(metrics, str) else metrics
        return cls(
            dataset=dataset,
            split=split,
            encoder=encoder,
            preprocess=check_preprocess(preprocess),
            reducer=reducer if isinstance(reducer, tuple) else parse_reducer(reducer),
            clusterer=spec,
            k=k if CLUSTERERS[spec.name].wants_k(dict(spec.params)) else None,
            seed=seed,
            metrics=suite.resolve(metrics),
        )

    @property
    def wants_k(self) -> bool:
        """True when the number of clusters is an input of the clusterer."""
        return CLUSTERERS[self.clusterer.name].wants_k(dict(self.clusterer.params))

    @property
    def reducer_text(self) -> str:
        """The reducer chain as its shortest text."""
        return chain_text(self.reducer)

    def with_k(self, n_classes: int | None) -> Cell:
        """Fill in the number of true classes when k is None.

        Raises
        ------
        InputError
            When there are no labels to count, or only one class.
        """
        if not self.wants_k or self.k is not None:
            return self
        if n_classes is None:
            raise InputError(
                f"{self.clusterer.name} needs the number of clusters, and {self.dataset} has no "
                "labels to count. Give --k (k = [..] in a grid file), or use a clusterer that "
                "finds it: hdbscan, affinity, agglomerative_threshold."
            )
        if n_classes < 2:
            raise InputError(
                f"{self.dataset} has only {n_classes} class, so k would be {n_classes}. Give --k "
                "(k = [..] in a grid file), or use a clusterer that finds it."
            )
        return dataclasses.replace(self, k=n_classes)

    def identity(self, *, fingerprint: str | None, backend: str) -> dict[str, Any]:
        """List all inputs of the result, ready for JSON."""
        return {
            "dataset": self.dataset,
            "split": self.split,
            "encoder": self.encoder,
            "preprocess": self.preprocess,
            "reducer": [spec.resolved() for spec in self.reducer],
            "clusterer": self.clusterer.resolved(),
            "k": self.k,
            "seed": self.seed,
            "metrics": list(self.metrics),
            "backend": backend,
            "embedding": fingerprint,
        }

    def key(self, *, fingerprint: str | None, backend: str) -> str:
        """Hash `identity` to 24 hexadecimal digits, the name of the row's file.

        `fingerprint` is None when the embedding was never computed.
        """
        text = json.dumps(self.identity(fingerprint=fingerprint, backend=backend), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


class KeyedCell(NamedTuple):
    """A cell with k filled in, and the key of its row.

    `problem` is the error of a cell whose k cannot be filled in: no labels, or one class.
    """

    cell: Cell
    key: str
    problem: InputError | None = None


@dataclass(frozen=True)
class Unit:
    """All cells of one embedding, in the order of the request."""

    dataset: str
    split: str
    encoder: str
    preprocess: str
    cells: tuple[Cell, ...]

    def __str__(self) -> str:
        study = "" if self.preprocess == "own" else f", {self.preprocess} preprocessing"
        return f"{self.dataset} ({self.split}) x {self.encoder}{study}"

    def resolve(self, fingerprint: str | None, n_classes: int | None, backend: str) -> ResolvedUnit:
        """Fill in k and compute the keys, once for all later steps.

        Parameters
        ----------
        fingerprint : str or None
            Identifies the embedding; None when it was never computed.
        n_classes : int or None
            Number of true classes, None when unknown.
        backend : {"cpu", "gpu"}
            Backend of the rows.
        """
        keyed = (_keyed(cell, fingerprint, n_classes, backend) for cell in self.cells)
        return ResolvedUnit(self, fingerprint, n_classes, backend, tuple(keyed))


@dataclass(frozen=True)
class ResolvedUnit:
    """A unit with a known embedding: each cell has its k and its key.

    Attributes
    ----------
    unit : Unit
        The cells as they were asked for.
    fingerprint, n_classes, backend
        See `Unit.resolve`.
    cells : tuple of KeyedCell
        In the order of ``unit.cells``.
    """

    unit: Unit
    fingerprint: str | None
    n_classes: int | None
    backend: str
    cells: tuple[KeyedCell, ...]

    def only(self, keep: Sequence[bool]) -> ResolvedUnit:
        """Return this unit reduced to the cells where `keep`, one value per cell, is True."""
        unit = dataclasses.replace(
            self.unit, cells=tuple(itertools.compress(self.unit.cells, keep))
        )
        return dataclasses.replace(
            self, unit=unit, cells=tuple(itertools.compress(self.cells, keep))
        )

    def identity(self, cell: Cell) -> dict[str, Any]:
        """List all inputs of the result of a cell, ready for JSON."""
        return cell.identity(fingerprint=self.fingerprint, backend=self.backend)


def _keyed(cell: Cell, fingerprint: str | None, n_classes: int | None, backend: str) -> KeyedCell:
    problem = None
    try:
        cell = cell.with_k(n_classes)
    except InputError as error:  # recorded in the row when the cell is run
        problem = error
    return KeyedCell(cell, cell.key(fingerprint=fingerprint, backend=backend), problem)


def units_of(cells: Iterable[Cell]) -> list[Unit]:
    """Group cells by embedding, dropping repeats; the order of first appearance is kept."""
    groups: dict[tuple[str, str, str, str], dict[Cell, None]] = {}
    for cell in cells:
        place = (cell.dataset, cell.split, cell.encoder, cell.preprocess)
        groups.setdefault(place, {})[cell] = None
    return [Unit(*place, cells=tuple(group)) for place, group in groups.items()]


class Place(TypedDict):
    """Names of an embedding, in canonical spelling."""

    dataset: str
    split: str
    encoder: str


def place(dataset: str, split: str | None, encoder: str) -> Place:
    """Check the names of an embedding and return them in canonical spelling.

    Paths become absolute, so that a folder is the same dataset from every working directory.  The
    path of a folder means ``folder:<path>``, unless a dataset has this name.  For vectors of a
    user's own, ``vectors:<path>``, the encoder is always ``vectors``.

    A folder or a checkpoint need not exist: its embedding may be stored.  For an embedding that is
    not stored, `embeddings.load.check_sources` raises.
    """
    from . import datasets

    dataset = canonical_dataset(dataset)
    if is_own(dataset):
        datasets.check(dataset, split)
        return Place(dataset=dataset, split="all", encoder="vectors")
    split = datasets.default_split(dataset) if split is None else split
    datasets.check(dataset, split, source=False)
    return Place(dataset=dataset, split=split, encoder=canonical_encoder(encoder))


def canonical_dataset(name: str) -> str:
    """Return the name of a dataset in canonical spelling; raises for an unknown one."""
    from . import datasets

    if is_own(name):
        return source_of(name).name
    name = datasets.full_name(name)
    name = _absolute(name, datasets.entry_of(name))
    # A folder's name may have bytes outside UTF-8, which JSON and terminals cannot take.
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def canonical_encoder(name: str) -> str:
    """Check the name of an encoder and return it in canonical spelling."""
    from . import encoders

    entry = encoders.entry_of(name)
    name = _absolute(name, entry)
    if not entry.is_path:
        encoders.check(name)
    return str(encoders.parse(name))


def check_preprocess(name: str) -> str:
    """Return the name of a preprocessing, or raise `UnknownNameError`."""
    if name not in PREPROCESSINGS:
        raise unknown("preprocess", name, PREPROCESSINGS)
    return name


def _absolute(name: str, entry: Resource) -> str:
    if not entry.is_path:
        return name
    key, separator, rest = name.partition(entry.separator)
    path, question, options = rest.partition("?")
    return f"{key}{separator}{expand(path).resolve()}{question}{options}"


def _whole(name: str, value: Any, *, low: int, high: int | None = None) -> int:
    """Return a whole number, of Python or NumPy, as an int."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        limits = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise InputError(f"{name} must be a whole number {limits}; got {value!r}.")
    return int(value)
