"""Columns of Arrow tables and DataFrames as fields."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .contents import NUMBERS, OTHER, TEXT, UNKNOWN, Field
from .names import shown

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Read = Callable[[str], Any]  # name -> pyarrow.ChunkedArray


def arrow_field(name: str, kind: pa.DataType, n: int, read: Read, source: str) -> Field:
    """Make the field of a column of an Arrow table.

    Parameters
    ----------
    name, kind : str, pyarrow.DataType
        Of the column.
    n : int
        Number of rows.
    read : callable (name) -> pyarrow.ChunkedArray
        Reads the column.
    source : str
        Name for messages.
    """
    import pyarrow as pa

    kind = getattr(kind, "storage_type", kind)  # of an extension type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    load = functools.partial(_scalars, name, read)
    if _is_number(kind):
        return Field(name, (n,), NUMBERS, str(kind).replace("double", "float64"), load)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view":
        return Field(name, (n,), TEXT, "text", load)
    if pa.types.is_boolean(kind):
        return Field(name, (n,), OTHER, "bool", load)
    value = getattr(kind, "value_type", None)
    is_list = value is not None and not pa.types.is_map(kind)
    if is_list and _is_number(getattr(value, "storage_type", value)):
        d = getattr(kind, "list_size", UNKNOWN)
        rows = functools.partial(_lists, name, read, source)
        return Field(name, (n, d), NUMBERS, str(value).replace("double", "float64"), rows)
    return Field(name, (n,), OTHER, _short(str(kind)), load)


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(is_kind(kind) for is_kind in kinds)


def _short(kind: str) -> str:
    return kind if len(kind) <= 30 else f"{kind[:27]}..."


def _storage(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the values of a column of an extension type, such as a tensor, by their plain type."""
    import pyarrow as pa

    if not isinstance(column.type, pa.BaseExtensionType):
        return column
    return pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)


def _scalars(name: str, read: Read) -> np.ndarray:
    import pyarrow as pa

    column = _storage(read(name))
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if column.null_count and pa.types.is_integer(column.type):
        return np.array(column.to_pylist(), dtype=object)
    array: np.ndarray = column.to_numpy()
    return array


def _lists(name: str, read: Read, source: str) -> np.ndarray:
    """Return a list column as an array (n, d); lists without a null keep their dtype."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = _storage(read(name))
    lengths = pc.list_value_length(column).to_numpy()
    _check_lengths(lengths, f"{source}: {shown(name)}")
    flat = pc.list_flatten(column)
    values = flat.to_numpy() if not flat.null_count else flat.cast(pa.float64()).to_numpy()
    return values.reshape(len(column), int(lengths[0]) if len(lengths) else 0)


def _check_lengths(lengths: np.ndarray, what: str) -> None:
    """Raise `InputError` unless all lists of a column have one length; NaN is a missing list."""
    same = lengths == lengths[0] if len(lengths) else np.ones(0, bool)
    if not same.all():
        row = int(np.argmin(same))
        found = "no list" if np.isnan(lengths[row]) else f"{lengths[row]:.0f} values"
        raise InputError(
            f"{what} has {found} in row {row} and {lengths[0]:.0f} in row 0; every row must have a "
            "vector of the same length."
        )


def frame_fields(frame: pd.DataFrame, source: str) -> Iterable[Field]:
    """Yield the columns of a DataFrame as fields; see `arrow_field`."""
    for k, name in enumerate(frame.columns):
        yield _series_field(str(name), frame.iloc[:, k], source)


def _series_field(name: str, column: pd.Series, source: str) -> Field:
    n = len(column)
    if isinstance(getattr(column.dtype, "categories", None), object) and hasattr(column, "cat"):
        column = column.astype(column.cat.categories.dtype if n else object)
    kind = getattr(column.dtype, "kind", "O")
    if kind in "iuf":
        return Field(name, (n,), NUMBERS, str(column.dtype), lambda: _series(column))
    if kind == "b":
        return Field(name, (n,), OTHER, "bool", column.to_numpy)
    if kind != "O":
        return Field(name, (n,), OTHER, str(column.dtype), column.to_numpy)
    present = column[column.notna()]
    if len(present) and _all(present, str, bytes):
        return Field(name, (n,), TEXT, "text", column.to_numpy)
    if len(present) and _all(present, list, tuple, np.ndarray):
        first = np.asarray(present.iloc[0])
        if first.ndim == 1 and first.dtype.kind in "biuf":
            load = functools.partial(_stacked, column, source)
            return Field(name, (n, len(first)), NUMBERS, str(first.dtype), load)
    return Field(name, (n,), OTHER, "Python objects", column.to_numpy)


def _all(column: pd.Series, *types: type) -> bool:
    return bool(column.map(lambda value: isinstance(value, types)).all())


def _series(column: pd.Series) -> np.ndarray:
    """Return a column of numbers; missing values become NaN."""
    if isinstance(column.dtype, np.dtype):
        return column.to_numpy()
    if column.isna().any():
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return column.to_numpy(dtype=column.dtype.numpy_dtype)


def _stacked(column: pd.Series, source: str) -> np.ndarray:
    lengths = column.map(lambda v: len(v) if hasattr(v, "__len__") else np.nan).to_numpy(float)
    _check_lengths(lengths, f"{source}: {shown(str(column.name))}")
    return np.stack([np.asarray(value) for value in column])
