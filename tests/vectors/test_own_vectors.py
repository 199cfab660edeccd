"""Vectors of a user's own in runs and grids: names, fingerprints, facts under the root, notes."""

import json
import os
import time

import numpy as np
import pytest
from command_line import gpuclust

from gpuclust.cell import place
from gpuclust.device import backend
from gpuclust.embeddings import own
from gpuclust.embeddings.check import check_vectors
from gpuclust.embeddings.load import Options, own_vectors
from gpuclust.errors import InputError
from gpuclust.grid.grid_file import load_grid
from gpuclust.grid.run import run_grid, status
from gpuclust.store.store import Store
from gpuclust.vectors.values import fingerprint_of

N = 40
Y = np.repeat([0, 1, 2, 3], 10)
X = (np.random.default_rng(0).normal(size=(N, 5)) + 20 * Y[:, None]).astype(np.float32)
CPU = backend.select("cpu")


@pytest.fixture
def features(tmp_path):
    for name in ("clip", "dino"):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "features.npz", X=X if name == "clip" else X[:, :3], y=Y)
    return tmp_path


def rows(root):
    return [json.loads(path.read_text()) for path in sorted(root.glob("rows/*/*/*.json"))]


def run(path, root, *more):
    return gpuclust("run", "--embeddings", path, "--clusterer", "kmeans", "--root", root, *more)


def settle(path):
    """Give a file an old time, as most files have."""
    old = time.time_ns() - 10**10
    os.utime(path, ns=(old, old))


# ---- fingerprints -------------------------------------------------------------------------------


def test_the_fingerprint_is_that_of_shape_dtype_values_labels_and_their_mask():
    labelled = np.arange(N) > 3
    moved = np.roll(labelled, 1)
    variants = [
        fingerprint_of(X),
        fingerprint_of(X.reshape(N // 2, 10)),
        fingerprint_of(X.astype(np.float64)),
        fingerprint_of(X + 1),
        fingerprint_of(X, Y),
        fingerprint_of(X, Y + 1),
        fingerprint_of(X, Y, labelled),
        fingerprint_of(X, Y, moved),
    ]
    assert len(set(variants)) == len(variants)


def test_the_label_of_a_sample_without_one_does_not_matter():
    labelled = np.arange(N) > 3
    assert fingerprint_of(X, Y, labelled) == fingerprint_of(X, np.where(labelled, Y, 9), labelled)


def test_a_file_and_memory_have_the_same_fingerprint(tmp_path):
    np.savez(tmp_path / "x.npz", X=X, y=Y)
    _, data = own_vectors(tmp_path / "x.npz")
    assert data.fingerprint == own.data_of(check_vectors(X, Y)).fingerprint


def test_the_order_of_bytes_and_of_the_array_in_the_file_do_not_matter(tmp_path):
    found = set()
    for k, array in enumerate((X, np.asfortranarray(X), X.astype(">f4"))):
        np.save(tmp_path / f"{k}.npy", array)
        found.add(own_vectors(tmp_path / f"{k}.npy")[1].fingerprint)
    assert len(found) == 1


def test_a_mapped_file_is_used_without_a_copy(tmp_path, monkeypatch):
    monkeypatch.setattr("gpuclust.vectors.numpy_files.MAPPED", 100)
    np.save(tmp_path / "x.npy", X)
    _, data = own_vectors(tmp_path / "x.npy")
    assert isinstance(data.X, np.memmap)
    assert data.fingerprint == fingerprint_of(X)


# ---- names and rows -----------------------------------------------------------------------------


def test_vectors_are_named_by_their_path_or_by_the_user(features):
    names, _ = own_vectors(features / "clip" / "features.npz")
    assert names == {
        "dataset": f"vectors:{features}/clip/features.npz",
        "split": "all",
        "encoder": "vectors",
    }
    names, _ = own_vectors(features / "clip" / "features.npz", name="clip")
    assert names["dataset"] == "clip"


def test_files_of_one_name_in_two_folders_have_rows_that_differ(features):
    for name in ("clip", "dino"):
        done = run(features / name / "features.npz", features / "r")
        assert done.returncode == 0
        assert "vectors from X (40 x " in done.stderr
        assert "labels from y (4 classes)" in done.stderr
    assert len({row["dataset"] for row in rows(features / "r")}) == 2
    assert run(features / "clip" / "features.npz", features / "r", "--name", "CLIP").returncode == 0
    assert "CLIP" in {row["dataset"] for row in rows(features / "r")}


def test_a_changed_file_gets_a_row_of_its_own(tmp_path):
    for array in (X, X.reshape(N // 2, 10)):
        np.save(tmp_path / "x.npy", array)
        assert "already computed" not in run(tmp_path / "x.npy", tmp_path / "r", "--k", 2).stderr
    assert {(row["n"], row["d"]) for row in rows(tmp_path / "r")} == {(N, 5), (N // 2, 10)}
    assert "already computed" in run(tmp_path / "x.npy", tmp_path / "r", "--k", 2).stderr


def test_partly_labelled_vectors_are_scored_on_the_labelled_part(tmp_path):
    labels = ["" if k % 4 == 3 else f"c{y}" for k, y in enumerate(Y)]
    (tmp_path / "y.csv").write_text("label\n" + "\n".join(f'"{one}"' for one in labels) + "\n")
    np.save(tmp_path / "x.npy", X)
    done = run(tmp_path / "x.npy", tmp_path / "r", "--labels", tmp_path / "y.csv")
    (row,) = rows(tmp_path / "r")
    assert "10 samples without a label" in done.stderr
    assert (row["n"], row["n_labelled"], row["n_classes"], row["k"]) == (N, 30, 4, 4)
    assert row["scores"]["ami"] == 1
    assert row["scores"]["purity"] == 1


def test_a_class_of_unlabelled_samples_only_does_not_count(tmp_path):
    np.savez(tmp_path / "x.npz", X=X, y=np.where(Y == 3, np.nan, Y))
    assert run(tmp_path / "x.npz", tmp_path / "r").returncode == 0
    (row,) = rows(tmp_path / "r")
    assert (row["n_classes"], row["n_labelled"], row["k"]) == (3, 30, 3)


# ---- grids --------------------------------------------------------------------------------------


def grid(folder, text):
    path = folder / "grid.toml"
    path.write_text(f'clusterer = ["kmeans", "hdbscan"]\n{text}\n')
    return path


def test_files_of_vectors_are_units_of_a_grid(features):
    path = grid(
        features, f'embeddings = ["{features}/clip/features.npz", "{features}/dino/features.npz"]'
    )
    units = load_grid(path)
    assert [unit.encoder for unit in units] == ["vectors", "vectors"]
    done = run_grid(units, Store(features / "r"), CPU)
    assert (done.computed, done.failed) == (4, 0)
    assert {row["d"] for row in rows(features / "r")} == {5, 3}
    again = run_grid(load_grid(path), Store(features / "r"), CPU)
    assert (again.computed, again.skipped) == (0, 4)


def test_vectors_stand_beside_images_and_are_not_multiplied_by_encoders(features, caplog):
    file = f"{features}/clip/features.npz"
    text = f'dataset = ["digits", "vectors:{file}"]\nencoder = ["raw", "random/test_vit"]\n'
    with caplog.at_level("INFO", logger="gpuclust"):
        units = load_grid(grid(features, text + 'preprocess = ["own", "study"]'))
    assert [unit.encoder for unit in units].count("vectors") == 1
    assert len(units) == 5
    assert "encoder and preprocess do not apply to the 1 file of vectors" in caplog.text


def test_labels_of_a_grid_are_one_file_for_all_or_one_for_each(features):
    a, b = features / "clip" / "features.npz", features / "dino" / "features.npz"
    for name in ("a", "b"):
        np.save(features / f"{name}.npy", Y if name == "a" else Y // 2)
    files = f'embeddings = ["{a}", "{b}"]\n'
    each = load_grid(grid(features, f'{files}labels = ["{features}/a.npy", "{features}/b.npy"]'))
    run_grid(each, Store(features / "r"), CPU)
    assert sorted(row["n_classes"] for row in rows(features / "r")) == [2, 2, 4, 4]
    one = load_grid(grid(features, f'{files}labels = "{features}/b.npy"'))
    assert all(unit.dataset.endswith("?labels=" + f"{features}/b.npy") for unit in one)
    with pytest.raises(InputError, match="3 files for 2 embeddings"):
        load_grid(grid(features, f'{files}labels = ["{features}/a.npy", "x", "y"]'))
    with pytest.raises(InputError, match="belongs to embeddings"):
        load_grid(grid(features, 'dataset = "digits"\nencoder = "raw"\nlabels = "y.npy"'))


@pytest.mark.parametrize("text", ['embeddings = "no-such.npz"', 'dataset = "vectors:no-such.npz"'])
def test_a_missing_file_is_reported_before_anything_runs(tmp_path, text):
    with pytest.raises(InputError, match="does not exist"):
        load_grid(grid(tmp_path, text))


def test_relative_paths_of_a_grid_belong_to_the_working_directory(features, monkeypatch):
    monkeypatch.chdir(features)
    (unit,) = load_grid(grid(features / "clip", 'embeddings = "dino/features.npz"'))
    assert unit.dataset == f"vectors:{features}/dino/features.npz"


def test_a_grid_of_vectors_has_a_plan_and_a_status(features):
    path = grid(features, f'embeddings = ["{features}/clip/features.npz"]')
    planned = gpuclust("grid", path, "--dry-run", "--root", features / "r")
    assert planned.returncode == 0
    assert "2 cells, 2 to compute" in planned.stdout
    assert gpuclust("grid", path, "--root", features / "r").returncode == 0
    found = gpuclust("grid-status", path, "--json", "--root", features / "r")
    assert json.loads(found.stdout)["done"] == 2


def test_a_damaged_file_fails_its_own_cells_only(features):
    (features / "bad.npy").write_bytes(b"\x93NUMPY nothing")
    files = f'embeddings = ["{features}/bad.npy", "{features}/clip/features.npz"]'
    done = run_grid(load_grid(grid(features, files)), Store(features / "r"), CPU)
    assert (done.computed, done.failed) == (4, 2)
    failed = [row for row in rows(features / "r") if row["status"] == "failed"]
    assert all(row["error"]["type"] == "InputError" for row in failed)


def test_a_status_does_not_read_the_vectors_of_an_unchanged_file(features, monkeypatch):
    file = features / "clip" / "features.npz"
    monkeypatch.setattr(own, "_SETTLED_NS", 0)
    time.sleep(0.02)  # longer than the resolution of the times of a file
    units = load_grid(grid(features, f'embeddings = "{file}"'))
    store = Store(features / "r")
    run_grid(units, store, CPU)
    with monkeypatch.context() as patch:
        patch.setattr(own, "read_vectors", lambda *_: pytest.fail("the file was read"))
        assert status(units, store, CPU)["done"] == 2
    np.savez(file, X=X[:20], y=Y[:20])
    assert status(units, store, CPU)["done"] == 0


def test_a_file_changed_a_moment_ago_is_not_remembered(features):
    units = load_grid(grid(features, f'embeddings = "{features}/clip/features.npz"'))
    store = Store(features / "r")
    status(units, store, CPU)
    assert not list(store.root.glob("vectors/*"))


def test_a_damaged_note_under_the_root_is_ignored(features, monkeypatch):
    monkeypatch.setattr(own, "_SETTLED_NS", 0)
    time.sleep(0.02)
    units = load_grid(grid(features, f'embeddings = "{features}/clip/features.npz"'))
    store = Store(features / "r")
    status(units, store, CPU)
    (note,) = store.root.glob("vectors/*.json")
    note.write_text("{")
    assert run_grid(units, store, CPU).computed == 2


def test_vectors_are_no_images_to_embed(features):
    done = gpuclust("embed", f"vectors:{features}/clip/features.npz", "raw")
    assert done.returncode == 2
    assert "nothing to embed" in done.stderr


def test_the_encoder_of_vectors_is_vectors(features):
    names = place(f"vectors:{features}/clip/features.npz", None, "raw")
    assert names["encoder"] == "vectors"
    with pytest.raises(InputError, match="no split"):
        place(f"vectors:{features}/clip/features.npz", "train", "raw")


def test_options_hold_the_vectors_of_a_run(features):
    _, data = own_vectors(features / "clip" / "features.npz")
    assert Options(vectors=data).vectors.n_classes == 4
