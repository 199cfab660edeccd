"""Samples of any size for classes of libraries, to be squared in their own dtype.

Our own classes scale the samples themselves, see `gpuclust.arrays.unit`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import array_api_compat

from ..arrays.unit import SQUARES32, is_ordinary, unit_scaled


class Unit(NamedTuple):
    """Origin and unit of the samples given to a class.

    Attributes
    ----------
    origin : array (1, d) or None
        Subtracted from the samples; None if they are used unchanged.
    size : float
        Power of two; they are divided by it.

    Examples
    --------
    >>> import numpy as np
    >>> unit = Unit(origin=np.array([[1.0]]), size=4.0)
    >>> unit.scaled(np.array([[9.0]])).tolist(), unit.points(np.array([[2.0]])).tolist()
    ([[2.0]], [[9.0]])
    >>> unit.lengths(1.0), unit.squares(1.0)
    (4.0, 16.0)
    """

    origin: Any = None
    size: float = 1.0

    def scaled(self, X: Any) -> Any:
        """Return samples (n, d) about the origin, in this unit; unchanged without an origin."""
        if self.origin is None:
            return X
        xp = array_api_compat.array_namespace(X)
        return (xp.astype(X, xp.float64) - self.origin) / self.size

    def points(self, values: Any) -> Any:
        """Return points (m, d) or (d,) in the unit of the samples."""
        if self.origin is None:
            return values
        return values * self.size + (self.origin if values.ndim == 2 else self.origin[0, :])

    def lengths(self, values: Any) -> Any:
        """Return lengths in the unit of the samples."""
        return values if self.origin is None else values * self.size

    def squares(self, values: Any) -> Any:
        """Return squared lengths in the unit of the samples."""
        return values if self.origin is None else values * self.size * self.size


def unit_for(estimator: Any, X: Any) -> Unit:
    """Choose the unit for fitting a class to the samples `X` (n, d), float32 or float64.

    O(n d) time.  Samples of ordinary size are used unchanged, and so are those of our own classes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.cluster import KMeans
    >>> unit_for(KMeans(), np.array([[0.0], [3.0]])).size
    1.0
    >>> unit_for(KMeans(), np.array([[0.0], [3e-200]])).size < 1e-190
    True
    """
    module = type(estimator).__module__
    on_gpu = module.startswith("cuml.") or module == "gpuclust.algorithms.cuml"
    if module.startswith("gpuclust.") and not on_gpu:
        return Unit()
    xp = array_api_compat.array_namespace(X)
    limits = SQUARES32 if on_gpu else None  # cuML converts to float32
    if is_ordinary(xp, X, limits=limits):
        return Unit()
    return Unit(xp.astype(X[:1, :], xp.float64), unit_scaled(xp, X, limits=limits)[1])


def fit_predict(estimator: Any, X: Any) -> Any:
    """Fit a clusterer in the unit of `unit_for` and return its labels (n,).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.cluster import KMeans
    >>> X = np.array([[0.0], [1.0], [8.0], [9.0]], dtype=np.float32) * np.float32(1e-30)
    >>> labels = fit_predict(KMeans(2, random_state=0), X)
    >>> bool(labels[0] == labels[1] != labels[2] == labels[3])
    True
    """
    return estimator.fit_predict(unit_for(estimator, X).scaled(X))


def fit_transform(estimator: Any, X: Any) -> Any:
    """Fit a reducer in the unit of `unit_for` and return the reduced samples (n, m).

    Components are in the unit and dtype of X; whitened ones and the layouts of UMAP and PaCMAP
    have no unit.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> X = np.array([[0.0, 0.0], [6.0, 8.0]]) * 1e-200
    >>> bool(np.allclose(np.abs(fit_transform(PCA(1), X)) * 1e200, 5.0))
    True
    """
    unit = unit_for(estimator, X)
    found = estimator.fit_transform(unit.scaled(X))
    if unit.origin is None or getattr(estimator, "whiten", True):
        return found
    xp = array_api_compat.array_namespace(X)
    return xp.astype(unit.lengths(found), X.dtype)
