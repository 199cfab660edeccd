"""The conventions of scikit-learn for our own classes, without importing scikit-learn.

`sklearn.base` takes a second to import, more than all of our algorithms together.  The estimators
offered as ``gpuclust.KMeans`` and so on inherit from scikit-learn's classes instead, see
`gpuclust.estimators`.
"""

from __future__ import annotations

import inspect
from typing import Any

from ..errors import unknown


class Parameters:
    """Parameters of the constructor as values, for `sklearn.base.clone` and pipelines."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - as theirs
        """Return the parameters by name.

        Parameters
        ----------
        deep : bool
            No effect: no parameter is an estimator.
        """
        del deep
        return {name: getattr(self, name) for name in _names(type(self))}

    def set_params(self, **params: Any) -> Any:
        """Set parameters and return the object.

        Raises
        ------
        UnknownNameError
            For a name that is no parameter.
        """
        names = _names(type(self))
        for name in params:
            if name not in names:
                raise unknown(f"parameter of {type(self).__name__}", name, names)
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        given = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if value is not defaults[name].default
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    def __sklearn_tags__(self) -> Any:
        from sklearn.base import BaseEstimator

        return BaseEstimator().__sklearn_tags__()


class Clusterer(Parameters):
    """A clusterer: `fit` sets ``labels_``."""

    labels_: Any

    def fit(self, X: Any) -> Any:
        """Cluster the samples `X` (n, d) and return the object."""
        raise NotImplementedError

    def fit_predict(self, X: Any, y: Any = None, **how: Any) -> Any:
        """Cluster the samples `X` (n, d) and return the labels (n,), int64.

        Parameters
        ----------
        X : array-like (n, d)
            See `fit`.
        y : object
            Ignored; pipelines pass it.
        **how
            Passed to `fit`.

        Returns
        -------
        array (n,), int64
            In the array type and on the device of X; NumPy for lists and DataFrames.
        """
        del y
        return self.fit(X, **how).labels_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "clusterer"
        return tags


def _names(kind: type) -> list[str]:
    return sorted(name for name in inspect.signature(kind).parameters)
