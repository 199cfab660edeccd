"""Jobs: their inputs, scores, baselines; growth with n."""

from __future__ import annotations

import importlib
import importlib.util
import types

import numpy as np
import pytest

from gpuclust.bench import baselines, growth, inputs, results, scores, work
from gpuclust.bench.agreement import agree
from gpuclust.bench.render import table
from gpuclust.errors import BackendError, InputError
from gpuclust.methods.table import CLUSTERERS, REDUCERS
from gpuclust.metrics import adjusted_mutual_info_score
from gpuclust.metrics.suite import EXTERNAL, INTERNAL, score_all

SHARED = [name for name in EXTERNAL if name not in ("ami_true", "purity", "accuracy")]
DISPERSIONS = ["calinski_harabasz", "davies_bouldin"]
SILHOUETTES = [f"silhouette_{metric}" for metric in ("euclidean", "cosine", "l1", "chebyshev")]
OWN = [name for name in scores.NAMES if name != scores.DEFAULTS]


def once(implementation, what, data, **how):
    job = work.Job(implementation, what, data, **how)
    return work.prepare(job, work.samples(job))(0)


# ---- inputs -------------------------------------------------------------------------------------


def test_larger_sizes_are_the_real_samples_again_with_noise(vectors):
    few = inputs.load(vectors).X
    many = inputs.load(vectors, n=1000)
    assert many.X.shape == (1000, 64) and len(many.y) == 1000
    assert many.X.dtype == np.float32
    np.testing.assert_array_equal(many.X[:450], few)
    assert len(np.unique(many.X, axis=0)) == 1000
    assert np.abs(many.X[450:900] - few).mean() < 0.2 * few.std()
    np.testing.assert_array_equal(inputs.load(vectors, n=10).X, few[:10])


def test_few_samples_have_at_most_half_as_many_clusters():
    X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    assert [len(set(inputs.kmeans(X, k, 0).tolist())) for k in (10, 100)] == [10, 15]


def test_label_sets_are_those_of_the_description(vectors):
    found = inputs.load(vectors, 1000, "kmeans:3,7")
    assert [len(set(labels.tolist())) for labels in found.sets] == [3, 7]
    np.testing.assert_array_equal(found.sets[0][:450], found.sets[0][450:900])
    for kind in ("balanced", "zipf"):
        found = inputs.load(vectors, 2000, f"{kind}:20")
        sizes = np.bincount(found.y)
        assert len(sizes) == 20
        assert bool(sizes.max() == sizes.min()) == (kind == "balanced")
        assert abs(adjusted_mutual_info_score(found.y, found.sets[0])) < 0.05


def test_principal_components_are_a_file_of_their_own(vectors, tmp_path):
    path = inputs.components(vectors, 5, tmp_path)
    X, y, _ = inputs.load(path)
    assert X.shape == (450, 5)
    assert (np.diff(X.var(axis=0)) < 0).all()
    np.testing.assert_array_equal(y, inputs.load(vectors).y)


# ---- scores -------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [*SHARED, *DISPERSIONS, *SILHOUETTES, scores.DEFAULTS])
def test_a_score_is_work_and_agrees_with_scikit_learn(vectors, what):
    ours, theirs = once("cpu", what, vectors), once("sklearn", what, vectors)
    per_set = 1 if what != scores.DEFAULTS else len(SHARED) + 8
    assert ours["score"].shape == (2 * per_set,)  # of 10 and of 100 clusters
    assert agree(ours, theirs) == {"score": pytest.approx(0, abs=1e-4), "labels": 1.0}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("what", [*SHARED, *DISPERSIONS])
def test_torchmetrics_gives_the_same_scores(vectors, what):
    pytest.importorskip("torchmetrics")
    ours, theirs = (once(one, what, vectors, k=10) for one in ("cpu", "torchmetrics"))
    # Its information is summed in float32.
    np.testing.assert_allclose(ours["score"], theirs["score"], rtol=2e-3)
    np.testing.assert_array_equal(ours["labels"], theirs["labels"])


@pytest.mark.parametrize("what", OWN)
def test_every_score_is_that_of_a_grid(vectors, what):
    found = once("cpu", what, vectors, k=7)
    X, y, _ = inputs.load(vectors)
    name = what if what in EXTERNAL else f"{what}_original"
    (grid,) = score_all([found["labels"]], X=X, Z=X, y=y, names=[name])
    assert len(set(found["labels"].tolist())) == 7
    np.testing.assert_allclose(found["score"], [grid.scores[name]], rtol=1e-12)


def test_the_agreement_of_scores_is_their_difference(vectors):
    found = results.run(results.product(["ari"], ["sklearn"], [100], runs=1), "cpu", data=vectors)
    (one,) = found["results"]
    assert one["agreement"]["sklearn"]["score"] < 1e-9
    assert one["agreement"]["sklearn"]["labels"] == 1.0
    _, lines = table(found)
    assert "apart" in lines[1][6] and lines[1][6].endswith("1.000")


def test_a_score_has_no_parameters(vectors):
    with pytest.raises(InputError, match="Write ami"):
        once("cpu", "ami(normalizer=true)", vectors)


def test_neighbors_are_those_of_scikit_learn(vectors):
    found = agree(once("cpu", "neighbors", vectors), once("sklearn", "neighbors", vectors))
    assert found["neighbors"] > 0.99  # pixels tie


# ---- baselines ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", baselines.names())
def test_a_baseline_names_its_packages_and_known_work(name):
    module = importlib.import_module(f"{baselines.PACKAGE}.{name}")
    assert all(isinstance(install, str) for install in module.NEEDS.values())
    methods, of = getattr(module, "METHODS", {}), getattr(module, "SCORES", {})
    assert set(methods) <= {*REDUCERS, *CLUSTERERS, work.UNIT, work.NEIGHBORS}
    assert set(of) <= set(scores.NAMES)
    assert methods or of


def test_a_missing_baseline_has_the_command_that_installs_it(monkeypatch):
    importlib.import_module(f"{baselines.PACKAGE}.umap_learn")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match="Run pip install umap-learn"):
        baselines.load("umap_learn")


def test_a_baseline_gets_its_own_arrays_and_a_gpu_all_samples(vectors, monkeypatch):
    stand_in = types.SimpleNamespace(
        NEEDS={},
        GPU=True,
        place=lambda array: ("placed", array),
        METHODS={"kmeans": lambda X, params, k, seed: (X[0], params["n_init"], k, seed)},
        SCORES={"ami": lambda X, y, labels: float(X[0] == y[0] == labels[0] == "placed")},
    )
    monkeypatch.setattr(baselines, "load", lambda name: stand_in)
    assert once("new", "kmeans(n_init=3)", vectors)["labels"] == ("placed", 3, 10, 0)
    assert once("new", "ami", vectors)["score"].tolist() == [1.0, 1.0]
    given = inputs.load(vectors)
    assert len(work.for_warm_up(given, work.Job("new", "ami", vectors)).X) == len(given.X)
    assert len(work.for_warm_up(given, work.Job("cpu", "ami", vectors)).X) == 400


@pytest.mark.slow
def test_fast_hdbscan_finds_the_same_clusters(vectors):
    pytest.importorskip("fast_hdbscan")  # it compiles for a minute
    same = agree(once("cpu", "hdbscan", vectors), once("fast_hdbscan", "hdbscan", vectors))
    assert same["labels"] > 0.95


def test_fastcluster_finds_the_same_clusters(vectors):
    pytest.importorskip("fastcluster")
    for what in ("agglomerative", "agglomerative(linkage=average)"):
        same = agree(once("cpu", what, vectors), once("fastcluster", what, vectors))
        assert same["labels"] == pytest.approx(1.0)


def test_flashlib_finds_the_same_clusters_or_refuses(vectors):
    pytest.importorskip("flashlib")
    what = "kmeans(init=random)"
    same = agree(once("cpu", what, vectors), once("flashlib", what, vectors))
    assert same["labels"] > 0.4  # another start
    with pytest.raises(ValueError, match="init=random"):
        once("flashlib", "kmeans", vectors)


# ---- growth -------------------------------------------------------------------------------------


def test_every_method_and_main_score_is_a_subject_of_growth():
    names = growth.subjects()
    methods = {name.partition("(")[0] for name in names}
    assert methods == ({*REDUCERS, *CLUSTERERS, "ami", *INTERNAL} - {"none"})
    assert names[-1] == "umap"
    linkages = {name for name in names if name.startswith("agglomerative(")}
    assert len(linkages) == len(CLUSTERERS["agglomerative"].params["linkage"].choices)
    kinds = {growth.family(name) for name in names}
    assert kinds == {"reducers", "clusterers", "scores"}


def test_the_exponent_is_fitted_from_5000_on():
    times = {1000: 5.0, 5000: 25.0, 10_000: 100.0, 50_000: 2500.0}
    assert growth.exponent(times) == pytest.approx(2)
    assert growth.exponent({1000: 1.0, 2000: 2.0, 5000: 4.0}) is None


def test_expected_seconds_follow_the_measured_exponent_or_the_documented_one():
    assert growth.expected("kmeans", 20_000, {}) is None
    assert growth.expected("kmeans", 20_000, {1000: 2.0}) == pytest.approx(40)
    assert growth.expected("kmeans", 20_000, {5000: 1.0, 10_000: 4.0}) == pytest.approx(16)
    assert growth.expected("hdbscan", 20_000, {5000: 1.0, 10_000: 2.0}) == pytest.approx(4)
    assert growth.expected("something new", 20_000, {10_000: 1.0}) == pytest.approx(4)


def test_memory_ends_where_the_buffers_or_the_measured_bytes_fill_it():
    average = growth.memory_end("agglomerative(linkage=average)", 50, {}, 16)
    assert average == (2**16, "4 n^2 bytes")
    assert growth.memory_end("kmeans", 50, {}, 16) is None
    # 2,000 bytes a sample besides its 50 float32 values.
    found = growth.memory_end("kmeans", 50, {10_000: 10_000 * 1800 / 2**20}, 16)
    assert found.n == pytest.approx(16 * 2**30 / 2000, rel=1e-6)
    assert "2000 bytes a sample" in found.by
    squared = {5000: 100.0, 10_000: 400.0}
    worse = growth.memory_end("kmeans", 0, squared, 400 / 1024 * 4)
    assert worse.n == pytest.approx(20_000, rel=1e-3)
