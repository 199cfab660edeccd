"""Grid files: TOML lists of names; all combinations become cells."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..cell import Cell, Place, Unit, place, units_of
from ..errors import InputError, unknown
from ..files.toml_file import read_toml
from ..methods.spec import parse_clusterer, parse_reducer
from ..presets import read as presets
from ..presets.units import units as preset_units
from ..vectors.dataset import is_own
from ..vectors.dataset import source as own_source

GRID_DEFAULTS: dict[str, list[Any]] = {
    "split": [None],
    "preprocess": ["own"],
    "reducer": ["none"],
    "k": [None],
    "seed": [0],
}
MOST_CELLS = 1_000_000
PLACE_KEYS = ("dataset", "split", "encoder")
OWN_KEYS = ("embeddings", "labels")
GRID_KEYS = (
    *PLACE_KEYS,
    *OWN_KEYS,
    *("preprocess", "reducer", "clusterer", "k", "seed", "metrics", "preset"),
)

_log = logging.getLogger(__name__)


def load_grid(path: Path, say: Callable[[str], object] = _log.info) -> list[Unit]:
    """Read a grid file: every combination of its lists, as units.

    Parameters
    ----------
    path : Path
        TOML with `dataset`, `encoder`, `clusterer` and optionally `split`, `preprocess`,
        `reducer`, `k`, `seed`, `metrics`; each a list or a single value.  `embeddings` lists files
        of vectors, in place of or beside `dataset` and `encoder`, and `labels` one file of labels
        for all of them or one for each.  `preset`, the name of a preset or the path of one, takes
        the place of `reducer` and `clusterer`: the cells are those of each encoder's row, and
        `dataset`, `encoder`, `split`, `preprocess` and `seed` are the preset's unless they are
        given.  Relative paths belong to the working directory.
    say : callable (str)
        See `grid_units`.

    Raises
    ------
    InputError
        When the file cannot be read, is not TOML, has an unknown key, or names something that does
        not exist.  Every name is checked before anything runs.
    """
    return grid_units(read_toml(path), path, say)


def grid_units(
    table: dict[str, Any], source: Path | str, say: Callable[[str], object] = _log.info
) -> list[Unit]:
    """Return every combination of the lists of a grid, as units.

    Parameters
    ----------
    table : dict
        Content of a grid file, see `load_grid`.
    source : path or str
        Name of the grid in messages.
    say : callable (str)
        Receives a sentence about encoders without a row in a preset; by default the log.

    Raises
    ------
    InputError
        As `load_grid`.

    Examples
    --------
    >>> lists = {"dataset": "digits", "encoder": "raw", "clusterer": ["kmeans", "affinity"]}
    >>> (unit,) = grid_units(lists, "the grid")
    >>> len(unit.cells)
    2
    """
    if "preset" in table:
        return _preset_units(table, source, say)
    lists = _grid_lists(table, source)
    metrics = lists.pop("metrics")
    own, images = _own_places(lists, source), _image_places(lists)
    lists["reducer"] = [parse_reducer(text) for text in lists["reducer"]]  # once, not per cell
    lists["clusterer"] = [parse_clusterer(text) for text in lists["clusterer"]]
    _note_unused(table, own)
    groups = [(images, lists), (own, lists | {"preprocess": ["own"]})]
    return units_of(
        Cell.of(**at, **how, metrics=metrics)
        for places, one in groups
        for at in places
        for how in _combinations(one)
    )


def _preset_units(
    table: dict[str, Any], source: Path | str, say: Callable[[str], object]
) -> list[Unit]:
    """Return the cells of a preset for the lists of a grid."""
    extra = [key for key in ("reducer", "clusterer") if key in table]
    if extra:
        raise InputError(
            f"{source} has a preset and {' and '.join(extra)}: a preset chooses reducer and "
            "clusterer for every encoder. Leave one of them out."
        )
    given = table["preset"]
    if not isinstance(given, str):
        raise InputError(f"preset in {source} must be one name or path; got {given!r}.")
    lists = _checked_lists({key: value for key, value in table.items() if key != "preset"}, source)
    lists.setdefault("dataset", [])
    own = _own_places(lists, source)
    _note_unused(table, own)
    if not ("dataset" in table or own):
        del lists["dataset"]
    return preset_units(
        presets.load(given),
        datasets=lists.get("dataset"),
        encoders=lists.get("encoder"),
        splits=lists.get("split", [None]),
        vectors=own,
        preprocess=lists.get("preprocess"),
        seeds=lists.get("seed"),
        k=lists.get("k", [None]),
        metrics=lists.get("metrics", ["default"]),
        say=say,
    )


def _combinations(lists: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Return every combination of the values of all lists."""
    return [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]


def _own_places(lists: dict[str, list[Any]], source: Path | str) -> list[Place]:
    """Take the files of vectors out of the lists: `embeddings`, and ``vectors:`` datasets."""
    files, labels = lists.pop("embeddings", []), lists.pop("labels", [])
    if labels and not files:
        raise InputError(
            f"labels in {source} belongs to embeddings, and there are none. Leave it out."
        )
    if labels and len(labels) not in (1, len(files)):
        raise InputError(
            f"labels in {source} lists {len(labels)} files for {len(files)} embeddings. Give one "
            "for all of them, or one for each."
        )
    if len(labels) < len(files):
        labels = (labels or [None]) * len(files)
    named = [own_source(*both).name for both in zip(files, labels, strict=True)]
    datasets = lists["dataset"]
    lists["dataset"] = [name for name in datasets if not is_own(name)]
    named += [name for name in datasets if is_own(name)]
    return [place(name, None, "vectors") for name in named]


def _image_places(lists: dict[str, list[Any]]) -> list[Place]:
    """Take the names of images and encoders out of the lists."""
    return [place(*names) for names in itertools.product(*(lists.pop(key) for key in PLACE_KEYS))]


def _note_unused(table: dict[str, Any], own: list[Place]) -> None:
    """Log the lists without effect on files of vectors."""
    unused = [key for key in ("encoder", "split", "preprocess") if key in table]
    if own and unused:
        verb = "does" if len(unused) == 1 else "do"
        files = "1 file" if len(own) == 1 else f"{len(own)} files"
        _log.info("%s %s not apply to the %s of vectors", " and ".join(unused), verb, files)


def _grid_lists(table: dict[str, Any], path: Path | str) -> dict[str, list[Any]]:
    lists = _checked_lists(table, path)
    for key in _required(lists):
        if key not in lists:
            raise InputError(f'{path} names no {key}. Write {key} = ["..."].')
    empty: dict[str, list[Any]] = {"dataset": [], "encoder": []}
    return {"metrics": ["default"], **GRID_DEFAULTS, **empty, **lists}


def _checked_lists(table: dict[str, Any], path: Path | str) -> dict[str, list[Any]]:
    """Return every value as a list; refuse unknown keys, empty lists and other types."""
    for key in table:
        if key not in GRID_KEYS:
            raise unknown(f"key in {path}", key, GRID_KEYS)
    lists = {key: value if isinstance(value, list) else [value] for key, value in table.items()}
    for key, values in lists.items():
        if not values:
            raise InputError(f"{key} in {path} is an empty list. Give it at least one entry.")
        _check_types(path, key, values)
    _check_size(lists, path)
    return lists


def _required(lists: dict[str, list[Any]]) -> tuple[str, ...]:
    """Return the required keys of a grid; vectors need neither a dataset nor an encoder."""
    datasets = lists.get("dataset", [])
    images = [name for name in datasets if not (isinstance(name, str) and is_own(name))]
    if images or not (datasets or "embeddings" in lists):
        return ("dataset", "encoder", "clusterer")
    return ("clusterer",)


def _check_types(path: Path | str, key: str, values: Sequence[Any]) -> None:
    kind, words = (int, "whole numbers") if key in ("k", "seed") else (str, "texts")
    for i, value in enumerate(values):
        if type(value) is not kind:
            shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:57]}..."
            raise InputError(f"{key} in {path} takes {words}; got {shown}.")
        if key != "labels" and value in values[:i]:
            raise InputError(f"{key} in {path} lists {value!r} twice. Give it once.")


def _check_size(lists: dict[str, list[Any]], path: Path | str) -> None:
    """Refuse more combinations than fit into memory."""
    count = math.prod(max(1, len(values)) for key, values in lists.items() if key != "metrics")
    if count > MOST_CELLS:
        raise InputError(
            f"{path} has {count:,} combinations; at most {MOST_CELLS:,} are taken. Write several "
            "grid files."
        )
