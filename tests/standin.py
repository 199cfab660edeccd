"""Stand-ins for RAPIDS on a machine without a GPU.

Arrays are of `array_api_strict` on its second device, where an implicit conversion to NumPy, a
device-to-host copy on a GPU, is an error.  The classes compute with scikit-learn, accept only
arrays of that device and the keywords of RAPIDS (tests/contract compares these with the real
packages), and return arrays of that device.
"""

from __future__ import annotations

import contextlib
import sys
import types
from typing import Any

import array_api_strict as strict
import numpy as np
import sklearn.cluster
import sklearn.decomposition
import sklearn.manifold
import sklearn.neighbors

from gpuclust.arrays.transfer import to_host

DEVICE = strict.Device("device1")


def put(values: Any) -> Any:
    """Copy an array to the device, or return it unchanged if it is there already."""
    if isinstance(values, strict._array_object.Array):
        assert values.device == DEVICE
        return values
    return strict.asarray(np.asarray(values), device=DEVICE)


def host(values: Any) -> np.ndarray:
    """Copy an array of the device to NumPy; an array on the host is an error."""
    assert values.device == DEVICE, "an input of cuML is not on the device"
    return np.array(to_host(values))


class KMeans:
    def __init__(self, *, n_clusters, random_state, n_init, init, output_type, max_iter=300):
        assert output_type == "cupy"
        self._inner = sklearn.cluster.KMeans(
            n_clusters, random_state=random_state, n_init=n_init, init=init, max_iter=max_iter
        )

    def fit_predict(self, X):
        labels = put(self._inner.fit_predict(host(X)).astype(np.int32))
        self.cluster_centers_ = put(self._inner.cluster_centers_)
        self.inertia_, self.n_iter_ = self._inner.inertia_, self._inner.n_iter_
        return labels

    def predict(self, X):
        return put(self._inner.predict(host(X)).astype(np.int32))


class HDBSCAN:
    def __init__(
        self, *, min_cluster_size, min_samples, max_cluster_size, metric, build_algo, **how
    ):
        assert how.pop("output_type") == "cupy"
        assert (metric, build_algo) == ("euclidean", "brute_force")
        self._inner = sklearn.cluster.HDBSCAN(
            min_cluster_size=min_cluster_size,
            min_samples=min_samples + 1,  # cuML does not count the sample itself
            max_cluster_size=max_cluster_size or None,
            copy=True,
            **how,
        )

    def fit_predict(self, X):
        labels = put(self._inner.fit_predict(host(X)).astype(np.int64))
        self.probabilities_ = put(self._inner.probabilities_)
        return labels


class PCA:
    def __init__(self, *, n_components, whiten, svd_solver, output_type):
        assert (svd_solver, output_type) == ("full", "cupy")
        assert type(n_components) is int
        self._inner = sklearn.decomposition.PCA(n_components, whiten=whiten, svd_solver="full")

    def fit_transform(self, X):
        Z = self._inner.fit_transform(host(X))
        for name in ("components_", "mean_", "singular_values_"):
            setattr(self, name, put(getattr(self._inner, name)))
        self.explained_variance_ = put(self._inner.explained_variance_)
        self.explained_variance_ratio_ = put(self._inner.explained_variance_ratio_)
        return put(Z)


class UMAP:
    """Not UMAP, but PCA of the given neighbor graph, with UMAP's output shape."""

    def __init__(self, *, n_components, n_neighbors, random_state, precomputed_knn, **how):
        assert how.pop("output_type") == "cupy"
        assert set(how) == {"min_dist", "metric", "build_algo", "init"}
        indices, distances = map(host, precomputed_knn)
        assert indices.shape == distances.shape == (len(indices), n_neighbors)
        np.testing.assert_array_equal(indices[:, 0], np.arange(len(indices)))
        self._near, self._shape = indices, (n_components, random_state)

    def fit_transform(self, X):
        n_components, seed = self._shape
        graph = np.zeros((len(self._near),) * 2)
        np.put_along_axis(graph, self._near, 1.0, axis=1)
        low = sklearn.decomposition.PCA(n_components, svd_solver="full", random_state=seed)
        assert len(host(X)) == len(graph)
        return put(low.fit_transform(graph @ graph.T).astype(np.float32))


class NearestNeighbors:
    def __init__(self, *, n_neighbors, metric, algorithm, output_type):
        assert (algorithm, output_type) == ("brute", "cupy")
        names = {"l1": "manhattan"}
        self._inner = sklearn.neighbors.NearestNeighbors(
            n_neighbors=n_neighbors, metric=names.get(metric, metric), algorithm="brute"
        )

    def fit(self, X):
        self._inner.fit(host(X))
        return self

    def kneighbors(self, X=None, *, two_pass_precision):
        assert two_pass_precision
        found = self._inner.kneighbors(None if X is None else host(X))
        return put(found[0].astype(np.float32)), put(found[1])


def spectral_embedding(A, *, n_components, affinity, random_state, drop_first):
    assert (affinity, drop_first) == ("precomputed", False)
    return put(
        sklearn.manifold.spectral_embedding(
            A, n_components=n_components, random_state=random_state, drop_first=False
        ).astype(np.float32)
    )


def symmetric_graph(indices):
    """Return the graph of `gpuclust.algorithms.cuml.symmetric_graph`, made with SciPy."""
    from scipy.sparse import csr_array

    near = host(indices)
    n, k = near.shape
    starts = (np.arange(n + 1) * k).astype(np.int32)
    graph = csr_array((np.ones(n * k), near.reshape(-1).astype(np.int32), starts), shape=(n, n))
    return 0.5 * (graph + graph.T)


def install(monkeypatch: Any) -> None:
    """Make `import cuml` and `import cupy` find the stand-ins."""
    from gpuclust.algorithms import cuml
    from gpuclust.device import machine as host_facts
    from gpuclust.device import memory

    @contextlib.contextmanager
    def stage_peak():
        yield memory.Peak()

    modules = {
        "cuml": {},
        "cuml.cluster": {"KMeans": KMeans, "HDBSCAN": HDBSCAN},
        "cuml.decomposition": {"PCA": PCA},
        "cuml.manifold": {"UMAP": UMAP, "spectral_embedding": spectral_embedding},
        "cuml.neighbors": {"NearestNeighbors": NearestNeighbors},
        "cupy": {
            "asarray": put,
            "ndarray": type("ndarray", (), {}),  # used by array_api_compat
            "ascontiguousarray": lambda array: array,
            "cuda": types.SimpleNamespace(
                Device=lambda: types.SimpleNamespace(synchronize=lambda: None, id=0),
                is_available=lambda: False,
            ),
        },
    }
    for name, content in modules.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(host_facts, "gpu", lambda: {"name": "a stand-in"})
    monkeypatch.setattr(cuml, "symmetric_graph", symmetric_graph)
    monkeypatch.setattr(memory, "share_pool", lambda: memory.Layout("none", "a stand-in"))
    monkeypatch.setattr(memory, "stage_peak", stage_peak)
