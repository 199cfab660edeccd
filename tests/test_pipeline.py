import json

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from gpuclust import pipeline
from gpuclust.cell import Cell, units_of
from gpuclust.device import backend
from gpuclust.embeddings.data import Data, check_finite
from gpuclust.errors import CellError, InputError
from gpuclust.methods.table import CLUSTERERS
from gpuclust.pipeline import run_unit

CPU = backend.select("cpu")


def unit_of(*clusterers, reducers=("none",), **changes):
    (unit,) = units_of(
        Cell.of(dataset="digits", split="all", encoder="raw", reducer=r, clusterer=c, **changes)
        for r in reducers
        for c in clusterers
    )
    return unit


@pytest.fixture
def data(digits):
    return Data(digits.X, digits.y, "f")


def rows(unit, data, **how):
    return [result.row for result in run_unit(unit, data, CPU, **how)]


def test_six_clusterers_give_six_rows_that_are_plain_json(data):
    found = rows(unit_of(*CLUSTERERS, reducers=("none", "l2")), data)
    assert [row["status"] for row in found] == ["ok"] * 12
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for row in found:
        assert row["scores"]["ami"] > 0.4, row["clusterer"]
        assert row["seconds"] == pytest.approx(sum(row["stages"].values()))
        assert row["backend"] == "cpu"


def test_labels_are_the_librarys_own(data, digits):
    (result,) = run_unit(unit_of("kmeans", seed=3), data, CPU)
    kmeans = KMeans(10, init="k-means++", n_init=1, max_iter=1000, random_state=3)
    assert adjusted_rand_score(result.labels, kmeans.fit_predict(digits.X)) == 1.0
    assert result.labels.dtype == np.int64


def test_the_same_seed_gives_the_same_rows_and_another_seed_does_not(data):
    unit = unit_of("kmeans", reducers=("pca(20)",))
    first, second = rows(unit, data), rows(unit, data)
    assert first[0]["scores"] == second[0]["scores"]
    other = rows(unit_of("kmeans", reducers=("pca(20)",), seed=1), data)
    assert other[0]["scores"] != first[0]["scores"]


def test_a_reduction_is_shared_by_its_clusterers(data, monkeypatch):
    calls = []
    original = pipeline.reduce
    monkeypatch.setattr(pipeline, "reduce", lambda *a: calls.append(a) or original(*a))
    rows(unit_of("kmeans", "hdbscan", reducers=("none", "l2")), data)
    assert len(calls) == 2


def test_one_tree_is_built_for_all_cuts(data, monkeypatch):
    from gpuclust.algorithms.linkage import agglomerative

    calls = []
    original = agglomerative.linkage
    monkeypatch.setattr(
        agglomerative, "linkage", lambda *a, **k: calls.append(a) or original(*a, **k)
    )
    unit = unit_of("agglomerative", "agglomerative(linkage=average)", "agglomerative_threshold")
    assert len(rows(unit, data)) == 3
    assert len(calls) == 2


def test_an_error_goes_through_unless_somebody_records_it(data):
    with pytest.raises(CellError, match="at most 64"):
        rows(unit_of("kmeans", reducers=("pca(65)",)), data)


@pytest.mark.parametrize("k", [1, 2, 599, 600])
def test_k_from_one_to_n_works(data, k):
    found = rows(unit_of("kmeans", "agglomerative", k=k), data)
    assert [row["scores"]["n_clusters"] for row in found] == [k, k]


def test_k_above_n_is_told(data):
    with pytest.raises(InputError, match="k=601 is more than the 600 samples"):
        rows(unit_of("kmeans", k=601), data)


def test_one_sample_is_told(digits):
    data = Data(digits.X[:1], digits.y[:1], "f")
    with pytest.raises(InputError, match="at least 2 samples"):
        rows(unit_of("agglomerative", k=1), data)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_told_with_their_row(digits, value):
    X = digits.X.copy()
    X[17, 3] = value
    with pytest.raises(InputError, match=r"in 1 of 600 samples, first in row 17"):
        check_finite(X, "digits")


@pytest.mark.parametrize("shape", [(0, 3), (5, 0), (5,)])
def test_an_empty_or_flat_embedding_is_told(shape):
    with pytest.raises(InputError, match="non-empty"):
        check_finite(np.zeros(shape), "digits")


@pytest.mark.parametrize("clusterer", ["kmeans", "spectral", "agglomerative", "hdbscan"])
def test_the_order_of_the_samples_does_not_matter_to_the_score(digits, clusterer):
    # Means of many samples: single labels may move where distances tie or the start differs.
    order = np.random.default_rng(0).permutation(600)
    unit = unit_of(clusterer)
    plain = rows(unit, Data(digits.X, digits.y, "f"))[0]["scores"]["ami"]
    moved = rows(unit, Data(digits.X[order], digits.y[order], "f"))[0]["scores"]["ami"]
    assert moved == pytest.approx(plain, abs=0.15)


def test_duplicated_samples_stay_together(digits):
    X = np.concatenate([digits.X[:200], digits.X[:200]])
    y = np.concatenate([digits.y[:200], digits.y[:200]])
    unit = unit_of("kmeans", "agglomerative", "agglomerative_threshold")
    for result in run_unit(unit, Data(X, y, "f"), CPU):
        assert adjusted_rand_score(result.labels[:200], result.labels[200:]) == 1.0


def test_equal_samples_do_not_break_a_method(digits):
    X = np.ones((60, 5), dtype=np.float32)
    y = np.arange(60) % 3
    unit = unit_of("kmeans", "agglomerative", "agglomerative_threshold", "affinity", "hdbscan")
    for row in rows(unit, Data(X, y, "f")):
        assert row["status"] == "ok"
        assert row["scores"]["n_clusters"] <= 3


def test_a_warning_of_the_library_is_kept_in_the_row(data):
    (row,) = rows(unit_of("affinity(max_iter=20)"), data)
    assert any("did not converge" in text for text in row["warnings"])


def test_stopping_keeps_what_was_clustered(data):
    asked = iter([False, False, False, True, True])
    found = rows(unit_of("kmeans", "hdbscan", "affinity"), data, stop=lambda: next(asked))
    assert [row["clusterer"] for row in found] == ["kmeans", "hdbscan"]
    assert all(row["scores"]["ami"] > 0 for row in found)


def test_unlabelled_data_gets_internal_scores_only(digits):
    (row,) = rows(unit_of("kmeans", k=10), Data(digits.X, None, "f"))
    assert "ami" not in row["scores"]
    assert row["n_classes"] is None
    assert row["scores"]["silhouette_euclidean_original"] > 0.1


def groups(k, each, d=64, far=10):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(k), each)
    X = rng.normal(size=(k * each, d)) + far * np.eye(d)[y]
    return Data(X.astype(np.float32), y, "groups")


@pytest.mark.parametrize("k", [2, 3, 4])
def test_hdbscan_finds_a_few_large_groups_unless_their_size_is_limited(k):
    unit = unit_of("hdbscan(min_cluster_size=3)", "hdbscan(max_cluster_size=0.2)")
    free, limited = rows(unit, groups(k, each=50))
    assert free["scores"]["ami"] == 1.0
    assert free["warnings"] == []
    assert limited["scores"]["ami"] < 0.5
    assert "max_cluster_size=None" in limited["warnings"][0]
    assert "no cluster may hold more than 20%" in limited["warnings"][0]


def test_a_limit_on_the_size_of_clusters_that_costs_nothing_is_not_told():
    (row,) = rows(unit_of("hdbscan(max_cluster_size=0.2)"), groups(8, each=40))
    assert row["scores"]["ami"] == 1.0
    assert row["warnings"] == []
