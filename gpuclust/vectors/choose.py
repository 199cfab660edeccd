"""Choose vectors, labels and paths among the fields of a source, and name the unused ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from .contents import NUMBERS, OTHER, TEXT, UNKNOWN, Contents, Field, check_memory
from .names import LABELS, NO_FEATURE, PATHS, VECTORS, by_role, listed, role, shown
from .order import LabelSource, ids_of
from .values import check_shape

_COUNTED = 5  # rows from which 0, 1, 2, ... is no coincidence


class Chosen(NamedTuple):
    """Vectors `X` (n, d) as they are in the source, raw labels and paths.

    `taken` names the origin of the vectors, `label_name` that of the labels; `unused` names the
    other fields, and `ids` holds those that number or name the samples.
    """

    X: np.ndarray
    taken: str
    labels: Any | None
    label_name: str
    paths: tuple[str, ...] | None
    path_name: str
    unused: tuple[str, ...]
    ids: tuple[Field, ...]


def choose(contents: Contents) -> Chosen:
    """Choose vectors, labels and paths by the table of names; see `gpuclust.vectors.names`.

    Only the chosen fields are read.

    Raises
    ------
    InputError
        When it is not clear where the vectors are, or lengths disagree.

    Examples
    --------
    >>> from gpuclust.vectors.contents import of_array
    >>> fields = (of_array("emb", np.eye(3)), of_array("Target", np.arange(3)))
    >>> found = choose(Contents("x.npz", fields))
    >>> found.taken, found.label_name
    ('emb', 'Target')
    """
    picked, X, taken = _vectors(contents)
    labels = _labels(contents, picked, len(X))
    paths = _paths(contents, [*picked, *labels], len(X))
    used = {id(field) for field in (*picked, *labels, *paths)}
    rest = [field for field in contents.fields if id(field) not in used]
    return Chosen(
        X,
        taken,
        labels[0].load() if labels else None,
        labels[0].name if labels else "",
        tuple(map(str, paths[0].load().tolist())) if paths else contents.paths,
        paths[0].name if paths else (f"the names of the {taken}" if contents.paths else ""),
        tuple(_unused(rest, is_table=contents.is_table)),
        ids_of(contents, [*picked, *labels]),
    )


def _unused(fields: list[Field], *, is_table: bool) -> list[str]:
    """Name the unused fields, with their type where it is the reason."""
    if not is_table:
        return [str(field) for field in fields]
    return [f"{f.name} ({f.dtype})" if f.kind == OTHER else f.name for f in fields]


def _vectors(contents: Contents) -> tuple[list[Field], np.ndarray, str]:
    """Return the fields of the vectors, the vectors, and the words for the report."""
    fields = contents.fields
    if len(fields) == 1 and not fields[0].name:
        return [fields[0]], _loaded(fields[0], contents.source), ""
    if contents.is_table:
        return _from_columns(contents)
    field = _only_array(contents)
    return [field], _loaded(field, contents.source), shown(field.name)


def _loaded(field: Field, source: str) -> np.ndarray:
    if field.kind != NUMBERS:
        what = f"{source}: {shown(field.name)}" if field.name else source
        raise InputError(f"{what} has vectors of type {field.dtype}; they must be real numbers.")
    check_shape(field.shape, source if not field.name else f"{source}: {shown(field.name)}")
    array: np.ndarray = field.load()
    return array


def _named(contents: Contents, wanted: str, fields: list[Field]) -> list[Field]:
    """List the fields with a role, the preferred name first."""
    ranked = by_role(dict.fromkeys(field.name for field in fields), wanted)
    return [field for name in ranked for field in fields if field.name == name]


def _only_array(contents: Contents) -> Field:
    """Return the array with the name of vectors, or the only 2-D array of numbers."""
    named = _named(contents, VECTORS, list(contents.fields))
    if named:
        return next((one for one in named if len(one.shape) == 2 and one.kind == NUMBERS), named[0])
    found = [
        field
        for field in contents.fields
        if field.kind == NUMBERS and len(field.shape) == 2 and role(field.name) != LABELS
    ]
    if len(found) == 1:
        return found[0]
    have = ", ".join(map(str, contents.fields[:20])) or "(none)"
    raise InputError(
        f"{contents.source} has the arrays {have}; expected the vectors as X, embeddings, features "
        "or another usual name, or exactly one 2-D array of numbers."
    )


def _from_columns(contents: Contents) -> tuple[list[Field], np.ndarray, str]:
    """Return the list column of a table, or its columns of numbers together."""
    column = _list_column(contents)
    if column is not None:
        return [column], _loaded(column, contents.source), f"column {shown(column.name)}"
    n = contents.fields[0].shape[0] if contents.fields else 0
    read = [(field, _numbers(field)) for field in _features(contents)]
    kept = [(field, values) for field, values in read if not _counts_rows(values)]
    columns, arrays = [field for field, _ in kept], [values for _, values in kept]
    if not columns:
        have = listed(f"{field.name} ({field.dtype})" for field in contents.fields) or "(none)"
        raise InputError(
            f"{contents.source} has no numeric columns to use as features; it has the columns "
            f"{have}. Each feature must be one column of numbers, or all one list column."
        )
    dtype = np.result_type(*arrays)
    check_memory((n, len(arrays)), dtype.itemsize, contents.source)
    X = np.empty((n, len(arrays)), dtype)
    for k, array in enumerate(arrays):
        X[:, k] = array
    plural = "columns" if len(columns) > 1 else "column"
    return columns, X, f"{plural} {listed(column.name for column in columns)}"


def _numbers(column: Field) -> np.ndarray:
    """Read a column of numbers; a missing integer becomes NaN, to be refused later."""
    values: np.ndarray = column.load()
    if values.dtype.kind != "O":
        return values
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _features(contents: Contents) -> list[Field]:
    """List the columns of numbers, except those named as no features."""
    usable = [f for f in contents.fields if f.kind == NUMBERS and len(f.shape) == 1]
    return [field for field in usable if role(field.name) in (None, VECTORS)]


def _counts_rows(values: np.ndarray) -> bool:
    """Return whether a column is 0, 1, 2, ... or 1, 2, 3, ...: the number of the row."""
    if len(values) < _COUNTED or values[0] not in (0, 1):
        return False
    return bool(np.array_equal(values, np.arange(len(values)) + int(values[0])))


def _list_column(contents: Contents) -> Field | None:
    """Return the column of vectors; None when each feature is a column of its own."""
    lists = [field for field in contents.fields if len(field.shape) == 2]
    named = _named(contents, VECTORS, lists)
    if named:
        return named[0]
    lists = [field for field in lists if field.kind == NUMBERS]
    if not lists:
        return None
    others = len(_features(contents))
    if len(lists) == 1 and (not others or _length(lists[0]) >= others):
        return lists[0]
    have = listed(field.name for field in lists)
    beside = f" beside {others} columns of numbers" if others else ""
    raise InputError(
        f"{contents.source} has the list columns {have}{beside}, and none has a usual name. Rename "
        "the column of the vectors to embedding."
    )


def _length(field: Field) -> int:
    """Return the length of the vectors of a list column, reading it if needed."""
    return field.load().shape[1] if field.shape[1] == UNKNOWN else field.shape[1]


def _labels(contents: Contents, picked: list[Field], n: int) -> list[Field]:
    """Return the field of the labels in a list, empty without one."""
    taken = {id(field) for field in picked}
    rest = [field for field in contents.fields if id(field) not in taken and field.is_list]
    named = [field for field in _named(contents, LABELS, rest) if _may_be_labels(field)]
    fitting = [field for field in named if field.shape[0] == n]
    if named and not fitting:
        raise InputError(
            f"{contents.source}: {shown(named[0].name)} has {named[0].shape[0]} labels for the {n} "
            "vectors. Rename it if it holds no labels, or give the right ones by --labels."
        )
    return fitting[:1]


def _may_be_labels(field: Field) -> bool:
    """Return whether a field can be read as labels; a column of bool can, though no feature."""
    return field.kind in (NUMBERS, TEXT) or field.dtype == "bool"


def _paths(contents: Contents, picked: list[Field], n: int) -> list[Field]:
    """Return the field of the paths in a list: text, one per vector."""
    taken = {id(field) for field in picked}
    rest = [f for f in contents.fields if id(f) not in taken and f.kind == TEXT and f.is_list]
    return [field for field in _named(contents, PATHS, rest) if field.shape[0] == n][:1]


def choose_labels(contents: Contents) -> LabelSource:
    """Choose the labels of a label file, and the paths and numbers of the samples beside them.

    Raises
    ------
    InputError
        When it is not clear where the labels are.

    Examples
    --------
    >>> from gpuclust.vectors.contents import of_array
    >>> fields = (of_array("Y", np.arange(2)), of_array("w", np.ones(2)))
    >>> choose_labels(Contents("y.npz", fields))[:3]
    (array([0, 1]), 'y.npz', 'Y')
    """
    fields = list(contents.fields)
    field = _label_field(contents, fields)
    if not _may_be_labels(field):
        what = shown(field.name) if field.name else "the array"
        raise InputError(
            f"{contents.source}: {what} holds {field.dtype}; labels are integers or text."
        )
    rest = [one for one in fields if one is not field]
    paths = [one for one in _named(contents, PATHS, rest) if one.kind == TEXT and one.is_list]
    texts = tuple(map(str, paths[0].load().tolist())) if paths else contents.paths
    path_name = paths[0].name if paths else ""
    ids, notes = ids_of(contents, [field]), contents.notes
    return LabelSource(field.load(), contents.source, field.name, texts, notes, path_name, ids)


def _label_field(contents: Contents, fields: list[Field]) -> Field:
    named = _named(contents, LABELS, fields)
    if named:
        return named[0]
    plain = [f for f in fields if role(f.name) not in (PATHS, NO_FEATURE)]
    if len(fields) == 1 or len(plain) == 1:
        return plain[0] if plain else fields[0]
    kind = "columns" if contents.is_table else "arrays"
    have = listed(field.name for field in fields) or "(none)"
    raise InputError(
        f"{contents.source} has the {kind} {have}; name the one with the labels label, or keep "
        "only one."
    )
