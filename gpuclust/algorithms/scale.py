"""Scalings of samples and dimensions, on any array library."""

from __future__ import annotations

import math
from typing import Any

from array_api_compat import array_namespace

from ..arrays import accept, distances
from ..arrays.unit import unit_scaled
from ..errors import InputError
from .surface import Parameters


class Scaling(Parameters):
    """Surface of the scalings: `fit`, `transform` and both at once."""

    def fit(self, X: Any, y: Any = None) -> Any:
        """Check the samples `X` (n, d) and return the object; `y` is ignored."""
        del y
        accept.samples(X)
        return self

    def transform(self, X: Any) -> Any:
        """Return the scaled samples of `X` (n, d)."""
        raise NotImplementedError

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Return the scaled samples of `X` (n, d), see `transform`; `y` is ignored."""
        return self.fit(X, y).transform(X)


class Identity(Scaling):
    """Return the samples unchanged: the reducer ``none``.

    Examples
    --------
    >>> import numpy as np
    >>> Identity().fit_transform(np.array([[3.0, 4.0]]))
    array([[3., 4.]])
    """

    def transform(self, X: Any) -> Any:
        """Return `X` itself, not a copy; lists and DataFrames as an array."""
        return accept.returned(accept.samples(X), X)


class UnitLength(Scaling):
    """Scale every sample to Euclidean length 1: the reducer ``l2``.

    A sample of zeros stays unchanged, as in `sklearn.preprocessing.normalize`.

    Examples
    --------
    >>> import numpy as np
    >>> UnitLength().fit_transform(np.array([[3.0, 4.0]]))
    array([[0.6, 0.8]])
    """

    def transform(self, X: Any) -> Any:
        """Return a scaled copy of `X` (n, d), in its float dtype.  O(n d) time and memory.

        Integers become float64, float16 becomes float32.
        """
        given, X = X, accept.samples(X)
        xp = array_namespace(X)
        X = distances.as_floating(xp, X)
        size = _nonzero(xp, _largest(xp, X, axis=1))
        if not _squares_are_exact(xp, size):  # the result does not depend on units
            X = X / size
        length = xp.sqrt(xp.sum(X * X, axis=1, keepdims=True))
        return accept.returned(X / _nonzero(xp, length), given)


def _nonzero(xp: Any, values: Any) -> Any:
    """Replace zeros by ones, for divisions."""
    return xp.where(values > 0, values, xp.ones_like(values))


def _largest(xp: Any, X: Any, axis: int) -> Any:
    """Return the largest absolute values along an axis; refuse NaN and infinity."""
    found = xp.max(xp.abs(X), axis=axis, keepdims=True)
    if not bool(xp.all(xp.isfinite(found))):
        raise InputError(
            "X contains NaN or infinity, and scaling needs finite values. Drop these samples or "
            "replace the values."
        )
    return found


def _squares_are_exact(xp: Any, sizes: Any) -> bool:
    """Return whether squares of values of these sizes neither overflow nor lose digits."""
    limits = xp.finfo(sizes.dtype)
    low, high = math.sqrt(limits.smallest_normal) / limits.eps, 1e-3 * math.sqrt(limits.max)
    return bool(xp.all((low < sizes) & (sizes < high)))


class ZScore(Scaling):
    """Scale every dimension to mean 0 and standard deviation 1: the reducer ``zscore``.

    A constant dimension becomes 0, as in the study and in `sklearn.preprocessing.StandardScaler`.

    Examples
    --------
    >>> import numpy as np
    >>> ZScore().fit_transform(np.array([[1.0, 7.0], [3.0, 7.0]]))
    array([[-1.,  0.],
           [ 1.,  0.]])
    """

    def fit(self, X: Any, y: Any = None) -> ZScore:
        """Learn mean and deviation of the dimensions of `X` (n, d); `y` is ignored."""
        self.fit_transform(X, y)
        return self

    def transform(self, X: Any) -> Any:
        """Return a copy of `X` (n, d) scaled by the mean and deviation of the fit.

        Raises
        ------
        InputError
            Before a fit, and for an X of another number of dimensions.
        """
        if not hasattr(self, "scale_"):
            raise InputError("ZScore has no mean and deviation yet. Call fit or fit_transform.")
        given, X = X, accept.samples(X)
        xp = array_namespace(X)
        X = distances.as_floating(xp, X)
        if X.shape[1] != self.scale_.shape[1]:
            raise InputError(
                f"X has {X.shape[1]} features, but ZScore was fitted with {self.scale_.shape[1]}."
            )
        return accept.returned((X - self.mean_) / self.scale_, given)

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Return a scaled copy of `X` (n, d), in its float dtype.  O(n d) time and memory.

        Integers become float64, float16 becomes float32.
        """
        del y
        given, X = X, accept.samples(X)
        xp = array_namespace(X)
        X = distances.as_floating(xp, X)
        size = _largest(xp, X, axis=0)
        unit = xp.ones_like(size)
        if not _squares_are_exact(xp, _nonzero(xp, size)):  # the result does not depend on units
            unit = _nonzero(xp, size)
            X, size = X / unit, size / unit
        mean = xp.mean(X, axis=0, keepdims=True)
        centered = X - mean
        # The mean of large float32 values has a rounding error, and centering again removes it.
        # Otherwise a constant dimension would get a tiny deviation, scaled up to 1.
        drift = xp.mean(centered, axis=0, keepdims=True)
        centered = centered - drift
        spread = xp.sqrt(xp.mean(centered * centered, axis=0, keepdims=True))
        constant = spread <= 8 * xp.finfo(X.dtype).eps * size
        scale = xp.where(constant, xp.ones_like(spread), spread)
        self.mean_, self.scale_ = (mean + drift) * unit, scale * unit
        return accept.returned(xp.where(constant, xp.zeros_like(centered), centered / scale), given)


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
    X, unit = unit_scaled(xp, distances.as_floating(xp, X))
    spread = float(xp.mean(xp.std(X, axis=0))) * unit
    return spread if spread > 0 else 1.0
