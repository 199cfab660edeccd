"""A run asks for each fact once, and a fit is few frames below it."""

import gc
import sys
import weakref

import numpy as np
import pytest
import sklearn.cluster
from PIL import Image
from small_grid import CPU

from gpuclust.cell import Cell, place, units_of
from gpuclust.datasets.folders import walk
from gpuclust.embeddings import files
from gpuclust.embeddings.data import Data
from gpuclust.embeddings.load import Options
from gpuclust.grid.run import run_grid
from gpuclust.grid.states import rows_of
from gpuclust.store.store import Store


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(12):
        path = tmp_path / "photos" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(path)
    names = place(f"folder:{tmp_path / 'photos'}", None, "raw")
    cells = [Cell.of(**names, clusterer=one, metrics=("ami",)) for one in ("kmeans", "affinity")]
    return units_of(cells)


@pytest.fixture
def counted(monkeypatch):
    counts = {"metadata": 0, "walks": 0}

    def count(module, name, what):
        original = getattr(module, name)

        def counting(*args, **how):
            counts[what] += 1
            return original(*args, **how)

        monkeypatch.setattr(module, name, counting)

    count(files, "load_meta", "metadata")
    count(walk, "listing", "walks")
    return counts


def test_a_unit_of_photos_reads_its_metadata_once_and_walks_its_folder_once(
    photos, counted, tmp_path
):
    store = Store(tmp_path / "root")
    first = run_grid(photos, store, CPU)
    assert (first.computed, first.failed) == (2, 0)
    assert counted == {"metadata": 1, "walks": 1}
    assert len(rows_of(first.keyed(photos), store, CPU)) == 2
    assert counted == {"metadata": 1, "walks": 1}


def test_to_resume_nothing_reads_and_walks_once(photos, counted, tmp_path):
    store = Store(tmp_path / "root")
    run_grid(photos, store, CPU)
    counted.update(metadata=0, walks=0)
    again = run_grid(photos, store, CPU)
    assert (again.computed, again.skipped) == (0, 2)
    assert counted == {"metadata": 1, "walks": 1}


def test_new_cells_of_an_embedded_unit_read_and_walk_once(photos, counted, tmp_path):
    store = Store(tmp_path / "root")
    run_grid(photos, store, CPU)
    counted.update(metadata=0, walks=0)
    again = run_grid(photos, store, CPU, redo="all")
    assert again.computed == 2
    assert counted == {"metadata": 1, "walks": 1}


def test_a_fit_is_at_most_nine_frames_below_a_run(photos, tmp_path, monkeypatch):
    stacks = []
    original = sklearn.cluster.KMeans.fit

    def fit(self, *args, **how):
        frame, names = sys._getframe(1), []
        while frame is not None:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        stacks.append(names)
        return original(self, *args, **how)

    monkeypatch.setattr(sklearn.cluster.KMeans, "fit", fit)
    run_grid(photos, Store(tmp_path / "root"), CPU)
    (names,) = stacks
    between = names[: names.index("run_grid")]
    assert len(between) + 1 <= 9, between  # the wrapper of scikit-learn around fit is replaced here


def test_the_errors_of_a_run_hold_no_embedding(photos, tmp_path, monkeypatch):
    class Large(np.ndarray):
        pass

    def run():
        X = np.random.default_rng(0).normal(size=(20, 3)).view(Large)
        options = Options(vectors=Data(X, np.arange(20) % 2, "f"))
        return weakref.ref(X), run_grid(photos, Store(tmp_path / "root"), CPU, options=options)

    def explode(self, X, y=None):
        raise ValueError("no luck")

    monkeypatch.setattr(sklearn.cluster.KMeans, "fit_predict", explode)
    embedding, summary = run()
    gc.collect()
    assert len(summary.errors) == 1
    assert embedding() is None
    assert "explode" in summary.errors[0].__notes__[0]


@pytest.mark.parametrize("stage", ["gpuclust.pipeline.reduce", "gpuclust.encoders.load"])
def test_cells_that_share_a_failed_stage_have_the_same_short_traceback(
    photos, tmp_path, monkeypatch, stage
):
    def explode(*args, **how):
        raise ValueError("no luck")

    monkeypatch.setattr(stage, explode)
    store = Store(tmp_path / "root")
    summary = run_grid(photos, store, CPU)
    assert summary.failed == len(summary.errors) == 2
    first, second = (row["error"]["traceback"] for row in store.rows()[0])
    assert first == second
    assert first.count("no luck") == 1 + first.count('raise ValueError("no luck")')
    assert "in explode" in first
    assert len(summary.errors[0].__notes__) == 1
