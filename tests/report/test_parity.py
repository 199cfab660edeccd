import json

import numpy as np
import pytest
import standin

from gpuclust.cell import Cell, units_of
from gpuclust.device import backend
from gpuclust.embeddings.data import Data
from gpuclust.embeddings.load import Options
from gpuclust.errors import InputError
from gpuclust.grid.run import run_grid
from gpuclust.report import parity
from gpuclust.store import labels as label_files
from gpuclust.store.store import Store

CPU = backend.select("cpu")
GPU = backend.Backend("gpu", "a stand-in", "gpu")


def units(clusterers=("kmeans", "agglomerative"), reducers=("none",), seeds=3):
    return units_of(
        Cell.of(
            dataset="digits", split="all", encoder="raw", reducer=r, clusterer=c, seed=seed, k=10
        )
        for r in reducers
        for c in clusterers
        for seed in range(seeds)
    )


@pytest.fixture
def options(digits):
    return Options(vectors=Data(digits.X[:300], digits.y[:300], "f"))


@pytest.fixture
def both(tmp_path, options, monkeypatch):
    standin.install(monkeypatch)
    store = Store(tmp_path)
    for on in (CPU, GPU):
        summary = run_grid(units(), store, on, options=options, save_labels=True)
        assert summary.failed == 0
    return store


def test_equal_engines_agree_and_a_seed_makes_more_difference(both, options):
    kmeans, trees = parity.compare(units(), both, options)
    assert "kmeans, k=10" in kmeans.what
    assert kmeans.seeds == trees.seeds == (0, 1, 2)
    # The stand-in is scikit-learn's own K-Means with the same seed.
    assert min(kmeans.ari) > 0.999
    assert len(kmeans.spread) == 3
    assert max(kmeans.spread) < 0.99
    assert trees.ari == trees.spread == pytest.approx((1.0, 1.0, 1.0))
    assert trees.scores["ami"]["sd"] == 0.0
    assert kmeans.scores["ami"]["sd"] > 0
    assert abs(kmeans.scores["ami"]["difference"]) < 1e-6


def test_a_difference_is_gpu_minus_cpu(both, options):
    unit = units()[0]
    for path in both.root.glob("rows/*/*/*.json"):
        row = json.loads(path.read_text())
        if row["backend"] == "gpu" and row["clusterer"] == "kmeans":
            row["scores"]["ami"] += 0.25
            path.write_text(json.dumps(row))
    line = parity.compare([unit], both, options)[0]
    assert line.scores["ami"]["difference"] == pytest.approx(0.25, abs=1e-6)
    header, cells = parity.table([line])
    assert cells[0][header.index("difference")] == "0.2500"


def test_what_is_missing_is_told(both, options):
    wanted = units(clusterers=("kmeans", "hdbscan"), seeds=4)
    kmeans, hdbscan = parity.compare(wanted, both, options)
    assert kmeans.seeds == (0, 1, 2)
    assert kmeans.missing == ("seed 3: no cpu row", "seed 3: no gpu row")
    assert hdbscan.seeds == ()
    assert len(hdbscan.missing) == 8
    header, lines = parity.table([hdbscan])
    assert len(header) == len(lines[0])


def test_labels_that_were_not_saved_are_told(both, options):
    for path in both.root.glob("labels/*.csv"):
        path.unlink()
    assert all("no labels" in text for text in parity.compare(units(), both, options)[0].missing)


def test_sides_of_different_samples_are_refused(both, options):
    path = next(both.root.glob("labels/*.csv"))
    label_files.write(path, label_files.Assignments(np.zeros(7, dtype=int)))
    with pytest.raises(InputError, match="their embeddings differ"):
        parity.compare(units(), both, options)


def test_one_seed_has_no_spread(both, options):
    line = parity.compare(units(seeds=1), both, options)[0]
    assert line.spread == ()
    assert line.scores["ami"]["sd"] is None
    assert parity.table([line])[1][0][3] == ""
