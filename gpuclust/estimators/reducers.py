"""Reducers in scikit-learn's conventions."""

from __future__ import annotations

from typing import Any

import array_api_compat
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from ..arrays import accept
from ..methods.units import unit_for
from .base import Estimator, input_errors, kept, on_device_of


class PCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    """Principal components: `sklearn.decomposition.PCA` on the CPU, cuML's on a GPU.

    Parameters, defaults and results are scikit-learn's; `svd_solver`, `tol` and "mle" are not
    offered.  O(n d min(n, d)) time.

    Parameters
    ----------
    n_components : int, float or None
        Number of components, a share of the variance between 0 and 1, or None for min(n, d).
    whiten : bool
        Scale the components to variance 1.
    random_state : int, RandomState or None
        Seed of scikit-learn's randomized solver, which it chooses for large inputs.
    device : {"auto", "cpu", "gpu"}
        ``auto`` computes arrays on a GPU there, others on the GPU if there is one with RAPIDS.

    Attributes
    ----------
    components_ : array (m, d)
        Directions of largest variance.  This and other arrays are in the array type of X and on
        its device: torch gives torch, CuPy gives CuPy, everything else gives NumPy.
    explained_variance_, explained_variance_ratio_, singular_values_ : arrays (m,)
        Variance of each component, its share, and its singular value.
    mean_ : array (d,)
        Mean of the samples.
    n_components_ : int
        Number of components m.
    n_features_in_, feature_names_in_ : int, array of str
        Features of the fit; names only for DataFrames.
    backend_, ran_ : str
        Device of the fit, and import path of the class that ran.

    Examples
    --------
    >>> import gpuclust
    >>> model = gpuclust.PCA(n_components=1, device="cpu")
    >>> model.fit_transform([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]).round(6).ravel().tolist()
    [-5.0, 0.0, 5.0]
    """

    _entry = "pca"
    _arrays = ("components_", "explained_variance_", "explained_variance_ratio_")

    def __init__(
        self,
        n_components: float | None = None,
        *,
        whiten: bool = False,
        random_state: Any = None,
        device: str = "auto",
    ):
        self.n_components = n_components
        self.whiten = whiten
        self.random_state = random_state
        self.device = device

    def fit(self, X: Any, y: Any = None) -> PCA:
        """Find the components of the samples `X` (n, d); see `KMeans.fit` for input and errors."""
        del y
        self._fit(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Find the components of `X` (n, d) and return the samples in them (n, m)."""
        del y
        return self._fit(X)

    def transform(self, X: Any) -> Any:
        """Return the samples `X` (n, d) in the components of the fit (n, m), in the type of X.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            For an X that is not finite or has other features than in the fit.
        """
        Z = self._again(X)
        axes, mean = on_device_of(self.components_, Z), on_device_of(self.mean_, Z)
        # Centering first, and not the product alone, keeps the digits of data far from the origin.
        found = (Z - mean[None, :]) @ axes.T
        if self.whiten:
            found = found / self._deviations(found)
        return accept.returned(found, X)

    def inverse_transform(self, X: Any) -> Any:
        """Return samples (n, d) from their components `X` (n, m), in the type of X."""
        Z = accept.samples(X)
        axes, mean = on_device_of(self.components_, Z), on_device_of(self.mean_, Z)
        if self.whiten:
            Z = Z * self._deviations(Z)
        return accept.returned(Z @ axes + mean[None, :], X)

    def _deviations(self, Z: Any) -> Any:
        """Return the standard deviation of each component (1, m), at least the rounding error."""
        xp = array_api_compat.array_namespace(Z)
        deviations = xp.sqrt(on_device_of(self.explained_variance_, Z))
        return xp.clip(deviations, xp.finfo(deviations.dtype).eps, None)[None, :]

    def _fit(self, X: Any) -> Any:
        with input_errors():
            Z, model = self._ready(X)
            unit, xp = unit_for(model, Z), array_api_compat.array_namespace(Z)
            found = model.fit_transform(unit.scaled(Z))
        if unit.origin is not None:
            found = xp.astype(found if self.whiten else unit.lengths(found), Z.dtype)
        m = found.shape[1]
        source = getattr(model, "fitted_", model)  # our wrapper keeps cuML's class
        in_unit = {"explained_variance_": unit.squares, "singular_values_": unit.lengths}
        for name in (*self._arrays, "singular_values_"):
            values = getattr(source, name)[:m, ...]
            setattr(self, name, kept(in_unit[name](values) if name in in_unit else values, X))
        self.mean_ = kept(unit.points(source.mean_), X)
        self.n_components_ = m
        return accept.returned(found, X)

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def _given(self, n: int, d: int) -> dict[str, Any]:
        given = super()._given(n, d)
        return given | {"n_components": min(n, d)} if self.n_components is None else given

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class UMAP(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    """UMAP on exact neighbors: our class on the CPU, ``cuml.manifold.UMAP`` on a GPU.

    Parameters and defaults are umap-learn's; neighbors are exact for every n, and new samples
    cannot be transformed.  O(n^2 d) time.

    Parameters
    ----------
    n_components : int
        Dimension of the result, at most n - 2.
    n_neighbors : int
        Neighbors per sample, the sample itself counted, below n.
    min_dist : float
        Minimum distance in the layout, 0 to 1.
    metric : {"euclidean", "cosine", "l1", "chebyshev"}
        Distance between samples.
    random_state : int, RandomState or None
        Seed; None gives another layout in every run.
    device : {"auto", "cpu", "gpu"}
        See `PCA`.

    Attributes
    ----------
    embedding_ : array (n, n_components), float32
        The layout, in the array type and on the device of X.
    n_features_in_, feature_names_in_, backend_, ran_
        See `PCA`.

    Examples
    --------
    >>> import gpuclust
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(30, 4))
    >>> gpuclust.UMAP(n_neighbors=5, random_state=0, device="cpu").fit_transform(X).shape
    (30, 2)
    """

    _entry = "umap"

    def __init__(
        self,
        n_components: int = 2,
        *,
        n_neighbors: int = 15,
        min_dist: float = 0.1,
        metric: str = "euclidean",
        random_state: Any = None,
        device: str = "auto",
    ):
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.min_dist = min_dist
        self.metric = metric
        self.random_state = random_state
        self.device = device

    def fit(self, X: Any, y: Any = None) -> UMAP:
        """Lay out the samples `X` (n, d); see `KMeans.fit` for input and errors."""
        del y
        with input_errors():
            Z, model = self._ready(X)
            self.embedding_ = kept(model.fit_transform(Z), X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Lay out the samples `X` (n, d) and return the layout (n, n_components), float32."""
        return self.fit(X, y).embedding_

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])

    def _given(self, n: int, d: int) -> dict[str, Any]:
        return super()._given(n, d) | {"seeded": self.random_state is not None}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # always float32
        return tags
