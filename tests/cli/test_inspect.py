"""`gpuclust inspect` of files of vectors and of images, and lists of bad images."""

import numpy as np
from command_line import gpuclust
from PIL import Image

N = 40
Y = np.repeat([0, 1, 2, 3], 10)
X = (np.random.default_rng(0).normal(size=(N, 5)) + 20 * Y[:, None]).astype(np.float32)


def test_inspect_shows_what_a_run_would_take(tmp_path):
    file = tmp_path / "features.npz"
    np.savez(file, X=X, y=Y)
    shown = gpuclust("inspect", file)
    assert shown.returncode == 0
    report = shown.stdout.splitlines()[0]
    assert report.startswith(f"{file}: vectors from X (40 x 5, float32), labels from y")
    done = gpuclust(
        *("run", "--embeddings", file, "--clusterer", "kmeans", "--root", tmp_path / "r")
    )
    assert report in done.stderr
    assert "next: gpuclust run --embeddings" in shown.stderr


def test_inspect_counts_repeated_rows_and_constant_columns(tmp_path):
    array = np.ones((4, 3), np.float32)
    array[1:, 0] = [1, 2, 3]
    np.save(tmp_path / "x.npy", array)
    (tmp_path / "y.txt").write_text("a\nb\nb\nb\n")
    shown = gpuclust("inspect", tmp_path / "x.npy", "--labels", tmp_path / "y.txt").stdout
    lines = {" ".join(line.split()) for line in shown.splitlines()}
    assert {"repeated rows 1", "constant columns 2", "b 3", "a 1"} <= lines


def test_inspect_refuses_a_damaged_file_by_a_sentence(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY nothing")
    shown = gpuclust("inspect", tmp_path / "x.npy")
    assert shown.returncode == 2
    assert "unexpected" not in shown.stderr


def test_names_of_datasets_are_inspected_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "photos" / "1.png")
    np.save(tmp_path / "x.npy", X)
    assert "1 image" in gpuclust("inspect", "folder:photos").stdout
    assert "(40 x 5, float32)" in gpuclust("inspect", "vectors:x.npy").stdout


def test_bad_images_are_listed_on_a_line_each(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}\n.jpg").write_bytes(b"x")
    told = gpuclust("embed", f"folder:{tmp_path}", "raw", "--root", tmp_path / "r").stderr
    lines = told.splitlines()
    assert lines[-3].startswith("Error: 2 of 2 images cannot be decoded")
    assert lines[-2].startswith(f"  {tmp_path}/a\\x0a.jpg: ")
