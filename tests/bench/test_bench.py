import importlib
import importlib.util
import json
import types
from pathlib import Path

import numpy as np
import pytest

from gpuclust.bench import energy, growth, render, results, roofline, runner, scores, work
from gpuclust.bench.unit import bench_unit
from gpuclust.errors import BackendError, GpuclustError, InputError, UnknownNameError
from gpuclust.methods.table import CLUSTERERS, REDUCERS
from gpuclust.metrics.suite import score_all


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    path = tmp_path_factory.mktemp("bench") / "digits.npz"
    np.savez(path, X=X[:450].astype(np.float32), y=y[:450])
    return str(path)


@pytest.fixture(scope="module")
def found(vectors):
    told = []
    methods = ["kmeans", "agglomerative(linkage=average)"]
    one = results.run(
        methods, ["cpu", "sklearn"], [100, 300], data=vectors, runs=2, tell=told.append
    )
    return one | {"told": told}


def test_sides_take_turns_and_the_order_is_reversed(found):
    runs = [text for text in found["told"] if ": run " in text]
    sides = [text.split(", ")[1].partition(":")[0] for text in runs[:4]]
    assert sides == ["cpu", "sklearn", "sklearn", "cpu"]


def test_every_work_size_and_side_has_its_figures_and_the_agreement(found):
    assert [(one["what"], one["n"]) for one in found["results"]] == [
        ("kmeans", 100),
        ("kmeans", 300),
        ("agglomerative(linkage=average)", 100),
        ("agglomerative(linkage=average)", 300),
    ]
    for one in found["results"]:
        assert set(one["sides"]) == {"cpu", "sklearn"}
        for side in one["sides"].values():
            assert len(side["seconds"]) == 2
            assert min(side["seconds"]) <= side["median"] <= max(side["seconds"])
            assert side["peak_mib"] >= side["start_mib"] > 50
            assert 0 < side["of_limit"] < 1
            assert side["ready_seconds"] > 0
            assert len(side["cpu_seconds"]) == 2 and min(side["cpu_seconds"]) >= 0
        # Our CPU engine's K-Means is scikit-learn's; the trees are ours.
        assert one["agreement"]["sklearn"]["labels"] == pytest.approx(1.0)
        ratio = one["sides"]["sklearn"]["median"] / one["sides"]["cpu"]["median"]
        assert one["speedup"] == {"sklearn": pytest.approx(ratio)}


def test_results_are_json_with_where_they_come_from(found, tmp_path):
    content = {key: value for key, value in found.items() if key != "told"}
    assert {"date", "commit", "host", "threads", "machine", "data"} <= set(content)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    assert results.read(path) == content


def test_the_table_has_a_line_per_side(found):
    header, lines = render.table(found)
    assert len(lines) == 8
    assert all(len(line) == len(header) for line in lines)


def test_two_files_are_compared_work_by_work(found):
    slower = json.loads(json.dumps(found))
    for one in slower["results"]:
        one["sides"]["cpu"]["median"] *= 50
    _, lines = render.side_by_side(found, slower)
    assert {(line[2], line[6]) for line in lines} == {
        ("cpu", "slower"),
        ("sklearn", "within the spread"),
    }
    with pytest.raises(InputError, match="no work"):
        render.side_by_side(found, {"results": []})


def test_the_plot_is_an_svg(found, tmp_path):
    pytest.importorskip("matplotlib")
    render.plot(found, tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()


def test_what_fails_is_recorded_and_the_rest_goes_on(vectors):
    found = results.run(
        ["spectral(n_neighbors=200)", "kmeans"], ["cpu"], [60], data=vectors, runs=1
    )
    first, second = found["results"]
    assert "more samples than neighbours" in first["error"]
    assert second["sides"]["cpu"]["median"] > 0
    assert len(render.table(found)[1]) == 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda data: results.run(["kmeans"], ["nobody"], [60], data=data), "unknown side"),
        (lambda data: results.run(["kmeans"], ["cpu"], [60], data="/no/such.npz"), "no/such"),
        (lambda data: results.read(Path("/no/such.json")), "cannot read"),
    ],
)
def test_bad_input_is_told_before_anything_runs(vectors, call, said):
    with pytest.raises(InputError, match=said):
        call(vectors)


def test_an_unknown_method_and_what_a_peer_does_not_do_are_told(vectors):
    X, y = work.load(work.Job("cpu", "kmeans", vectors))
    with pytest.raises(UnknownNameError, match="kmean"):
        work.prepare(work.Job("cpu", "kmaens", vectors), X, y)
    with pytest.raises(InputError, match="does not do kmeans; it does unit"):
        work.prepare(work.Job("recipe", "kmeans", vectors), X, y)


def test_a_side_that_dies_is_told_and_leaves_no_process(vectors, monkeypatch):
    import signal

    side = runner.Side(work.Job("cpu", "kmeans", vectors))
    side.ready()
    side._process.send_signal(signal.SIGKILL)
    side._process.wait()
    with pytest.raises(GpuclustError, match="ended with code -9"):
        side.run(0)
    side.stop()
    assert side._process.poll() == -9


# ---- scores -------------------------------------------------------------------------------------

SHARED = [
    "ami",
    "nmi",
    "ari",
    "fmi",
    "homogeneity",
    "completeness",
    "v_measure",
    "calinski_harabasz",
    "davies_bouldin",
]
SILHOUETTES = [f"silhouette_{metric}" for metric in ("euclidean", "cosine", "l1", "chebyshev")]


def once(side, what, data, **how):
    job = work.Job(side, what, data, **how)
    return work.prepare(job, *work.load(job))(0)


@pytest.mark.parametrize("what", SHARED + SILHOUETTES)
def test_a_score_is_work_and_agrees_with_scikit_learn(vectors, what):
    ours, theirs = once("cpu", what, vectors), once("sklearn", what, vectors)
    assert ours["score"].shape == (2,)  # of 10 and of 100 clusters
    assert runner.agree(ours, theirs) == {"score": pytest.approx(0, abs=1e-4), "labels": 1.0}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("what", SHARED)
def test_torchmetrics_gives_the_same_scores(vectors, what):
    pytest.importorskip("torchmetrics")
    ours, theirs = (once(side, what, vectors, k=10) for side in ("cpu", "torchmetrics"))
    # Its information is summed in float32.
    np.testing.assert_allclose(ours["score"], theirs["score"], rtol=2e-3)
    np.testing.assert_array_equal(ours["labels"], theirs["labels"])


@pytest.mark.parametrize("what", scores.NAMES)
def test_every_score_of_ours_is_that_of_a_grid(vectors, what):
    found = once("cpu", what, vectors, k=7)
    X, y = work.load(work.Job("cpu", what, vectors))
    name = what if what in scores.EXTERNAL else f"{what}_original"
    (grid,) = score_all([found["labels"]], X=X, Z=X, y=y, names=[name])
    assert len(set(found["labels"].tolist())) == 7
    np.testing.assert_allclose(found["score"], [grid.scores[name]], rtol=1e-12)


def test_few_samples_have_at_most_half_as_many_clusters():
    X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    assert [len(set(labels.tolist())) for labels in scores.label_sets(X)] == [10, 15]


def test_scores_have_their_lines_and_tell_how_far_they_are_apart(vectors):
    found = results.run(["ari"], ["cpu", "sklearn"], [100], data=vectors, runs=1)
    (one,) = found["results"]
    assert one["agreement"]["sklearn"]["score"] < 1e-9
    assert one["agreement"]["sklearn"]["labels"] == 1.0
    _, lines = render.table(found)
    assert "apart" in lines[1][6] and lines[1][6].endswith("1.000")


def test_a_score_has_no_parameters(vectors):
    with pytest.raises(InputError, match="Write ami"):
        once("cpu", "ami(normalizer=true)", vectors)


# ---- peers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", work.peers())
def test_a_peer_says_what_it_needs_and_does_what_has_a_name(side):
    module = importlib.import_module(f"gpuclust_peers.{side}")
    assert all(isinstance(name, str) for name in module.NEEDS.values())
    methods = getattr(module, "METHODS", {})
    assert set(methods) <= {*REDUCERS, *CLUSTERERS, work.UNIT}
    assert set(getattr(module, "SCORES", {})) <= set(scores.NAMES)
    assert methods or module.SCORES


def test_a_peer_that_is_not_installed_says_how_it_is(vectors, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(work, "peers", lambda: ["umap_learn"])
    with pytest.raises(BackendError, match="Run pip install umap-learn"):
        work.peer("umap_learn")


def test_a_peer_gets_its_own_arrays_and_a_gpu_all_samples(vectors, monkeypatch):
    stand_in = types.SimpleNamespace(
        NEEDS={},
        GPU=True,
        place=lambda array: ("placed", array),
        METHODS={"kmeans": lambda X, params, k, seed: (X[0], params["n_init"], k, seed)},
        SCORES={"ami": lambda X, y, labels: float(X[0] == y[0] == labels[0] == "placed")},
    )
    monkeypatch.setattr(work, "peer", lambda side: stand_in)
    assert once("new", "kmeans(n_init=3)", vectors)["labels"] == ("placed", 3, 10, 0)
    assert once("new", "ami", vectors)["score"].tolist() == [1.0, 1.0]
    X, y = work.load(work.Job("new", "ami", vectors))
    assert len(work.small(X, y, work.Job("new", "ami", vectors))[0]) == len(X)
    assert len(work.small(X, y, work.Job("cpu", "ami", vectors))[0]) == 400


@pytest.mark.slow
def test_fast_hdbscan_finds_the_clusters_of_ours(vectors):
    pytest.importorskip("fast_hdbscan")  # it compiles for a minute
    same = runner.agree(once("cpu", "hdbscan", vectors), once("fast_hdbscan", "hdbscan", vectors))
    assert same["labels"] > 0.95


def test_fastcluster_finds_the_clusters_of_ours(vectors):
    pytest.importorskip("fastcluster")
    for what in ("agglomerative", "agglomerative(linkage=average)"):
        same = runner.agree(once("cpu", what, vectors), once("fastcluster", what, vectors))
        assert same["labels"] == pytest.approx(1.0)


def test_flashlib_finds_the_clusters_of_ours_or_refuses(vectors):
    pytest.importorskip("flashlib")
    what = "kmeans(init=random)"
    same = runner.agree(once("cpu", what, vectors), once("flashlib", what, vectors))
    assert same["labels"] > 0.4  # another start
    with pytest.raises(ValueError, match="init=random"):
        once("flashlib", "kmeans", vectors)


# ---- growth -------------------------------------------------------------------------------------


def test_every_method_and_main_score_is_a_subject_of_growth():
    names = growth.subjects()
    methods = {name.partition("(")[0] for name in names}
    assert methods == ({*REDUCERS, *CLUSTERERS, "ami", *scores.INTERNAL} - {"none"})
    assert names[-1] == "umap"
    linkages = {name for name in names if name.startswith("agglomerative(")}
    assert len(linkages) == len(CLUSTERERS["agglomerative"].params["linkage"].choices)
    kinds = {growth.family(name) for name in names}
    assert kinds == {"reducers", "clusterers", "scores"}


def test_the_exponent_is_fitted_from_5000_on():
    times = {1000: 5.0, 5000: 25.0, 10_000: 100.0, 50_000: 2500.0}
    assert growth.exponent(times) == pytest.approx(2)
    assert growth.exponent({1000: 1.0, 2000: 2.0, 5000: 4.0}) is None


def test_what_is_expected_follows_what_was_seen_and_the_promise_before_that():
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


def test_larger_sizes_are_the_real_samples_again_with_noise(vectors):
    few, _ = work.load(work.Job("cpu", "kmeans", vectors))
    many, y = work.load(work.Job("cpu", "kmeans", vectors, n=1000))
    assert many.shape == (1000, 64) and len(y) == 1000
    np.testing.assert_array_equal(many[:450], few)
    assert not np.array_equal(many[450:900], few)
    assert np.abs(many[450:900] - few).mean() < 0.2 * few.std()


def test_agreement_of_labels_and_of_spaces():
    labels = np.array([0, 0, 1, 1, 2, 2])
    Z = np.random.default_rng(0).normal(size=(80, 3))
    same = runner.agree({"labels": labels, "Z": Z}, {"labels": 5 - labels, "Z": 3 * Z})
    assert same == {"labels": 1.0, "Z": 1.0}
    other = runner.agree({"Z": Z}, {"Z": np.random.default_rng(1).normal(size=(80, 3))})
    assert other["Z"] < 0.4


def test_energy_is_the_difference_of_counters(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "RAPL", tmp_path)
    assert energy.joules() == {}
    counter = tmp_path / "intel-rapl:0" / "energy_uj"
    counter.parent.mkdir()
    counter.write_text("5000000")
    before = energy.joules()
    counter.write_text("7500000")
    assert energy.since(before) == {"cpu 0": 2.5}
    counter.write_text("10")  # it has wrapped around
    assert energy.since(before) == {}


def test_the_share_of_the_limit_counts_what_must_be_done():
    rates = roofline.Machine(copy=1e9, multiply=1e9)
    # 2 n d k = 2e9 operations take 2 s at most speed.
    assert roofline.share("kmeans(n_init=1)", 8.0, rates, n=10**4, d=100, k=1000) == 0.25
    assert roofline.share("nothing known", 1.0, rates, n=1, d=1, k=1) is None
    measured = roofline.machine()
    assert measured.copy > 1e8 and measured.multiply > 1e8


@pytest.mark.slow
def test_the_unit_against_the_recipe(vectors):
    found = bench_unit(vectors, runs=1, tell=lambda text: None)
    assert set(found["methods"]) == set(CLUSTERERS)
    for name, one in found["methods"].items():
        assert one["ami_ours"] > 0.4 and one["ami_recipe"] > 0.4, name
        assert one["ari"] > 0.3, name
    assert found["speedup"] > 0 and found["peak_ours_mib"] > 100 < found["peak_recipe_mib"]
    assert found["reproducible"] is True
