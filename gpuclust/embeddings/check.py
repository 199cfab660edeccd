"""Check vectors and labels of the user's own, from a file or from memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from ..errors import InputError

_KINDS = "biuf"  # bool, integers, floats


class Vectors(NamedTuple):
    """Vectors `X` (n, d) float32 or float64, labels `y` (n,) int64 or None, and class names."""

    X: np.ndarray
    y: np.ndarray | None
    class_names: tuple[str, ...] | None


def check_vectors(X: Any, y: Any | None = None) -> Vectors:
    """Check vectors and labels in memory the way `read_vectors` checks a file.

    Parameters
    ----------
    X : array-like (n, d)
        Real numbers: NumPy, pandas, torch or CuPy; copied to the host.
    y : array-like (n,), optional
        Integers or text.

    Returns
    -------
    Vectors
        See `read_vectors`.

    Raises
    ------
    InputError
        Wrong shape, type or length, empty, NaN or infinite.

    Examples
    --------
    >>> check_vectors([[0, 1], [2, 3]], ["cat", "dog"]).y
    array([0, 1])
    """
    vectors = features(_on_host(X, "X"), "X")
    if y is None:
        return Vectors(vectors, None, None)
    labels, class_names = encode(_on_host(y, "y"), "y")
    if len(labels) != len(vectors):
        raise InputError(f"y has {len(labels)} labels for the {len(vectors)} vectors of X.")
    return Vectors(vectors, labels, class_names)


def _on_host(values: Any, name: str) -> np.ndarray:
    """Copy an array-like to NumPy."""
    if array_api_compat.is_cupy_array(values):
        return values.get()
    if array_api_compat.is_torch_array(values):
        return values.detach().cpu().numpy()
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:  # rows of different lengths, for example
        raise InputError(f"{name} cannot be read as an array: {error}.") from error


def features(X: np.ndarray, path: str | Path) -> np.ndarray:
    """Check vectors and return them C-ordered, as float64 if they are, else as float32."""
    if X.dtype.kind not in _KINDS:
        raise InputError(f"{path} has vectors of type {X.dtype}; they must be real numbers.")
    if X.ndim != 2:
        raise InputError(f"{path} has shape {X.shape}; expected (n, d), one row per image.")
    if not X.size:
        raise InputError(f"{path} is empty: shape {X.shape}.")
    X = np.ascontiguousarray(X, np.float64 if X.dtype == np.float64 else np.float32)
    finite = np.isfinite(X).all(axis=1)
    if not finite.all():
        raise InputError(
            f"{path} has NaN or inf in {np.count_nonzero(~finite)} of {len(X)} rows, the first is "
            f"row {int(np.argmin(finite))}. Drop or repair these rows."
        )
    return X


def encode(raw: np.ndarray, path: str | Path) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Return int64 labels, and the class names if labels were text."""
    raw = raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 1 else raw
    if raw.ndim != 1:
        raise InputError(f"{path} has labels of shape {raw.shape}; expected one per row, (n,).")
    if raw.dtype.kind == "f" and np.all(np.isfinite(raw)) and np.all(raw == np.rint(raw)):
        raw = raw.astype(np.int64)
    if raw.dtype.kind in "biu":
        return raw.astype(np.int64), None
    if raw.dtype.kind == "f":
        row = int(np.argmax(~np.isfinite(raw) | (raw != np.rint(raw))))
        raise InputError(f"{path}: label {raw[row]} in row {row}; labels are integers or text.")
    return _encode_text(raw, path)


def _encode_text(raw: np.ndarray, path: str | Path) -> tuple[np.ndarray, tuple[str, ...] | None]:
    texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in raw.tolist()]
    for row, text in enumerate(texts):
        if not isinstance(text, (str, int)) or text == "":
            raise InputError(f"{path}: label {text!r} in row {row}; labels are integers or text.")
    texts = [str(text) for text in texts]
    if all(text.removeprefix("-").isdecimal() for text in texts):
        return np.array([int(text) for text in texts], np.int64), None
    names, y = np.unique(texts, return_inverse=True)
    return y.astype(np.int64), tuple(map(str, names))
