"""`gpuclust inspect` of files of vectors."""

import numpy as np
from command_line import gpuclust

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
