"""Order of labels from another source: by the names or numbers of the samples in both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from .contents import NUMBERS, TEXT, Contents, Field
from .names import NO_FEATURE, PATHS, normal, role, shown

# Names of columns with numbers of rows, among the names of columns without features.
_NUMBERED = re.compile(
    r"|index|idx|row|row_number|rownames|sample|unnamed:_\d+|__index_level_\d+__"
)
_IDENTIFIER = re.compile(r".*_(id|ids|idx|index|uuid|guid|key)")


class LabelSource(NamedTuple):
    """Labels from another source than the vectors.

    `paths` are the names of the samples there, from `path_name`; `ids` the columns that number
    or name them.
    """

    raw: Any
    source: str
    name: str = ""
    paths: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    path_name: str = ""
    ids: tuple[Field, ...] = ()


def ids_of(contents: Contents, used: Sequence[Field] = ()) -> tuple[Field, ...]:
    """List the fields that number or name the samples, except those already used.

    Examples
    --------
    >>> from gpuclust.vectors.contents import of_array
    >>> fields = (of_array("id", np.arange(2)), of_array("fold", np.arange(2)))
    >>> [field.name for field in ids_of(Contents("x.npz", fields))]
    ['id']
    """
    taken = {id(field) for field in used}
    found = [one for one in contents.fields if id(one) not in taken and _identifies(one)]
    return (*found, *contents.index)


def _identifies(field: Field) -> bool:
    if not field.is_list or not (field.kind == TEXT or "int" in field.dtype):
        return False
    name, known = normal(field.name), role(field.name)
    if known == PATHS:
        return True
    return known == NO_FEATURE and bool(_NUMBERED.fullmatch(name) or _IDENTIFIER.fullmatch(name))


def order_of(
    given: LabelSource,
    paths: tuple[str, ...] | None,
    ids: tuple[Field, ...],
    n: int,
    vectors: str,
) -> tuple[np.ndarray | None, str]:
    """Return the rows of the labels in the order of the vectors, and the words for the report.

    None when the order is the same already, or unknown.

    Raises
    ------
    InputError
        Names or numbers of other samples, or labels numbered in another order than the rows of
        vectors without numbers.

    Examples
    --------
    >>> given = LabelSource(["a", "b"], "y.csv", paths=("2.jpg", "1.jpg"))
    >>> order_of(given, ("1.jpg", "2.jpg"), (), 2, "x.npz")
    (array([1, 0]), '; labels brought into the order of the paths')
    """
    if len(given.raw) != n:
        return None, ""
    if paths is not None and given.paths is not None and len(given.paths) == n:
        return _by_paths(given, paths, vectors)
    ours, theirs = _values(ids, n), _values(given.ids, n)
    pairs = [(a, b) for a in ours for b in theirs]
    for one, other in sorted(pairs, key=lambda pair: normal(pair[0]) != normal(pair[1])):
        order = _order(ours[one], theirs[other])
        if order is not None:
            same = bool(np.array_equal(order, np.arange(n)))
            words = f"; labels brought into the order of {shown(one)}"
            return (None, "") if same else (order, words)
        if normal(one) == normal(other) and not _NUMBERED.fullmatch(normal(one)):
            raise _different(given, vectors, ours[one], theirs[other])
    _check_numbers(given, theirs, n)
    return None, ""


def _by_paths(
    given: LabelSource, paths: tuple[str, ...], vectors: str
) -> tuple[np.ndarray | None, str]:
    """Compare whole paths, else the names of the files, else those without extension."""
    theirs = given.paths or ()
    if theirs == paths:
        return None, ""
    for part in (str, lambda path: PurePath(path).name, lambda path: PurePath(path).stem):
        one, other = [[part(path) for path in names] for names in (paths, theirs)]
        if one == other:
            return None, ""
        order = _order(one, other)
        if order is not None:
            return order, "; labels brought into the order of the paths"
    raise _different(given, vectors, list(paths), list(theirs))


def _different(given: LabelSource, vectors: str, ours: list[Any], theirs: list[Any]) -> InputError:
    first = next(k for k, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1])
    return InputError(
        f"{given.source} and {vectors} name different samples: {shown(str(theirs[first]))} and "
        f"{shown(str(ours[first]))} in row {first}. Give the labels of these vectors."
    )


def _order(ours: list[Any], theirs: list[Any]) -> np.ndarray | None:
    """Return the rows of `theirs` in the order of `ours`; None unless both name the same ones."""
    row = {name: k for k, name in enumerate(theirs)}
    if len(row) != len(theirs) or set(ours) != set(row):
        return None
    return np.array([row[name] for name in ours], np.intp)


def _values(fields: tuple[Field, ...], n: int) -> dict[str, list[Any]]:
    """Read the columns that identify samples: no value missing and none twice."""
    found: dict[str, list[Any]] = {}
    for field in fields:
        if field.shape[0] != n:
            continue
        values = np.asarray(field.load()).reshape(n).tolist()
        if field.kind == NUMBERS or all(re.fullmatch(r"\d{1,40}", str(v)) for v in values):
            values = [None if v is None else int(v) for v in values]  # "007" in text is 7
        if None not in values and len(set(values)) == n:
            found.setdefault(field.name, values)
    return found


def _check_numbers(given: LabelSource, theirs: dict[str, list[Any]], n: int) -> None:
    """Raise `InputError` when the labels number the rows, but not one after the other."""
    for name, values in theirs.items():
        for start in (0, 1):
            rows = list(range(start, n + start))
            if n > 1 and values != rows and set(values) == set(rows):
                raise InputError(
                    f"{given.source} numbers its labels by {shown(name)}, {values[0]} in row 0, "
                    f"and the vectors have no such numbers. Sort it by {shown(name)}, or remove "
                    "that column if its lines have the order of the vectors."
                )
