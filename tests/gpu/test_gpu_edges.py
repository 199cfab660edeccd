"""Unusual samples on a GPU: the row has the reason, and the other cells go on."""

import numpy as np
import pytest
from on_gpu import unit_of, without_ties

from gpuclust.arrays.transfer import to_host
from gpuclust.device import backend
from gpuclust.embeddings.data import Data
from gpuclust.embeddings.load import Options
from gpuclust.grid.run import run_grid
from gpuclust.methods.build import neighbors_of
from gpuclust.methods.table import CLUSTERERS
from gpuclust.metrics import adjusted_rand_score
from gpuclust.pipeline import run_unit
from gpuclust.store.store import Store

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]


@pytest.fixture
def rows(gpu, tmp_path, note):
    """Run all clusterers, or the named ones, and return the rows by clusterer."""

    def run(X, y, clusterers=tuple(CLUSTERERS), **how):
        store = Store(tmp_path)
        options = Options(vectors=Data(X.astype(np.float32), y, "f"))
        run_grid([unit_of(["none"], clusterers, **how)], store, gpu, options=options)
        found, problems = store.rows()
        assert not problems
        for row in found:
            said = row["scores"].get("ari") if row["status"] == "ok" else row["error"]["message"]
            note(f"{row['clusterer']}: {row['status']}, {said}")
        assert len(found) == len(clusterers)
        return {row["clusterer"]: row for row in found}

    return run


def failed(rows):
    return {name: row["error"]["type"] for name, row in rows.items() if row["status"] != "ok"}


def test_an_eigensolver_that_does_not_converge_is_a_failed_row(digits, rows, monkeypatch):
    import cuml.manifold

    def diverges(*args, **kwargs):
        raise RuntimeError("eigensolver couldn't converge to desired tolerance")

    monkeypatch.setattr(cuml.manifold, "spectral_embedding", diverges)
    found = rows(digits.X, digits.y, ("spectral", "kmeans"))
    assert failed(found) == {"spectral": "CellError"}
    assert "did not converge for 10 clusters" in found["spectral"]["error"]["message"]


def test_a_graph_in_pieces_is_clustered_or_refused(digits, rows):
    X = without_ties(digits.X)
    X[digits.y >= 5] += 1000
    found = rows(X, (digits.y >= 5).astype(np.int64), k=2)
    assert set(failed(found).items()) <= {("spectral", "CellError")}
    assert found["kmeans"]["scores"]["ari"] == found["agglomerative"]["scores"]["ari"] == 1.0


def test_duplicates_end_up_together(digits, gpu):
    X, y = np.tile(without_ties(digits.X[:60]), (5, 1)), np.tile(digits.y[:60], 5)
    unit = unit_of(["none"], ["kmeans", "agglomerative", "hdbscan(metric=l1)"], k=10)
    for result in run_unit(unit, Data(X, y, "f"), gpu):
        labels = to_host(result.labels).reshape(5, 60)
        assert (labels == labels[0]).all(), result.row["clusterer"]


def test_a_row_is_its_own_first_neighbor_among_duplicates_too(digits, gpu):
    X = gpu.put(np.tile(digits.X[:50], (6, 1)))
    distances, indices = neighbors_of(X, gpu)(4, "euclidean")
    np.testing.assert_array_equal(to_host(indices[:, 0]), np.arange(300))
    assert indices.dtype == np.int64
    np.testing.assert_allclose(to_host(distances), 0, atol=1e-3)


def test_neighbors_are_those_of_the_cpu_backend(digits, gpu, note):
    X = without_ties(digits.X)
    for metric in ("euclidean", "cosine", "l1", "chebyshev"):
        expected = neighbors_of(X, backend.select("cpu"))(10, metric)
        found = neighbors_of(gpu.put(X), gpu)(10, metric)
        shared = (to_host(found[1])[:, :, None] == expected[1][:, None, :]).any(axis=2).mean()
        note(f"{metric}: {shared:.4f} of the neighbors")
        assert shared > 0.995, metric
        np.testing.assert_allclose(to_host(found[0]), expected[0], rtol=1e-3, atol=1e-3)


def test_three_samples_are_clustered_where_the_method_can(rows):
    X = np.asarray([[0.0, 0.0], [0.1, 0.0], [9.0, 9.0]])
    found = rows(X, np.asarray([0, 0, 1]))
    assert failed(found) == {"spectral": "CellError", "hdbscan": "CellError"}
    assert found["kmeans"]["scores"]["ari"] == found["agglomerative"]["scores"]["ari"] == 1.0


def test_one_cluster_has_no_internal_score(digits, rows):
    found = rows(digits.X, digits.y, ("kmeans", "agglomerative"), k=1)
    assert not failed(found)
    for row in found.values():
        assert row["scores"]["n_clusters"] == 1
        assert row["scores"]["silhouette_euclidean_original"] is None
        assert row["scores"]["ami"] == 0.0


def test_float64_vectors_and_noise_labels_work(digits, gpu):
    X = without_ties(digits.X).astype(np.float64)
    unit = unit_of(["none", "zscore", "pca(10)", "umap(n_components=4)"], CLUSTERERS)
    results = list(run_unit(unit, Data(X, digits.y, "f"), gpu))
    assert {r.row["status"] for r in results} == {"ok"}
    trees = [r for r in results if r.row["clusterer"] == "agglomerative"]
    assert adjusted_rand_score(to_host(trees[0].labels), digits.y) > 0.5
