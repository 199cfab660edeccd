"""Photo -> cluster as a file, on the command line."""

import csv
import os

import numpy as np
import pandas as pd
import pytest
from command_line import gpuclust
from PIL import Image


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A working directory with photos of two kinds, and vectors with and without names."""
    folder = tmp_path_factory.mktemp("save_labels")
    for i in range(12):
        kind = folder / "photos" / "ab"[i % 2]
        kind.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 16), (i % 2) * 150 + i).save(kind / f"=photo {i}, {i}.png")
    X = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    np.save(folder / "bare.npy", X)
    np.savez(folder / "named.npz", X=X, paths=[f"@{i}" for i in range(12)])
    return folder


def run(workplace, *args, root="root"):
    done = gpuclust("run", *args, "--device", "cpu", "--root", root, cwd=workplace)
    assert done.returncode == 0, done.stderr
    return done


PHOTOS = ("--dataset", "photos", "--encoder", "raw", "--clusterer", "kmeans")


def test_each_photo_has_its_cluster_in_the_root_and_in_a_file(workplace):
    done = run(workplace, *PHOTOS, "--save-labels", "--save-labels-to", "mine.csv")
    (saved,) = (workplace / "root" / "labels").iterdir()
    assert saved.name in done.stderr
    assert "labels: mine.csv" in done.stderr
    assert saved.read_bytes() == (workplace / "mine.csv").read_bytes()
    with saved.open(newline="") as file:
        lines = list(csv.DictReader(file))
    photos = sorted((workplace / "photos").rglob("*.png"))
    assert sorted(line["path"] for line in lines) == sorted(map(str, photos))
    assert {(line["truth"], line["cluster"]) for line in lines} in (
        {("a", "0"), ("b", "1")},
        {("a", "1"), ("b", "0")},
    )


def test_a_folder_needs_no_prefix_and_that_is_said(workplace):
    done = run(workplace, *PHOTOS)
    assert f"photos is a folder of images: folder:{workplace}/photos" in done.stderr
    embedded = gpuclust("embed", "photos", "raw", "--root", "root", cwd=workplace)
    assert "photos is a folder of images" in embedded.stderr
    assert embedded.returncode == 0


def test_labels_asked_for_later_are_written_by_computing_again(workplace):
    run(workplace, *PHOTOS, "--seed", "1", root="later")
    again = run(workplace, *PHOTOS, "--seed", "1", "--save-labels", root="later")
    assert "already computed" not in again.stderr
    assert len(list((workplace / "later" / "labels").glob("*.csv"))) == 1
    third = run(workplace, *PHOTOS, "--seed", "1", "--save-labels-to", "t.parquet", root="later")
    assert "already computed" in third.stderr
    table = pd.read_parquet(workplace / "t.parquet")
    assert set(table["truth"]) == {"a", "b"}


def test_a_grid_writes_labels_of_rows_that_have_none(workplace):
    grid = workplace / "grid.toml"
    grid.write_text('dataset = "photos"\nencoder = "raw"\nclusterer = "kmeans"\nseed = [0, 1]\n')
    for args, files in (((), 0), (("--save-labels",), 2)):
        done = gpuclust("grid", grid, "--root", "grid", "--device", "cpu", *args, cwd=workplace)
        assert done.returncode == 0, done.stderr
        assert len(list((workplace / "grid").glob("labels/*.csv"))) == files
    done = gpuclust("grid", grid, "--root", "grid", "--save-labels", cwd=workplace)
    assert "2 had a row before" in done.stderr


@pytest.mark.parametrize(
    ("file", "paths"),
    [("bare.npy", list(range(12))), ("named.npz", [f"@{i}" for i in range(12)])],
)
def test_vectors_have_their_names_or_their_numbers(workplace, file, paths):
    run(
        workplace,
        *("--embeddings", file, "--clusterer", "hdbscan(2)", "--save-labels-to", "v.csv"),
    )
    table = pd.read_csv(workplace / "v.csv")
    assert table["path"].tolist() == paths
    assert table["truth"].isna().all()
    assert (table["strength"][table["cluster"] == -1] == 0).all()


def test_another_suffix_is_refused_before_anything_runs(workplace):
    where = ("--root", "nothing", "--save-labels-to", "x.txt")
    done = gpuclust("run", *PHOTOS, *where, cwd=workplace)
    assert done.returncode == 2
    assert "must end in .csv or .parquet" in " ".join(done.stderr.split())
    assert not (workplace / "nothing").exists()


def test_a_root_with_bytes_outside_utf8_is_written_and_read_again(tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "1.png")
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "2.png")
    root = tmp_path / os.fsdecode(b"r\xff")
    line = ("run", "--dataset", tmp_path, "--encoder", "raw", "--clusterer", "kmeans", "--k", 2)
    for file in ("a.csv", "a.csv", "b.parquet"):
        done = gpuclust(*line, "--save-labels", "--save-labels-to", root / file, "--root", root)
        assert done.returncode == 0, done.stderr
        assert (root / file).stat().st_size
