"""Comparisons of implementations: fair turns, agreement, files, errors."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from gpuclust.bench import cases, inputs, render, results, roofline, runner, work
from gpuclust.bench.agreement import agree
from gpuclust.bench.unit import bench_unit
from gpuclust.errors import BackendError, GpuclustError, InputError, UnknownNameError
from gpuclust.methods.table import CLUSTERERS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found(vectors):
    said, saved = [], []
    methods = ["kmeans", "agglomerative(linkage=average)"]
    table = results.product(methods, ["sklearn"], [100, 300], runs=2)
    one = results.run(
        table,
        "cpu",
        data=vectors,
        say=said.append,
        save=lambda found: saved.append(json.loads(json.dumps(found))),
    )
    return one | {"said": said, "saved": saved}


@pytest.fixture(scope="module")
def pool():
    """Processes shared by several tests, because each takes seconds to start."""
    with runner.Pool() as shared:
        yield shared


def run(methods, vectors, others=(), **how):
    return results.run(results.product(methods, others, [60], runs=1), "cpu", data=vectors, **how)


def test_implementations_take_turns_and_the_order_is_reversed(found):
    runs = [text for text in found["said"] if ": run " in text]
    order = [text.split(", ")[1].partition(":")[0] for text in runs[:4]]
    assert order == ["cpu", "sklearn", "sklearn", "cpu"]


def test_every_work_size_and_implementation_has_its_figures_and_the_agreement(found):
    assert [(one["what"], one["n"]) for one in found["results"]] == [
        ("kmeans", 100),
        ("kmeans", 300),
        ("agglomerative(linkage=average)", 100),
        ("agglomerative(linkage=average)", 300),
    ]
    for one in found["results"]:
        assert set(one["implementations"]) == {"cpu", "sklearn"}
        for figures in one["implementations"].values():
            assert len(figures["seconds"]) == len(figures["ami"]) == 2
            assert min(figures["seconds"]) <= figures["median"] <= max(figures["seconds"])
            assert figures["peak_mib"] >= figures["start_mib"] > 50
            assert 0 < figures["of_limit"] < 1
            assert figures["ready_seconds"] > 0
            assert len(figures["cpu_seconds"]) == 2 and min(figures["cpu_seconds"]) >= 0
        # K-Means of the CPU backend is scikit-learn's; the trees are gpuclust's.
        assert one["agreement"]["sklearn"]["labels"] == pytest.approx(1.0)
        median = {name: of["median"] for name, of in one["implementations"].items()}
        assert one["speedup"] == {"sklearn": pytest.approx(median["sklearn"] / median["cpu"])}
    assert found["results"][2]["between_seeds"]["cpu"] == {"labels": 1.0}  # without randomness


def test_results_are_saved_after_every_run(found):
    # Two runs of two implementations and the peaks, four times.
    assert len(found["saved"]) == 4 * 5
    assert [len(one["results"]) for one in found["saved"][::5]] == [1, 2, 3, 4]


def test_results_are_json_with_their_provenance(found, tmp_path):
    content = {key: value for key, value in found.items() if key not in ("said", "saved")}
    assert {"date", "commit", "dirty", "host", "threads", "machine", "data"} <= set(content)
    results.write(tmp_path / "a.json", content)
    assert results.read(tmp_path / "a.json") == content


def test_the_table_has_a_line_per_implementation(found):
    header, lines = render.table(found)
    assert len(lines) == 8
    assert all(len(line) == len(header) for line in lines)


def test_two_files_are_compared_work_by_work(found):
    slower = json.loads(json.dumps(found))
    for one in slower["results"]:
        one["implementations"]["cpu"]["median"] *= 50
    _, lines = render.pairs(found, slower)
    assert {(line[2], line[6]) for line in lines} == {
        ("cpu", "slower"),
        ("sklearn", "within the spread"),
    }
    with pytest.raises(InputError, match="no work"):
        render.pairs(found, {"results": []})


def test_the_plot_is_an_svg(found):
    pytest.importorskip("matplotlib")
    assert b"<svg" in render.plot(found)


def test_a_failure_is_recorded_and_the_others_go_on(vectors, pool):
    found = run(["spectral(n_neighbors=200)", "kmeans"], vectors, ["sklearn"], pool=pool)
    first, second = found["results"]
    assert "more samples than neighbors" in first["implementations"]["cpu"]["error"]
    assert second["implementations"]["cpu"]["median"] > 0
    lines = render.table(found)[1]
    assert "neighbors" in lines[0][6]
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [("unheard-of", None, "unknown implementation"), ("cpu", "/no/such.npz", "no/such")],
)
def test_bad_input_raises_before_anything_runs(vectors, name, data, said):
    with pytest.raises(InputError, match=said):
        results.run(results.product(["kmeans"], [], [60]), name, data=data or vectors)


def test_an_unknown_method_and_a_missing_ability_raise(vectors):
    given = inputs.load(vectors)
    with pytest.raises(UnknownNameError, match="kmean"):
        work.prepare(work.Job("cpu", "kmaens", vectors), given)
    with pytest.raises(InputError, match="does not do kmeans; it does unit"):
        work.prepare(work.Job("recipe", "kmeans", vectors), given)


def test_a_missing_baseline_raises_or_is_listed(vectors, pool, monkeypatch):
    def missing(name):
        raise BackendError(f"the baseline {name} needs it. Run pip install it.")

    monkeypatch.setattr(results.baselines, "load", missing)
    table = results.product(["kmeans"], ["new"], [60], runs=1)
    with pytest.raises(BackendError, match="Run pip install it"):
        results.run(table, "cpu", data=vectors)
    found = results.run(table, "cpu", data=vectors, skip_missing=True, pool=pool)
    assert list(found["missing"]) == ["new"]
    assert list(found["results"][0]["implementations"]) == ["cpu"]


def test_a_process_that_dies_is_reported_and_stopped(vectors):
    process = runner.Process("cpu")
    try:
        process.start(work.Job("cpu", "kmeans", vectors))
        process._process.send_signal(signal.SIGKILL)
        process._process.wait()
        with pytest.raises(GpuclustError, match="ended with code -9"):
            process.run(0)
    finally:
        process.stop()
    assert not process.alive


def test_a_run_without_an_end_is_killed_and_its_process_replaced(vectors):
    slow = work.Job("cpu", "affinity(damping=0.99, convergence_iter=1000)", vectors, 3000)
    with runner.Pool() as pool:
        process = pool.start(slow, lambda text: None)
        process.limit = 0.1
        found = runner.compare([slow], runs=1, pool=pool)
        assert "was killed after 0.1 s" in found["implementations"]["cpu"]["error"]
        again = runner.compare([work.Job("cpu", "kmeans", vectors)], runs=1, pool=pool)
        assert again["implementations"]["cpu"]["median"] > 0


def test_a_pool_keeps_its_process_from_one_comparison_to_the_next(vectors, pool):
    jobs = [work.Job("cpu", what, vectors, n) for what in ("kmeans", "ami") for n in (60, 90)]
    for job in jobs:
        found = runner.compare([job], runs=1, pool=pool)
        assert found["implementations"]["cpu"]["median"] > 0
    assert pool.rates("cpu")["copy"] > 1e8
    process = pool.start(jobs[0], lambda text: None)
    assert pool.start(jobs[1], lambda text: None) is process


def test_the_processes_of_a_comparison_end_with_it(vectors, monkeypatch):
    started = []
    start = runner.Pool.start
    monkeypatch.setattr(
        runner.Pool, "start", lambda *args: started.append(start(*args)) or started[-1]
    )
    runner.compare([work.Job("cpu", "ari", vectors, 60)], runs=1)
    assert [process.alive for process in started] == [False]


def test_runs_stop_at_the_deadline_and_some_run_once(vectors, pool):
    jobs = [work.Job(name, "kmeans", vectors, 60) for name in ("cpu", "sklearn")]
    found = runner.compare(jobs, runs=3, once=("sklearn",), pool=pool)["implementations"]
    assert [len(found[name]["seconds"]) for name in ("cpu", "sklearn")] == [3, 1]
    found = runner.compare(jobs[:1], runs=3, until=0.0, pool=pool)["implementations"]
    assert len(found["cpu"]["seconds"]) == 1


def test_cases_after_the_deadline_are_recorded_as_not_run(vectors):
    found = run(["kmeans"], vectors, until=0.0)
    assert found["results"][0]["not_run"] == "no time"
    assert render.table(found)[1][0][6] == "no time"


# ---- kernels, the unit, the limit ---------------------------------------------------------------


def test_targets_and_iterations_belong_to_cases():
    assert {name for name, case in cases.GPU.items() if case.target} == {
        "ward_100k",
        "silhouette_8_sets_50k",
        "ami_100k",
    }
    assert set(cases.ITERATIONS[:2]) <= set(cases.GPU)


@pytest.mark.slow
def test_every_cpu_case_runs_and_agrees_with_scikit_learn():
    data = str(ROOT / "tests/data/fashionmnist-300.npz")
    with runner.Pool() as pool:
        tiny = {name: case.tiny() for name, case in cases.CPU.items()}
        found = results.run(tiny, "cpu", data=data, pool=pool)
    for one in found["results"]:
        assert not any("error" in of for of in one["implementations"].values()), one
        for name, value in one["agreement"].get("sklearn", {}).items():
            assert value == pytest.approx(0 if name == "score" else 1, abs=1e-4), one["case"]


def test_the_share_of_the_limit_counts_the_least_work():
    rates = roofline.Machine(copy=1e9, multiply=1e9)
    # 2 n d k = 2e9 operations take 2 s at most speed.
    assert roofline.share("kmeans(n_init=1)", 8.0, rates, n=10**4, d=100, k=1000) == 0.25
    assert roofline.share("nothing known", 1.0, rates, n=1, d=1, k=1) is None
    measured = roofline.machine()
    assert measured.copy > 1e8 and measured.multiply > 1e8


def test_agreement_of_labels_of_neighbors_and_of_reduced_embeddings():
    labels = np.array([0, 0, 1, 1, 2, 2])
    Z = np.random.default_rng(0).normal(size=(80, 3))
    same = agree({"labels": labels, "Z": Z}, {"labels": 5 - labels, "Z": 3 * Z})
    assert same == {"labels": 1.0, "Z": 1.0}
    other = agree({"Z": Z}, {"Z": np.random.default_rng(1).normal(size=(80, 3))})
    assert other["Z"] < 0.4
    near = np.array([[0, 1], [1, 0]])
    assert agree({"neighbors": near}, {"neighbors": np.array([[1, 0], [1, 5]])}) == {
        "neighbors": 0.75
    }


@pytest.mark.long
def test_the_unit_against_the_recipe(vectors):
    found = bench_unit(vectors, runs=1)
    assert set(found["methods"]) == set(CLUSTERERS)
    for name, one in found["methods"].items():
        assert one["ami_ours"] > 0.4 and one["ami_recipe"] > 0.4, name
        assert one["ari"] > 0.3, name
    assert found["speedup"] > 0 and found["peak_ours_mib"] > 100 < found["peak_recipe_mib"]
    assert found["reproducible"] is True
