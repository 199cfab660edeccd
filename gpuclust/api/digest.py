"""Check and hash vectors where they are, without a copy to the host."""

from __future__ import annotations

from typing import Any

import array_api_compat as compat

from ..embeddings.data import check_finite

_ROWS = 1 << 14  # rows hashed at once


def checked(X: Any) -> Any:
    """Return vectors (n, d) in float32 or float64; integers above 16 bits become float64.

    Raises
    ------
    InputError
        When X is empty, or has NaN or infinite values.
    """
    xp = compat.array_namespace(X)
    if X.dtype not in (xp.float32, xp.float64):
        small = X.dtype.itemsize <= 2  # float32 holds their values exactly
        X = xp.astype(X, xp.float32 if small else xp.float64)
    check_finite(X, "X")
    return X


def of(X: Any) -> str:
    """Hash an array (n, d) on its device to 32 hexadecimal digits.

    Each value is mixed with its position by the finalizer of splitmix64, and the results are
    summed modulo 2^64, for two seeds.  Equal arrays have equal hashes; other arrays differ with all
    but 2^-128 probability, unless they are constructed for it.  O(n d) time, 16 bytes per value of
    a block of rows.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(6, dtype=np.float32).reshape(3, 2)
    >>> of(X) == of(X.copy()), of(X) == of(X[::-1].copy())
    (True, False)
    """
    xp = compat.array_namespace(X)
    sums = [0, 0]
    for start in range(0, X.shape[0], _ROWS):
        rows = X[start : min(start + _ROWS, X.shape[0]), :]
        bits = xp.reshape(rows, (-1,)).view(xp.uint32 if rows.itemsize == 4 else xp.uint64)
        at = xp.arange(bits.shape[0], dtype=xp.uint64) + start * X.shape[1]
        for i, seed in enumerate((0x9E3779B97F4A7C15, 0xD1B54A32D192ED03)):
            mixed = _mixed(_mixed(at + seed) ^ bits.astype(xp.uint64))
            sums[i] = (sums[i] + int(xp.sum(mixed, dtype=xp.uint64))) % 2**64
    shape = f"{X.shape[0]}x{X.shape[1]}{X.dtype}"
    return f"{sums[0]:016x}{sums[1]:016x}-{shape}"


def _mixed(values: Any) -> Any:
    """Spread the bits of uint64 values (splitmix64)."""
    values = (values ^ (values >> 30)) * 0xBF58476D1CE4E5B9
    values = (values ^ (values >> 27)) * 0x94D049BB133111EB
    return values ^ (values >> 31)
