import json
from pathlib import Path

import numpy as np
import pytest

from gpuclust.bench import energy, render, results, roofline, runner, work
from gpuclust.bench.unit import bench_unit
from gpuclust.errors import GpuclustError, InputError, UnknownNameError
from gpuclust.methods import CLUSTERERS


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
    sides = [text.split(", ")[1].partition(":")[0] for text in found["told"][:4]]
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
