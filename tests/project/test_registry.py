"""One entry is enough: a method, an encoder and a dataset added at run time work everywhere."""

import json

import numpy as np
import pytest
from command_line import gpuclust

from gpuclust.bench import growth, roofline
from gpuclust.datasets.dataset import ArrayDataset
from gpuclust.datasets.entry import DatasetEntry
from gpuclust.datasets.table import DATASETS
from gpuclust.encoders.entry import EncoderEntry
from gpuclust.encoders.sources import pixels
from gpuclust.encoders.table import ENCODERS
from gpuclust.methods.table import CLUSTERERS, Implementation, Method
from gpuclust.registry import describe, find


class Halves:
    """Clusterer with two clusters: the first and the second half of the samples."""

    def fit_predict(self, X):
        return np.arange(len(X)) * 2 // len(X)


def load_stripes(name, split, data_dir):
    """Load 40 images of 4 classes with different brightness."""
    labels = np.repeat(np.arange(4), 10)
    images = np.full((40, 8, 8), 60, np.uint8) * labels[:, None, None].astype(np.uint8)
    images[:, 0, 0] += np.arange(40, dtype=np.uint8)
    return ArrayDataset(name, split, images, labels, tuple("abcd"))


def build_gray(name, *, image_size):
    """Flatten the pixels, as the encoder ``raw`` does."""
    return pixels.build(name, image_size=image_size)


HERE = __name__


@pytest.fixture
def added(monkeypatch):
    """Add one entry to each registry, with required fields only."""
    method = Method(summary="two halves", cpu=(Implementation(f"{HERE}:Halves"),))
    encoder = EncoderEntry(summary="gray pixels", target=f"{HERE}:build_gray")
    dataset = DatasetEntry(summary="stripes", target=f"{HERE}:load_stripes")
    monkeypatch.setitem(CLUSTERERS, "halves", method)
    monkeypatch.setitem(ENCODERS, "gray", encoder)
    monkeypatch.setitem(DATASETS, "stripes", dataset)


@pytest.fixture
def grid_file(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text(
        'dataset = "stripes"\nencoder = "gray"\nclusterer = ["halves", "kmeans"]\n'
        'metrics = ["ami"]\n'
    )
    return path


def test_a_grid_runs_with_added_entries_and_its_status_follows(added, grid_file, tmp_path):
    root = tmp_path / "results"
    before = gpuclust("grid-status", grid_file, "--root", root, "--device", "cpu", "--json")
    assert json.loads(before.stdout)["seconds_left"] is None
    done = gpuclust("grid", grid_file, "--root", root, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(path.read_bytes()) for path in root.rglob("rows/**/*.json")]
    assert {row["ran"]["clusterer"] for row in rows} == {f"{HERE}:Halves", "sklearn.cluster:KMeans"}
    assert all(row["scores"]["ami"] > 0.5 for row in rows)
    after = gpuclust("grid-status", grid_file, "--root", root, "--device", "cpu", "--json")
    assert json.loads(after.stdout)["done"] == 2


def test_a_dry_run_names_the_method_of_unknown_cost(added, grid_file, tmp_path):
    done = gpuclust("grid", grid_file, "--root", tmp_path, "--device", "cpu", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "unknown: the cost of halves" in done.stdout


def test_a_missing_method_cost_is_named_in_the_status(added, grid_file, tmp_path):
    done = gpuclust("grid-status", grid_file, "--root", tmp_path, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "unknown: the cost of halves" in done.stderr


def test_added_entries_are_listed(added):
    done = gpuclust("list")
    assert done.returncode == 0, done.stderr
    for text in ("two halves", "gray pixels", "stripes"):
        assert text in done.stdout
    listed = json.loads(gpuclust("list", "--json").stdout)
    for kind, name in (("clusterers", "halves"), ("encoders", "gray"), ("datasets", "stripes")):
        assert name in {record["name"] for record in listed[kind]}


def test_doctor_runs_with_added_entries(added, tmp_path):
    done = gpuclust("doctor", "--no-fits", "--root", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "FAILED" not in done.stdout


def test_benchmarks_assume_quadratic_growth_and_no_roofline_for_added_methods(added):
    assert "halves" in growth.subjects()
    assert growth.promise("halves").power == 2
    rates = roofline.Machine(1e9, 1e9)
    assert roofline.share("halves", 1.0, rates, n=10, d=10, k=2) is None


def test_find_takes_exact_keys_and_keys_with_a_rest():
    assert find("digits", DATASETS) == ("digits", "")
    assert find("hfds/org/name", DATASETS) == ("hfds", "org/name")
    assert find("folder:a:b", DATASETS) == ("folder", "a:b")
    assert find("digits/x", DATASETS) is None


def test_descriptions_hide_the_targets():
    described = describe("digits", DATASETS["digits"])
    assert described["licence"] == "CC BY 4.0"
    assert not {"target", "check", "rest"} & set(described)
