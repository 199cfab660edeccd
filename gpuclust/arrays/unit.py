"""Unit of the samples, chosen to keep squares of their differences in the range of floats.

float32 squares underflow for samples of 1e-25 and overflow for samples of 1e20; float64 squares do
so at 1e-160 and 1e155.  Distances are computed on samples divided by a power of two, which is
exact, and are multiplied by it again.  Samples of an ordinary size are used unchanged.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError

OVERFLOW = (
    "X has values so large that distances between samples are beyond the largest number of its "
    "dtype. Divide X by a constant, or use float64."
)
# Larger numbers are divided before they are subtracted, since the difference can overflow.
_VERY_LARGE = 2.0**1000


class Limits(NamedTuple):
    """Sizes of samples to use unchanged.

    Attributes
    ----------
    largest : float
        Largest absolute value.
    spread : float
        Smallest range of the feature with the largest range.
    narrowest : float
        Smallest range of the features that are not constant.
    """

    largest: float
    spread: float
    narrowest: float


# Squares of close pairs, a rounding error apart, and sums of a million squares stay in range.
SQUARES32 = Limits(2.0**50, 2.0**-30, 2.0**-55)
SQUARES64 = Limits(2.0**400, 2.0**-400, 2.0**-450)
# Distances computed in float64 and kept in float32.
KEPT32 = Limits(2.0**100, 2.0**-100, 2.0**-100)


def unit_scaled(xp: Any, X: Any, *, limits: Limits | None = None) -> tuple[Any, float]:
    """Return samples with the same differences in a safe unit, and the unit.

    O(n d) time: one pass for the smallest and the largest value of each feature.  The array `X`
    itself is returned if it is within the limits.  Otherwise a float64 copy: the first
    sample is subtracted, and the differences are divided by a power of two, so that the largest is
    from 1 to 2.

    Parameters
    ----------
    xp : namespace
        Namespace of X.
    X : array of shape (n, d)
        float32 or float64, finite.
    limits : Limits, optional
        `SQUARES32`, `SQUARES64` or `KEPT32`; by default for squares in the dtype of X.

    Returns
    -------
    scaled : array of shape (n, d)
        Its euclidean, l1 and chebyshev distances times `unit` are those of X.  Cosine distances
        are not kept, and need no scaling.
    unit : float
        A power of two, 1.0 for an unchanged X; infinite if differences exceed float64.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [3e-30]], dtype=np.float32)
    >>> scaled, unit = unit_scaled(np, X)
    >>> round(float(scaled[1, 0]), 3), bool(scaled[1, 0] * unit == X[1, 0])
    (1.901, True)
    >>> unit_scaled(np, np.array([[0.0], [3.0]]))[1]
    1.0
    """
    if is_ordinary(xp, X, limits=limits):
        return X, 1.0
    part = 0.25 if float(xp.max(xp.abs(X))) > _VERY_LARGE else 1.0
    X = xp.astype(X, xp.float64) * part
    X = X - X[:1, :]
    largest = float(xp.max(xp.abs(X)))
    if largest == 0:
        return X, 1.0
    unit = 2.0 ** (math.frexp(largest)[1] - 1)
    return X / unit, unit / part


def is_ordinary(xp: Any, X: Any, *, limits: Limits | None = None) -> bool:
    """Return whether X (n, d) is finite and within the limits, see `unit_scaled`.

    O(n d) time; the host waits for the device once.

    Examples
    --------
    >>> import numpy as np
    >>> [is_ordinary(np, np.array([[0.0], [value]])) for value in (3.0, 1e-200, np.nan)]
    [True, False, False]
    """
    if not X.shape[0] or not X.shape[1]:
        return True
    if limits is None:
        limits = SQUARES32 if X.dtype == xp.float32 else SQUARES64
    low = xp.astype(xp.min(X, axis=0), xp.float64)
    high = xp.astype(xp.max(X, axis=0), xp.float64)
    size = xp.max(xp.maximum(xp.abs(low), xp.abs(high)))
    with np.errstate(invalid="ignore"):  # infinity minus infinity, on NumPy
        width = 0.5 * high - 0.5 * low  # the difference itself can overflow
    widest = xp.max(width)
    narrowest = xp.min(xp.where(width == 0, xp.full_like(width, math.inf), width))
    fits = (widest >= limits.spread / 2) & (narrowest >= limits.narrowest / 2)
    # Halves of the smallest numbers are zero as well, so only samples of some size are constant.
    constant = (widest == 0) & ((size >= limits.spread) | (size == 0))
    # Comparisons with NaN are false, so samples with NaN or infinity never pass.
    return bool((size <= limits.largest) & (fits | constant))


def in_unit(xp: Any, distances: Any, unit: float) -> Any:
    """Multiply distances by the unit of their samples, see `unit_scaled`.

    Raises
    ------
    InputError
        If a distance exceeds the largest float64.

    Examples
    --------
    >>> import numpy as np
    >>> in_unit(np, np.array([1.5]), 0.25).tolist()
    [0.375]
    """
    if unit == 1.0 or 0 in distances.shape:
        return distances
    if not math.isfinite(float(xp.max(distances)) * unit):
        raise InputError(OVERFLOW)
    return distances * unit
