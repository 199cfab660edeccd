"""A whole unit on the GPU backend with stand-ins for RAPIDS: no implicit copies to the host."""

import array_api_strict
import numpy as np
import pytest
import standin
from sklearn.metrics import adjusted_rand_score

from gpuclust import pipeline
from gpuclust.algorithms import cuml
from gpuclust.arrays.transfer import to_host
from gpuclust.cell import Cell, units_of
from gpuclust.device import backend
from gpuclust.embeddings.data import Data, check_finite
from gpuclust.errors import BackendError
from gpuclust.methods.table import CLUSTERERS
from gpuclust.pipeline import run_unit

CPU = backend.select("cpu")
GPU = backend.Backend("gpu", "a stand-in", "gpu")
REDUCERS = ("none", "l2", "zscore", "pca(10)", "pca(0.9)", "umap(n_components=8)", "zscore|pca(5)")


@pytest.fixture(autouse=True)
def rapids_stand_ins(monkeypatch):
    standin.install(monkeypatch)


def unit_of(reducers, clusterers, **how):
    (unit,) = units_of(
        Cell.of(dataset="digits", split="all", encoder="raw", reducer=r, clusterer=c, **how)
        for r in reducers
        for c in clusterers
    )
    return unit


def on_device(array):
    return (
        isinstance(array, array_api_strict._array_object.Array) and array.device == standin.DEVICE
    )


@pytest.fixture
def data(digits):
    return Data(digits.X[:300], digits.y[:300], "f")


def test_labels_and_reduced_arrays_of_every_method_stay_on_the_device(data, monkeypatch):
    reduced = []
    original = pipeline.cluster
    monkeypatch.setattr(pipeline, "cluster", lambda R, *a: reduced.append(R.Z) or original(R, *a))
    unit = unit_of(REDUCERS, CLUSTERERS, metrics=("all",))
    results = list(run_unit(unit, data, GPU))
    assert len(results) == len(REDUCERS) * len(CLUSTERERS)
    for result in results:
        assert result.row["status"] == "ok"
        assert on_device(result.labels), result.row["clusterer"]
        assert result.labels.dtype == array_api_strict.int64
    assert all(on_device(Z) for Z in reduced)


@pytest.mark.parametrize("reducer", ["none", "zscore", "pca(10)", "pca(0.9)"])
def test_gpu_and_cpu_backend_agree(data, reducer):
    unit = unit_of((reducer,), CLUSTERERS)
    ours = {r.row["clusterer"]: r for r in run_unit(unit, data, GPU)}
    theirs = {r.row["clusterer"]: r for r in run_unit(unit, data, CPU)}
    for name, found in ours.items():
        expected = theirs[name]
        agreement = adjusted_rand_score(to_host(found.labels), expected.labels)
        # The stand-in returns float32 eigenvectors, and HDBSCAN's distances tie in the pixels.
        assert agreement > (0.9 if name.startswith(("spectral", "hdbscan")) else 0.999), name
        if agreement == 1.0:
            scores = {k: v for k, v in expected.row["scores"].items() if v is not None}
            assert {k: found.row["scores"][k] for k in scores} == pytest.approx(scores, rel=1e-4)


def test_rows_name_the_class_in_use(data):
    unit = unit_of(("pca(5)|zscore",), ("kmeans", "hdbscan", "hdbscan(metric=l1)"))
    ran = [r.row["ran"] for r in run_unit(unit, data, GPU)]
    assert [one["clusterer"] for one in ran] == [
        "cuml.cluster:KMeans",
        "cuml.cluster:HDBSCAN",
        "gpuclust.algorithms.hdbscan:HDBSCAN",
    ]
    assert ran[0]["reducer"] == ["gpuclust.algorithms.cuml:PCA", "gpuclust.algorithms.scale:ZScore"]
    (row,) = [r.row for r in run_unit(unit_of(("none",), ("kmeans",)), data, CPU)]
    assert row["ran"] == {
        "reducer": ["gpuclust.algorithms.scale:Identity"],
        "clusterer": "sklearn.cluster:KMeans",
    }


def test_umap_and_spectral_share_one_neighbor_search(data, monkeypatch):
    asked = []
    original = cuml.kneighbors

    def counted(X, k, **how):
        asked.append((X.shape[1], k))
        return original(X, k, **how)

    monkeypatch.setattr(cuml, "kneighbors", counted)
    unit = unit_of(("none", "umap(n_components=8)"), ("spectral", "spectral(n_neighbors=15)"))
    list(run_unit(unit, data, GPU))
    assert asked == [(64, 30), (8, 15)]


def test_a_method_without_a_gpu_implementation_is_an_error(data):
    with pytest.raises(BackendError, match="pacmap has no gpu implementation"):
        list(run_unit(unit_of(("pacmap",), ("kmeans",)), data, GPU))


def test_non_finite_values_are_found_on_the_device(digits):
    X = digits.X.copy()
    X[17, 3] = np.nan
    with pytest.raises(Exception, match="in 1 of 600 samples, first in row 17"):
        check_finite(standin.put(X), "digits")
