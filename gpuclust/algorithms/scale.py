"""Scalings that come before a reducer or a clusterer, on any array library."""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace


class Identity:
    """Hand the array on: the reducer ``none``."""

    def fit_transform(self, X: Any) -> Any:
        """Return `X` itself, not a copy."""
        return X


class UnitLength:
    """Scale every sample to Euclidean length 1: the reducer ``l2``.

    A sample of zeros stays as it is, as in `sklearn.preprocessing.normalize`.
    """

    def fit_transform(self, X: Any) -> Any:
        """Return a scaled copy of `X` (n, d), in its dtype.  O(n d) time and memory."""
        xp = array_namespace(X)
        length = xp.sqrt(xp.sum(X * X, axis=1, keepdims=True))
        return X / xp.where(length > 0, length, xp.ones_like(length))


class ZScore:
    """Bring every dimension to mean 0 and standard deviation 1: the reducer ``zscore``.

    A constant dimension becomes 0, as in the study and in `sklearn.preprocessing.StandardScaler`.
    """

    def fit_transform(self, X: Any) -> Any:
        """Return a scaled copy of `X` (n, d), in its dtype.  O(n d) time and memory."""
        xp = array_namespace(X)
        centred = X - xp.mean(X, axis=0, keepdims=True)
        # A second centring removes what rounding left of a large mean: without it a constant
        # float32 dimension gets a tiny spread and would be blown up to 1.
        drift = xp.mean(centred, axis=0, keepdims=True)
        centred = centred - drift
        spread = xp.sqrt(xp.mean(centred * centred, axis=0, keepdims=True))
        size = xp.max(xp.abs(X), axis=0, keepdims=True)
        constant = spread <= 8 * xp.finfo(X.dtype).eps * size
        scale = xp.where(constant, xp.ones_like(spread), spread)
        return xp.where(constant, xp.zeros_like(centred), centred / scale)


def mean_spread(X: Any) -> float:
    """Give the mean over the dimensions of `X` (n, d) of their standard deviation.

    The study divides by this one number before it cuts a tree at a height, so that one threshold
    serves every embedding.  1.0 when all dimensions are constant.
    """
    xp = array_namespace(X)
    spread = float(xp.mean(xp.std(X, axis=0)))
    return spread if spread > 0 else 1.0
