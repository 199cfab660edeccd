"""Scalings of samples and dimensions, on any array library."""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace


class Identity:
    """Return the samples unchanged: the reducer ``none``.

    Examples
    --------
    >>> import numpy as np
    >>> Identity().fit_transform(np.array([[3.0, 4.0]]))
    array([[3., 4.]])
    """

    def fit_transform(self, X: Any) -> Any:
        """Return `X` itself, not a copy."""
        return X


class UnitLength:
    """Scale every sample to Euclidean length 1: the reducer ``l2``.

    A sample of zeros stays unchanged, as in `sklearn.preprocessing.normalize`.

    Examples
    --------
    >>> import numpy as np
    >>> UnitLength().fit_transform(np.array([[3.0, 4.0]]))
    array([[0.6, 0.8]])
    """

    def fit_transform(self, X: Any) -> Any:
        """Return a scaled copy of `X` (n, d), in its dtype.  O(n d) time and memory."""
        xp = array_namespace(X)
        length = xp.sqrt(xp.sum(X * X, axis=1, keepdims=True))
        return X / xp.where(length > 0, length, xp.ones_like(length))


class ZScore:
    """Scale every dimension to mean 0 and standard deviation 1: the reducer ``zscore``.

    A constant dimension becomes 0, as in the study and in `sklearn.preprocessing.StandardScaler`.

    Examples
    --------
    >>> import numpy as np
    >>> ZScore().fit_transform(np.array([[1.0, 7.0], [3.0, 7.0]]))
    array([[-1.,  0.],
           [ 1.,  0.]])
    """

    def fit_transform(self, X: Any) -> Any:
        """Return a scaled copy of `X` (n, d), in its dtype.  O(n d) time and memory."""
        xp = array_namespace(X)
        centered = X - xp.mean(X, axis=0, keepdims=True)
        # The mean of large float32 values has a rounding error, and centering again removes it.
        # Otherwise a constant dimension would get a tiny deviation, scaled up to 1.
        drift = xp.mean(centered, axis=0, keepdims=True)
        centered = centered - drift
        spread = xp.sqrt(xp.mean(centered * centered, axis=0, keepdims=True))
        size = xp.max(xp.abs(X), axis=0, keepdims=True)
        constant = spread <= 8 * xp.finfo(X.dtype).eps * size
        scale = xp.where(constant, xp.ones_like(spread), spread)
        return xp.where(constant, xp.zeros_like(centered), centered / scale)


def mean_spread(X: Any) -> float:
    """Return the mean standard deviation of the dimensions of `X` (n, d).

    The study divides distance thresholds by it, so that one threshold fits all embeddings.  1.0 if
    all dimensions are constant.  O(n d) time.

    Examples
    --------
    >>> import numpy as np
    >>> mean_spread(np.array([[0.0, 0.0], [2.0, 4.0]]))
    1.5
    """
    xp = array_namespace(X)
    spread = float(xp.mean(xp.std(X, axis=0)))
    return spread if spread > 0 else 1.0
