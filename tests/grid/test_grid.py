"""Grids run in one process: cells are computed once, failures become rows, runs resume."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from small_grid import CPU, GRID, SAMPLES

from gpuclust import pipeline
from gpuclust.cell import Cell, place, units_of
from gpuclust.embeddings.data import Data
from gpuclust.embeddings.load import Options
from gpuclust.errors import InputError, StorageError
from gpuclust.events import Watcher
from gpuclust.grid import run
from gpuclust.grid.grid_file import load_grid
from gpuclust.grid.run import run_grid
from gpuclust.store import labels as label_files
from gpuclust.store.store import Store


class Listener(Watcher):
    def __init__(self):
        self.rows, self.notes, self.images = [], [], 0

    def row(self, row):
        self.rows.append(row)

    def note(self, text):
        self.notes.append(text)

    def embedding(self, unit, done, total):
        self.images = total


def texts(store):
    """Read the row files; the half-written one of a killed process is none."""
    return {path.name: path.read_text() for path in store.root.rglob("rows/**/[!.]*.json")}


def test_a_grid_computes_every_cell_once_and_then_nothing(store, units):
    first = run_grid(units, store, CPU)
    assert (first.computed, first.failed, first.skipped) == (12, 0, 0)
    before = texts(store)
    second = run_grid(units, store, CPU)
    assert (second.computed, second.skipped) == (0, 12)
    assert texts(store) == before


def test_a_missing_embedding_is_made_first(tmp_path, units):
    listener = Listener()
    summary = run_grid(units, Store(tmp_path / "new"), CPU, watcher=listener)
    assert (summary.computed, summary.failed) == (12, 0)
    assert listener.images == SAMPLES


def test_resuming_does_not_even_load_the_embedding(store, units):
    run_grid(units, store, CPU)
    store.embedding(units[0]).array.unlink()
    assert run_grid(units, store, CPU).skipped == 12


def test_a_failed_cell_is_a_row_and_the_others_go_on(store, tmp_path):
    (tmp_path / "g.toml").write_text(
        GRID.replace('"pca(10)"', '"pca(5000)"').replace("seed = [0, 1]", "")
    )
    failing = load_grid(tmp_path / "g.toml")
    summary = run_grid(failing, store, CPU)
    assert (summary.computed, summary.failed) == (6, 3)
    failed = [row for row in store.rows()[0] if row["status"] == "failed"]
    assert len(failed) == 3
    assert failed[0]["error"]["type"] == "CellError"
    assert "Traceback" in failed[0]["error"]["traceback"]
    again = run_grid(failing, store, CPU)
    assert (again.computed, again.failed_before) == (0, 3)
    assert run_grid(failing, store, CPU, redo="failed").computed == 3


def test_an_unforeseen_error_and_no_memory_are_rows_too(store, units, monkeypatch):
    from sklearn.cluster import HDBSCAN

    from gpuclust.algorithms import HDBSCAN as Ours

    def explode(self, X, y=None):
        raise MemoryError("Unable to allocate 75 GiB")

    for kind in (HDBSCAN, Ours):  # in few dimensions and in many
        monkeypatch.setattr(kind, "fit_predict", explode)
    summary = run_grid(units, store, CPU)
    assert (summary.computed, summary.failed) == (12, 4)
    messages = {row["error"]["message"] for row in store.rows()[0] if row["status"] == "failed"}
    assert messages == {"Unable to allocate 75 GiB"}


def test_a_cell_that_ran_out_of_memory_is_tried_once_more_with_smaller_blocks(
    store, units, monkeypatch
):
    from gpuclust.algorithms.linkage.agglomerative import Agglomerative
    from gpuclust.device import block_size

    sizes = []
    original = Agglomerative.fit_predict

    def scarce(self, X):
        sizes.append(block_size.block_bytes(np))
        if len(sizes) == 1:
            raise MemoryError("Unable to allocate 75 GiB")
        return original(self, X)

    monkeypatch.setattr(Agglomerative, "fit_predict", scarce)
    assert run_grid(units, store, CPU).failed == 0
    assert sizes[1] == sizes[0] // 2
    assert set(sizes[2:]) == {sizes[0]}, "only the cell that ran out of memory gets smaller blocks"
    told = [text for row in store.rows()[0] for text in row["warnings"] if "half the size" in text]
    (text,) = told
    assert text.startswith("ran out of memory (MemoryError: Unable to allocate 75 GiB)")


def test_the_arrays_of_a_try_that_failed_are_gone_before_the_second(store, units, monkeypatch):
    import weakref

    from sklearn.cluster import HDBSCAN

    from gpuclust.algorithms import HDBSCAN as Ours

    class Large(np.ndarray):
        pass

    held = []

    def explode(self, X, y=None):
        alive = [ref for ref in held if ref() is not None]
        assert not alive, "the second try would have less memory than the first"
        large = np.zeros(1000).view(Large)
        held.append(weakref.ref(large))
        raise MemoryError("Unable to allocate 75 GiB")

    for kind in (HDBSCAN, Ours):  # in few dimensions and in many
        monkeypatch.setattr(kind, "fit_predict", explode)
    assert run_grid(units, store, CPU).failed == 4
    assert len(held) == 8
    messages = {row["error"]["type"] for row in store.rows()[0] if row["status"] == "failed"}
    assert messages == {"MemoryError"}


def test_tracing_without_a_gpu_is_refused_before_anything_runs(store, units):
    with pytest.raises(InputError, match="this run uses the CPU"):
        run_grid(units, store, CPU, trace=True)
    assert store.rows() == ([], [])


def test_what_failed_before_embedding_is_computed_once_the_images_are_there(tmp_path):
    def cells(folder):
        names = {"dataset": f"folder:{folder}", "split": "all", "encoder": "raw"}
        return units_of([Cell.of(**names, clusterer="kmeans", k=2)])

    folder, store = tmp_path / "photos", Store(tmp_path / "root")
    folder.mkdir()
    assert run_grid(cells(folder), store, CPU).failed == 1
    assert store.rows()[0][0]["error"]["type"] == "InputError"
    for i in range(12):
        Image.new("RGB", (32, 32), (20 * i, 0, 0)).save(folder / f"{i}.png")
    assert run_grid(cells(folder), store, CPU, redo="failed").failed == 0
    rows, _ = store.rows()
    assert [row["status"] for row in rows] == ["ok"]


def test_a_folder_that_changed_is_embedded_again_and_old_rows_stay(tmp_path):
    folder, store, listener = tmp_path / "photos", Store(tmp_path / "root"), Listener()
    folder.mkdir()
    for i in range(12):
        Image.new("RGB", (32, 32), (20 * i, 0, 0)).save(folder / f"{i}.png")
    names = {"dataset": f"folder:{folder}", "split": "all", "encoder": "raw"}
    units = units_of([Cell.of(**names, clusterer="kmeans", k=2)])
    run_grid(units, store, CPU)
    Image.new("RGB", (32, 32)).save(folder / "more.png")
    assert run_grid(units, store, CPU, watcher=listener).computed == 1
    assert "12 samples then, 13 images now" in listener.notes[0]
    assert sorted(row["n"] for row in store.rows()[0]) == [12, 13]


def test_a_checkpoint_that_was_overwritten_is_embedded_again(tmp_path):
    import timm
    import torch

    def train(seed):
        torch.manual_seed(seed)
        torch.save(timm.create_model("test_vit", num_classes=0).state_dict(), tmp_path / "last.pth")

    folder, listener = tmp_path / "photos", Listener()
    folder.mkdir()
    for i in range(8):
        Image.new("RGB", (32, 32), (30 * i, 0, 0)).save(folder / f"{i}.png")
    train(0)
    names = place(f"folder:{folder}", None, f"file:{tmp_path}/last.pth?arch=test_vit")
    units = units_of([Cell.of(**names, clusterer="kmeans", k=2)])
    assert run_grid(units, Store(tmp_path / "r"), CPU).failed == 0
    assert run_grid(units, Store(tmp_path / "r"), CPU).computed == 0
    train(1)
    assert run_grid(units, Store(tmp_path / "r"), CPU, watcher=listener).computed == 1
    assert "last.pth has changed" in listener.notes[0]


def test_unlabelled_data_without_k_fails_as_a_row_and_is_not_tried_again(tmp_path, digits):
    options = Options(vectors=Data(digits.X, None, "f"))
    units = units_of(
        Cell.of(dataset="mine", split="all", encoder="vectors", clusterer=c)
        for c in ("kmeans", "hdbscan")
    )
    summary = run_grid(units, Store(tmp_path), CPU, options=options)
    assert (summary.computed, summary.failed) == (2, 1)
    assert isinstance(summary.errors[0], InputError)
    assert run_grid(units, Store(tmp_path), CPU, options=options).computed == 0


def test_nan_in_an_embedding_fails_every_cell_with_the_reason(tmp_path, digits):
    X = digits.X.copy()
    X[5, 5] = np.nan
    options = Options(vectors=Data(X, digits.y, "f"))
    units = units_of([Cell.of(dataset="m", split="all", encoder="vectors", clusterer="kmeans")])
    summary = run_grid(units, Store(tmp_path), CPU, options=options)
    assert summary.failed == 1
    assert "first in row 5" in str(summary.errors[0])


def test_a_damaged_row_is_computed_again(store, units):
    run_grid(units, store, CPU)
    victim = next(iter(store.root.rglob("rows/**/[!.]*.json")))
    good = json.loads(victim.read_text())
    victim.write_text('{"status": "o')
    listener = Listener()
    assert run_grid(units, store, CPU, watcher=listener).computed == 1
    assert victim.name in listener.notes[0]
    assert json.loads(victim.read_text())["scores"] == good["scores"]


def test_a_truncated_embedding_fails_with_the_way_out(store, units):
    array = store.embedding(units[0]).array
    array.write_bytes(array.read_bytes()[:1000])
    summary = run_grid(units, store, CPU)
    assert summary.failed == 12
    assert "--force" in str(summary.errors[0])
    assert array.exists()


def test_a_row_that_cannot_be_written_ends_the_run(store, units, monkeypatch):
    from gpuclust.store import store as stores

    original = stores.write_json

    def full(path, content):
        if "rows" in path.parts:
            raise StorageError("could not write: No space left on device")
        original(path, content)

    monkeypatch.setattr(stores, "write_json", full)
    with pytest.raises(StorageError, match="No space left"):
        run_grid(units, store, CPU)
    monkeypatch.undo()
    assert run_grid(units, store, CPU).computed == 12


def test_a_disk_too_full_for_the_embedding_ends_the_run_and_fails_no_cell(
    tmp_path, units, monkeypatch
):
    usage = SimpleNamespace(total=100, used=99, free=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StorageError, match="Free some disk space"):
        run_grid(units, Store(tmp_path / "new"), CPU)
    monkeypatch.undo()
    assert Store(tmp_path / "new").rows() == ([], [])
    assert run_grid(units, Store(tmp_path / "new"), CPU).computed == 12


def test_stopping_ends_after_the_running_cell_and_the_rest_is_done_later(store, units):
    asked = iter([False] * 4 + [True] * 100)
    summary = run_grid(units, store, CPU, stop=lambda: next(asked))
    assert summary.stopped
    assert 0 < summary.computed < 12
    assert run_grid(units, store, CPU).computed == 12 - summary.computed


def test_status_counts_done_failed_running_and_left(store, units):
    assert run.status(units, store, CPU)["left"] == 12
    with store.claim(units[0]) as say:
        say({"unit": str(units[0])})
        counts = run.status(units, store, CPU)
    assert (counts["running"], counts["left"]) == (1, 11)
    run_grid(units, store, CPU)
    counts = run.status(units, store, CPU)
    assert (counts["cells"], counts["done"], counts["left"]) == (12, 12, 0)


def test_labels_are_written_when_asked_for(store, units):
    run_grid(units, store, CPU, save_labels=True)
    for row in store.rows()[0]:
        labels = label_files.read(store.labels_path(row["key"])).cluster
        assert labels.shape == (SAMPLES,)
        found = len(set(labels.tolist()) - {-1})
        assert found == row["scores"]["n_clusters"]


def start(tmp_path, root):
    command = [sys.executable, "-m", "gpuclust_cli", "grid", str(tmp_path / "grid.toml")]
    return subprocess.Popen(
        [*command, "--root", str(root), "--device", "cpu"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )


def wait_for_rows(store, n):
    deadline = time.monotonic() + 120
    while len(store.rows()[0]) < n:
        assert time.monotonic() < deadline, "no rows came"
        time.sleep(0.02)


@pytest.mark.slow
def test_kill_9_in_the_middle_loses_nothing_and_repeats_nothing(units, tmp_path):
    store = Store(tmp_path / "root")
    process = start(tmp_path, store.root)
    wait_for_rows(store, 1)
    process.kill()
    process.communicate()
    rows, problems = store.rows()
    assert problems == []
    assert 1 <= len(rows) < 12, "it was killed in the middle"
    before = {row["key"]: row for row in rows}
    assert run_grid(units, store, CPU).computed == 12 - len(rows)
    after = {row["key"]: row for row in store.rows()[0]}
    assert len(after) == 12
    assert before.items() <= after.items(), "what was there is untouched"


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_with_exit_code_130(units, tmp_path):
    store = Store(tmp_path / "root")
    process = start(tmp_path, store.root)
    wait_for_rows(store, 1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130, told
    assert "Stopping as soon as" in told
    assert "Traceback" not in told
    rows, problems = store.rows()
    assert problems == []
    assert run_grid(units, store, CPU).computed == 12 - len(rows)


def test_a_result_that_json_cannot_hold_is_a_failed_row_and_the_others_go_on(
    store, units, monkeypatch
):
    original = pipeline.score

    def score(label_sets, *args):
        found = original(label_sets, *args)
        found[0].scores["ami"] = float("inf")
        return found

    monkeypatch.setattr(pipeline, "score", score)
    summary = run_grid(units, store, CPU)
    assert (summary.computed, summary.failed) == (12, 4)  # the first cell of each representation
    assert "cannot be saved" in next(
        row["error"]["message"] for row in store.rows()[0] if row["status"] == "failed"
    )


@pytest.mark.parametrize("gone", ["rows", "rows/digits-all/raw"])
def test_rows_that_are_removed_meanwhile_are_no_success(store, units, gone):
    class Remover(Listener):
        def done(self, unit, **counts):
            shutil.rmtree(store.root / gone)

    with pytest.raises(StorageError, match=r"12 of 12 rows are no longer in .*Run the same"):
        run_grid(units, store, CPU, watcher=Remover())
