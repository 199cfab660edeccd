"""Check vectors and labels of a user's own in memory, by the rules for files."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import array_api_compat
import numpy as np

from ..errors import GpuclustNote, InputError
from ..vectors.columns import arrow_field, frame_fields
from ..vectors.contents import Contents, of_array
from ..vectors.order import LabelSource
from ..vectors.taken import Vectors, take
from ..vectors.tensor_files import to_numpy


def check_vectors(X: Any, y: Any | None = None) -> Vectors:
    """Check vectors and labels in memory the way `read_vectors` checks a file.

    Parameters
    ----------
    X : array-like (n, d), or DataFrame
        Real numbers: NumPy, torch or CuPy, copied to the host; lists.  The columns of a DataFrame,
        pandas or Arrow, are chosen by the rules for Parquet files.
    y : array-like (n,), optional
        Integers or text; None, NaN, NA and masked values are samples without a label.

    Returns
    -------
    Vectors
        See `gpuclust.embeddings.vector_files.read_vectors`.

    Warns
    -----
    GpuclustNote
        When columns are not used, or samples have no label.

    Raises
    ------
    InputError
        Wrong shape, type or length, empty, sparse, masked, NaN or infinite.

    Examples
    --------
    >>> check_vectors([[0, 1], [2, 3]], ["cat", "dog"]).y
    array([0, 1])
    """
    contents = _contents(X)
    found = take(contents, None if y is None else lambda _: _labels(y))
    if found.left_out:
        warnings.warn(found.report, GpuclustNote, stacklevel=3)
    if y is not None:
        _check_index(X, y)
    return found


def _contents(X: Any) -> Contents:
    """Return the fields of an array or a table in memory."""
    if _is(X, "pandas", "DataFrame"):
        return Contents("X", tuple(frame_fields(X, "X")), is_table=True)
    if _is(X, "polars", "DataFrame"):
        X = X.to_arrow()
    if _is(X, "pyarrow", "Table"):
        fields = [
            arrow_field(one.name, one.type, len(X), lambda name: X[name], "X") for one in X.schema
        ]
        return Contents("X", tuple(fields), is_table=True)
    return Contents("X", (of_array("", _on_host(X, "X")),))


def _labels(y: Any) -> LabelSource:
    if isinstance(y, np.ma.MaskedArray):
        return LabelSource(y, "y")
    if _is(y, "pandas", "DataFrame"):
        y = y.to_numpy()
    return LabelSource(_on_host(y, "y"), "y")


def _is(value: Any, package: str, name: str) -> bool:
    """Return whether a value has a type of a package, which is not imported for this."""
    module = sys.modules.get(package)
    return module is not None and isinstance(value, getattr(module, name))


def _on_host(values: Any, name: str) -> np.ndarray:
    """Copy an array-like to NumPy."""
    if isinstance(values, np.ma.MaskedArray):
        raise InputError(f"{name} is a masked array. Fill it, or drop the masked rows.")
    if _is_sparse(values):
        raise InputError(f"{name} is sparse. Give a dense array: {name}.toarray(), or reduce it.")
    if array_api_compat.is_cupy_array(values):
        array: np.ndarray = values.get()
        return array
    if array_api_compat.is_torch_array(values):
        return to_numpy(values)
    if isinstance(values, list | tuple) and values and array_api_compat.is_torch_array(values[0]):
        values = [to_numpy(value) for value in values]
    try:
        return _texts_kept(values, np.asarray(values))
    except (TypeError, ValueError) as error:  # rows of different lengths, for example
        raise InputError(f"{name} cannot be read as an array: {error}.") from error


def _texts_kept(values: Any, array: np.ndarray) -> np.ndarray:
    """Keep a None or NaN in a list of texts, which NumPy would turn into text."""
    if array.dtype.kind in "US" and not isinstance(values, np.ndarray):
        return np.asarray(values, dtype=object)
    return array


def _is_sparse(values: Any) -> bool:
    module = sys.modules.get("scipy.sparse")
    if module is not None and module.issparse(values):
        return True
    return "torch.sparse" in str(getattr(values, "layout", ""))


def _check_index(X: Any, y: Any) -> None:
    """Warn when the rows of X and y have the same names in another order."""
    if not (_is(X, "pandas", "DataFrame") and _is(y, "pandas", "Series")):
        return
    if len(X) == len(y) and not X.index.equals(y.index) and set(X.index) == set(y.index):
        warnings.warn(
            "the index of y has another order than the index of X; labels were taken by position. "
            "y.loc[X.index] gives them the order of X.",
            GpuclustNote,
            stacklevel=4,
        )
