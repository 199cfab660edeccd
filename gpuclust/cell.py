"""What to compute: cells, the units that share an embedding, and grid files.

A cell is one row of results.  Everything it depends on is resolved before it runs and is part of
its key, so that a changed default can never meet a stale row.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InputError, unknown
from .methods.spec import Spec, chain_text, parse_clusterer, parse_reducer
from .methods.table import CLUSTERERS
from .metrics import suite

PREPROCESS = ("own", "study")


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
        Number of clusters; None when the clusterer finds it, or when the number of true classes is
        to be taken (see `with_k`).
    seed : int
        Of the reducer and the clusterer.
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
        metrics: Sequence[str] = ("default",),
    ) -> Cell:
        """Build a cell from text, or from what was parsed of it already.

        Raises
        ------
        InputError
            For anything that is not in our tables.
        """
        spec = clusterer if isinstance(clusterer, Spec) else parse_clusterer(clusterer)
        _whole("k", k, low=1, optional=True)
        _whole("seed", seed, low=0)
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
        """Whether the number of clusters is an input of the clusterer."""
        return CLUSTERERS[self.clusterer.name].wants_k(dict(self.clusterer.params))

    @property
    def reducer_text(self) -> str:
        """The reducer chain in its shortest form."""
        return chain_text(self.reducer)

    def with_k(self, n_classes: int | None) -> Cell:
        """Fill in the number of true classes where k was left open.

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

    def filled(self, n_classes: int | None) -> Cell:
        """Do as `with_k`, but leave k open where it cannot be filled: that row is a failed one."""
        try:
            return self.with_k(n_classes)
        except InputError:
            return self

    def identity(self, *, fingerprint: str | None, backend: str) -> dict[str, Any]:
        """List everything the result depends on, ready for JSON."""
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
        """Hash `identity`: the name of the row's file.  `fingerprint` None: never embedded."""
        text = json.dumps(self.identity(fingerprint=fingerprint, backend=backend), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Unit:
    """The cells that share one embedding, in the order in which they were asked for."""

    dataset: str
    split: str
    encoder: str
    preprocess: str
    cells: tuple[Cell, ...]

    def __str__(self) -> str:
        study = "" if self.preprocess == "own" else f", {self.preprocess} preprocessing"
        return f"{self.dataset} ({self.split}) x {self.encoder}{study}"


def units_of(cells: Iterable[Cell]) -> list[Unit]:
    """Group cells by embedding, dropping repeats; the order of first appearance is kept."""
    groups: dict[tuple[str, str, str, str], dict[Cell, None]] = {}
    for cell in cells:
        place = (cell.dataset, cell.split, cell.encoder, cell.preprocess)
        groups.setdefault(place, {})[cell] = None
    return [Unit(*place, cells=tuple(group)) for place, group in groups.items()]


GRID_DEFAULTS: dict[str, list[Any]] = {
    "split": [None],
    "preprocess": ["own"],
    "reducer": ["none"],
    "k": [None],
    "seed": [0],
}
PLACE_KEYS = ("dataset", "split", "encoder")
GRID_KEYS = (*PLACE_KEYS, "preprocess", "reducer", "clusterer", "k", "seed", "metrics")


def load_grid(path: Path) -> list[Unit]:
    """Read a grid file: every combination of its lists, as units.

    Parameters
    ----------
    path : Path
        TOML with `dataset`, `encoder`, `clusterer` and optionally `split`, `preprocess`,
        `reducer`, `k`, `seed`, `metrics`; each a list or a single value.

    Raises
    ------
    InputError
        When the file cannot be read, is not TOML, has an unknown key, or names something that does
        not exist.  Every name is checked before anything runs.
    """
    lists = _grid_lists(path)
    metrics = lists.pop("metrics")
    places = [place(*names) for names in itertools.product(*(lists.pop(key) for key in PLACE_KEYS))]
    lists["reducer"] = [parse_reducer(text) for text in lists["reducer"]]  # once, not per cell
    lists["clusterer"] = [parse_clusterer(text) for text in lists["clusterer"]]
    rest = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
    return units_of(Cell.of(**at, **how, metrics=metrics) for at in places for how in rest)


def _grid_lists(path: Path) -> dict[str, list[Any]]:
    table = _read_toml(path)
    for key in table:
        if key not in GRID_KEYS:
            raise unknown(f"key in {path}", key, GRID_KEYS)
    lists = {key: value if isinstance(value, list) else [value] for key, value in table.items()}
    for key in ("dataset", "encoder", "clusterer"):
        if key not in lists:
            raise InputError(f'{path} names no {key}. Write {key} = ["..."].')
    for key, values in lists.items():
        if not values:
            raise InputError(f"{key} in {path} is an empty list. Give it at least one entry.")
        _check_types(path, key, values)
    return {"metrics": ["default"], **GRID_DEFAULTS, **lists}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the grid file {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}.") from error


def _check_types(path: Path, key: str, values: Sequence[Any]) -> None:
    kind, words = (int, "whole numbers") if key in ("k", "seed") else (str, "texts")
    for value in values:
        if type(value) is not kind:
            raise InputError(f"{key} in {path} takes {words}; got {value!r}.")


def place(dataset: str, split: str | None, encoder: str) -> dict[str, str]:
    """Check the names of an embedding and write them in their one canonical form.

    Paths become absolute, so that a folder is the same dataset from every working directory.
    """
    from . import datasets, encoders

    dataset = _absolute(dataset, "folder:")
    split = datasets.default_split(dataset) if split is None else split
    datasets.check(dataset, split)
    encoder = _absolute(encoder, "file:")
    encoders.check(encoder)
    return {"dataset": dataset, "split": split, "encoder": str(encoders.parse(encoder))}


def check_preprocess(name: str) -> str:
    """Return the name of a preprocessing, or raise `UnknownNameError`."""
    if name not in PREPROCESS:
        raise unknown("preprocess", name, PREPROCESS)
    return name


def _absolute(name: str, prefix: str) -> str:
    if not name.startswith(prefix):
        return name
    path, question, options = name.removeprefix(prefix).partition("?")
    return f"{prefix}{Path(path).expanduser().resolve()}{question}{options}"


def _whole(name: str, value: Any, *, low: int, optional: bool = False) -> None:
    if optional and value is None:
        return
    if type(value) is not int or value < low:
        raise InputError(f"{name} must be a whole number of at least {low}; got {value!r}.")


def asked_values(cell: Cell) -> Mapping[str, Any]:
    """Give the coordinates of a cell as they stand in a row."""
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
