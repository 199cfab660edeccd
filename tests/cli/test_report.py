"""`report`: order, names, older embeddings and versions, damaged files, outputs."""

import csv
import json

import numpy as np
import pytest
from command_line import gpuclust

from gpuclust.cell import Unit
from gpuclust.store.store import Store

ROW = {
    "status": "ok",
    "key": "k1",
    "dataset": "digits",
    "split": "all",
    "encoder": "raw",
    "preprocess": "own",
    "reducer": "none",
    "clusterer": "kmeans",
    "k": 10,
    "seed": 0,
    "backend": "cpu",
    "n": 100,
    "d": 64,
    "seconds": 0.5,
    "scores": {"ami": 0.5, "silhouette_euclidean_reduced": 0.25, "n_clusters": 10},
    "resolved": {"embedding": "a" * 64},
    "finished": "2026-11-28T10:00:00+00:00",
    "host": {"versions": {"gpuclust": "0.1.0", "scikit-learn": "1.9.1"}},
}


def filled(root, *rows):
    """Save rows, each ROW with changes."""
    store = Store(root)
    for i, changes in enumerate(rows):
        row = ROW | {"key": f"{i:024x}"} | changes
        store.save_row(Unit(row["dataset"], row["split"], row["encoder"], "own", ()), row)
    return store.root


def columns(done):
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(done.stdout.splitlines()))


@pytest.mark.parametrize("name", ["AMI", "ami", "SIL", "Clusters", "s", "K", "seconds"])
def test_the_headings_of_the_table_can_be_sorted_by_in_any_case(tmp_path, name):
    root = filled(tmp_path, {}, {"seed": 1})
    assert gpuclust("report", "--root", root, "--sort", name).returncode == 0


def test_a_heading_that_is_none_brings_the_nearest(tmp_path):
    done = gpuclust("report", "--root", filled(tmp_path, {}), "--sort", "SILL")
    assert done.returncode == 2
    assert "Did you mean 'SIL'" in done.stderr


def test_without_labels_the_best_silhouette_comes_first(tmp_path):
    silhouettes = (0.1, 0.9, 0.5)
    rows = [
        {"seed": i, "scores": {"ami": None, "silhouette_euclidean_reduced": value}}
        for i, value in enumerate(silhouettes)
    ]
    done = gpuclust("report", "--root", filled(tmp_path, *rows))
    shown = [float(line.split()[3]) for line in done.stdout.splitlines()[1:]]
    assert shown == sorted(silhouettes, reverse=True)
    assert "sorted by SIL, best first" in done.stderr


def test_names_are_taken_as_run_takes_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"dataset": f"folder:{tmp_path}/imgs"}, {"dataset": f"vectors:{tmp_path}/v.npz"}]
    rows += [{"encoder": "random/resnet18"}, {"encoder": f"file:{tmp_path}/w.pt?arch=vit"}]
    filled(tmp_path / "r", *rows)
    asked = [("--dataset", name) for name in ("folder:imgs", "imgs/", "./imgs", "v.npz")]
    asked += [("--dataset", f"vectors:{tmp_path}/v.npz")]
    asked += [("--encoder", "random/resnet18?seed=0"), ("--encoder", "file:w.pt?arch=vit")]
    for how in asked:
        assert len(columns(gpuclust("report", "--root", "r", *how, "--csv", "-"))) == 1, how
    done = gpuclust("report", "--root", "r", "--dataset", "digit")
    assert done.returncode == 2
    assert "Did you mean 'digits'" in done.stderr


def test_rows_of_replaced_images_are_left_out_and_shown_on_request(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    (tmp_path / "p").mkdir()
    how = ("--dataset", "folder:p", "--encoder", "raw", "--clusterer", "kmeans", "--k", "2")
    for count in (6, 7):
        for i in range(count):
            Image.new("RGB", (8, 8), (40 * i, i, 200 - 30 * i)).save(f"p/{i}.png")
        assert gpuclust("run", *how, "--root", "r").returncode == 0
    done = gpuclust("report", "--root", "r", "--csv", "-")
    assert [line["n"] for line in columns(done)] == ["7"]
    assert "not shown: 1 row of older embeddings" in done.stderr
    both = gpuclust("report", "--root", "r", "--outdated")
    assert {"n", "outdated"} <= set(both.stdout.splitlines()[0].split())
    assert len(both.stdout.splitlines()) == 3


def test_rows_of_a_replaced_file_of_vectors_are_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        np.save("v.npy", np.random.default_rng(seed).normal(size=(30, 4)))
        how = ("--embeddings", "v.npy", "--clusterer", "kmeans", "--k", "2", "--root", "r")
        assert gpuclust("run", *how).returncode == 0
        for path in (tmp_path / "r").rglob("rows/**/*.json"):
            row = json.loads(path.read_text())
            row["finished"] = row["finished"].replace("2026", "2025")
            path.write_text(json.dumps(row))
    assert len(columns(gpuclust("report", "--root", "r", "--csv", "-"))) <= 2
    how = ("--embeddings", "v.npy", "--clusterer", "kmeans", "--k", "2", "--root", "r", "--force")
    assert gpuclust("run", *how).returncode == 0
    assert len(columns(gpuclust("report", "--root", "r", "--csv", "-"))) == 1


def test_rows_of_other_versions_are_told_apart_and_can_be_selected(tmp_path):
    old = {"host": {"versions": {"gpuclust": "0.0.1", "scikit-learn": "1.9.1"}}, "seed": 0}
    root = filled(tmp_path, {}, old)
    done = gpuclust("report", "--root", root)
    assert "version" in done.stdout.splitlines()[0]
    lines = columns(gpuclust("report", "--root", root, "--gpuclust", "0.0.1", "--csv", "-"))
    assert [line["version"] for line in lines] == ["0.0.1"]
    assert lines[0]["libraries"] == "scikit-learn 1.9.1"


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"n": 99}, "n"),
        ({"d": 63}, "d"),
        ({"backend": "gpu"}, "backend"),
        ({"resolved": {"embedding": "b" * 64}}, "embedding"),
        ({"finished": "2026-11-29T10:00:00+00:00"}, "finished"),
        ({}, "key"),
    ],
)
def test_lines_that_look_the_same_get_a_column_in_which_they_differ(tmp_path, changes, column):
    done = gpuclust("report", "--root", filled(tmp_path, {}, changes | {"key": "f" * 24}))
    assert column in done.stdout.splitlines()[0].split()


def test_a_damaged_row_is_named_and_the_others_are_shown(tmp_path):
    root = filled(tmp_path, {}, {"k": 10**20, "seed": 1})
    unit = Unit("digits", "all", "raw", "own", ())
    Store(root).row_path(unit, "odd").write_text(json.dumps(ROW | {"scores": None}))
    done = gpuclust("report", "--root", root)
    assert done.returncode == 0
    assert "odd.json is damaged (scores is null)" in done.stderr
    assert "1" + "0" * 20 in done.stdout
    assert len(done.stdout.splitlines()) == 3
    lines = columns(gpuclust("report", "--root", root, "--csv", "-"))
    assert {line["k"] for line in lines} == {"10", str(10**20)}


def test_two_outputs_to_one_place_and_a_folder_are_refused_by_their_options(tmp_path):
    root = filled(tmp_path / "r", {})
    both = gpuclust("report", "--root", root, "--csv", "-", "--markdown", "-")
    folder = gpuclust("report", "--root", root, "--csv", tmp_path)
    for done, said in ((both, "--csv and --markdown both"), (folder, "is a folder")):
        assert done.returncode == 2
        assert said in done.stderr
    assert "'--csv'" in folder.stderr
    assert "--root" not in folder.stderr
