"""Values of vectors: dtype, NaN and inf, fingerprint; in blocks, for mapped files."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import InputError
from .contents import NUMBERS, UNKNOWN, check_memory, kind_of

_BLOCK = 2**25  # bytes of vectors that are looked at together


def as_features(X: np.ndarray, source: str) -> np.ndarray:
    """Check vectors and return them C-ordered, as float32 where it is exact, else as float64.

    Parameters
    ----------
    X : ndarray (n, d)
        Real numbers.  A C-ordered float32 or float64 array is returned as it is, without a copy;
        float16 and integers up to 2**24 become float32, other integers float64.
    source : str
        Name for messages.

    Raises
    ------
    InputError
        Another type or shape, no value, NaN, inf, or integers beyond the precision of float64.

    Examples
    --------
    >>> as_features(np.array([[1, 2], [3, 2**25 + 1]]), "X").dtype
    dtype('float64')
    """
    kind, name = kind_of(X.dtype)
    if kind != NUMBERS:
        raise InputError(f"{source} has vectors of type {name}; they must be real numbers.")
    check_shape(X.shape, source)
    dtype = _float_for(X, source)
    if X.dtype != dtype or not X.flags.c_contiguous or not X.dtype.isnative:
        check_memory(X.shape, dtype.itemsize, source)
        with np.errstate(over="ignore"):  # becomes inf, and is refused as such
            X = np.ascontiguousarray(X, dtype)
    _check_finite(X, source)
    return X


def check_shape(shape: tuple[int, ...], source: str) -> None:
    """Raise `InputError` unless a shape is (n, d) with a value in it."""
    if len(shape) != 2:
        raise InputError(f"{source} has shape {shape}; expected (n, d), one row per image.")
    if 0 in shape:
        raise InputError(f"{source} is empty: shape {shape}.")


def blocks(X: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the rows in blocks of 32 MiB, each with the number of its first row.

    The pages of a mapped file are released after each block.
    """
    row_bytes = X.dtype.itemsize * (int(np.prod(X.shape[1:])) or 1)
    rows = max(1, _BLOCK // row_bytes)
    for start in range(0, len(X), rows):
        yield start, X[start : start + rows]
        release(X)


def release(X: Any) -> None:
    """Release the pages of a mapped file; they are read again when wanted."""
    mapped = getattr(X, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _float_for(X: np.ndarray, source: str) -> np.dtype:
    """Return the smallest float type for the exact values."""
    if X.dtype.kind == "f":
        return np.dtype(np.float32 if X.dtype.itemsize <= 4 else np.float64)
    if X.dtype.kind == "b" or X.dtype.itemsize <= 2:
        return np.dtype(np.float32)
    largest = max(max(int(block.max()), -int(block.min())) for _, block in blocks(X))
    if largest <= 2**24:
        return np.dtype(np.float32)
    if largest > 2**53:
        _check_exact(X, source)
    return np.dtype(np.float64)


def _check_exact(X: np.ndarray, source: str) -> None:
    for start, block in blocks(X):
        same = block.astype(np.float64).astype(object) == block.astype(object)
        if not same.all():
            row = start + int(np.argmin(same.all(axis=1)))
            raise InputError(
                f"{source} has integers above 2**53, the first in row {row}; they lose digits as "
                "float64, and different ones may become equal. Subtract an offset, or scale them."
            )


def _check_finite(X: np.ndarray, source: str) -> None:
    count, first = 0, 0
    for start, block in blocks(X):
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            first = first if count else start + int(np.argmin(finite))
            count += int(np.count_nonzero(~finite))
    if count:
        raise InputError(
            f"{source} has NaN or inf in {count} of {len(X)} rows, the first is row {first}. Drop "
            "or repair these rows."
        )


def fingerprint_of(X: np.ndarray, y: Any | None = None, labelled: Any | None = None) -> str:
    """Return the SHA-256 (hex) of shape, dtype, values and labels; the same from file and memory.

    Parameters
    ----------
    X : ndarray (n, d) float32 or float64
        Vectors, C-ordered; read in blocks.
    y : ndarray (n,) int64, optional
        Label codes.
    labelled : ndarray (n,) bool, optional
        False for the samples without a label.

    Examples
    --------
    >>> X = np.eye(2)
    >>> fingerprint_of(X) == fingerprint_of(X.reshape(1, 4))
    False
    """
    digest = hashlib.sha256(repr((X.shape, X.dtype.str)).encode())
    for _, block in blocks(X):
        digest.update(np.ascontiguousarray(block).data)
    if y is not None:
        y = np.asarray(y) if labelled is None else np.where(labelled, y, 0)
        digest.update(np.ascontiguousarray(y, np.int64).data)
    if labelled is not None:
        digest.update(b"labelled")
        digest.update(np.ascontiguousarray(labelled, bool).data)
    return digest.hexdigest()


def shape_text(shape: tuple[int, ...]) -> str:
    """Write a shape as ``"120 x 24"``.

    Examples
    --------
    >>> shape_text((120, 24))
    '120 x 24'
    """
    return " x ".join("?" if size == UNKNOWN else f"{size}" for size in shape)
