"""A clustering is on the disk when it is done, and is scored with all of its representation."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import sklearn.cluster
from small_grid import CPU

from gpuclust import pipeline
from gpuclust.grid import kept
from gpuclust.grid.grid_file import load_grid
from gpuclust.grid.run import run_grid, status
from gpuclust.store.store import CLUSTERED

MANY = 'dataset="digits"\nencoder="raw"\nclusterer="kmeans"\nmetrics="external"\nk=[2,3,4,5,6,7]\n'


class Killed(BaseException):
    """Ends a run at once, as kill -9 does: no handler of the library sees it."""


@pytest.fixture
def many(tmp_path):
    (tmp_path / "many.toml").write_text(MANY)
    return load_grid(tmp_path / "many.toml")


@pytest.fixture
def fits(monkeypatch):
    """Count the fits of K-Means; `most` of them end with `Killed`."""
    counts = {"fits": 0, "most": None}
    original = sklearn.cluster.KMeans.fit_predict

    def fit_predict(self, *args, **how):
        if counts["fits"] == counts["most"]:
            raise Killed
        counts["fits"] += 1
        return original(self, *args, **how)

    monkeypatch.setattr(sklearn.cluster.KMeans, "fit_predict", fit_predict)
    return counts


def scores(store):
    return {row["key"]: (row["scores"], row["warnings"]) for row in store.rows()[0]}


def waiting(store):
    paths = (store.root / "rows").glob("*/*/[!.]*.json")
    return [row for row in (store.read_row(path, CLUSTERED) for path in paths) if row is not None]


def interrupted(units, store, fits, most, **how):
    fits["most"] = most
    with pytest.raises(Killed):
        run_grid(units, store, CPU, **how)
    fits.update(fits=0, most=None)


def test_a_killed_run_loses_the_running_clustering_only(store, many, fits, tmp_path):
    interrupted(many, store, fits, 4)
    assert len(waiting(store)) == 4
    assert store.rows() == ([], [])  # nothing is done before it is scored
    assert status(many, store, CPU)["left"] == 6
    summary = run_grid(many, store, CPU)
    assert (summary.computed, summary.failed, fits["fits"]) == (6, 0, 2)
    assert waiting(store) == []


def test_the_rows_of_a_killed_run_are_those_of_one_that_was_not(store, fits, tmp_path):
    text = MANY.replace("external", "default") + 'reducer=["none", "pca(10)", "zscore|pca(4)"]\n'
    (tmp_path / "three.toml").write_text(text)
    units = load_grid(tmp_path / "three.toml")
    run_grid(units, store, CPU)
    undisturbed = scores(store)
    fits["fits"] = 0
    for path in (store.root / "rows").glob("*/*/[!.]*.json"):
        path.unlink()
    for done in (3, 5, 7):
        interrupted(units, store, fits, done)
        assert waiting(store)
    run_grid(units, store, CPU)
    assert scores(store) == undisturbed
    assert fits["fits"] == 18 - (3 + 5 + 7)


def test_clusterings_of_a_killed_run_are_scored_together(store, many, fits, monkeypatch):
    interrupted(many, store, fits, 5)
    passes = []
    original = pipeline.score

    def score(label_sets, *args):
        passes.append(len(label_sets))
        return original(label_sets, *args)

    monkeypatch.setattr(pipeline, "score", score)
    run_grid(many, store, CPU)
    assert passes == [6]


@pytest.mark.parametrize(
    "change", [{"host": {}}, {"space": "another"}, {"labels": None}, {"ran": 1}]
)
def test_a_clustering_of_another_machine_or_representation_is_made_again(store, many, fits, change):
    interrupted(many, store, fits, 2)
    for row in waiting(store):
        path = store.row_path(many[0], row["key"])
        text = "{" if "ran" in change else json.dumps({**row, **change})
        path.write_text(text)
    assert run_grid(many, store, CPU).failed == 0
    assert fits["fits"] == 6


def test_a_row_to_be_computed_again_stays_until_the_new_one_is_there(store, many, fits):
    run_grid(many, store, CPU)
    fits["fits"] = 0
    before = scores(store)
    interrupted(many, store, fits, 4, redo="all")
    assert scores(store) == before


def test_asking_for_all_cells_again_uses_no_clustering_of_before(store, many, fits):
    interrupted(many, store, fits, 4)
    run_grid(many, store, CPU, redo="all")
    assert fits["fits"] == 6


def test_a_reducer_without_a_seed_is_never_given_the_labels_of_another_layout():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(1000, 5))
    assert kept._digest(Z) == kept._digest(Z.copy())
    assert kept._digest(Z) != kept._digest(Z + 1e-12)
    assert kept._digest(Z) != kept._digest(Z.astype(np.float32))


@pytest.mark.parametrize("values", [np.arange(7) - 1, np.array([0.5, 1.0, 0.0]), np.zeros(0, int)])
def test_packed_labels_come_back(values):
    back = kept._unpacked(json.loads(json.dumps(kept._packed(values))))
    assert np.array_equal(back, values)
    assert back.flags.writeable


def test_kill_9_keeps_what_was_clustered(store, tmp_path):
    many = MANY.replace("k=[2,3,4,5,6,7]", f"seed={list(range(40))}\nk={list(range(2, 42))}")
    (tmp_path / "many.toml").write_text(many.replace('"kmeans"', '"kmeans(n_init=20)"'))
    code = (
        "from small_grid import *; import small_digits, pytest, sys; from pathlib import Path;"
        "from gpuclust.grid.run import run_grid; from gpuclust.grid.grid_file import load_grid;"
        "from gpuclust.store.store import Store; patch = pytest.MonkeyPatch();"
        "small_digits.use_first(patch, SAMPLES);"
        "run_grid(load_grid(Path(sys.argv[1])), Store(Path(sys.argv[2])), CPU)"
    )
    where = os.pathsep.join(["tests/grid", "tests"])
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "many.toml"), str(store.root)],
        env={**os.environ, "PYTHONPATH": where},
    )
    try:
        end = time.monotonic() + 60
        while len(waiting(store)) < 5 and time.monotonic() < end:
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(waiting(store)) >= 5
