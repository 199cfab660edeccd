"""Columns of lists written as text, as pandas writes a column of vectors to CSV."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .contents import NUMBERS, Field
from .names import shown

if TYPE_CHECKING:
    import pyarrow as pa

_LIST = re.compile(r"\s*[\[(]([^\[\]()]*)[\])]\s*", re.DOTALL)


def lists_in_text(name: str, column: pa.ChunkedArray, source: str) -> Field | None:
    """Make the field of a column of text such as ``"[0.5, 1.0]"``; None for another column.

    The first row decides; a later row that is no list of the same length is an `InputError`.

    Examples
    --------
    >>> import pyarrow as pa
    >>> column = pa.chunked_array([["[0.5, 1.0]", "[2 3]"]])
    >>> lists_in_text("embedding", column, "x.csv").load()
    array([[0.5, 1. ],
           [2. , 3. ]])
    """
    first = column[0].as_py() if len(column) else None
    values = _numbers(first) if isinstance(first, str) else None
    if not values:
        return None
    load = functools.partial(_loaded, name, column, len(values), source)
    return Field(name, (len(column), len(values)), NUMBERS, "float64", load)


def _numbers(text: str) -> list[float] | None:
    """Return the numbers of a list in text; None if it is none."""
    found = _LIST.fullmatch(text)
    if found is None:
        return None
    try:
        return [float(part) for part in re.split(r"\s*,\s*|\s+", found[1].strip())]
    except ValueError:
        return None


def _loaded(name: str, column: pa.ChunkedArray, d: int, source: str) -> np.ndarray:
    X = np.empty((len(column), d), np.float64)
    for row, text in enumerate(column):
        values = _numbers(text.as_py() or "")
        if values is None or len(values) != d:
            what = "no list of numbers" if values is None else f"{len(values)} values"
            raise InputError(
                f"{source}: {shown(name)} has {what} in row {row} and {d} values in row 0; every "
                "row must have a vector of the same length."
            )
        X[row] = values
    return X
