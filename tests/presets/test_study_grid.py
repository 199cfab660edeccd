"""The two commands of the study over miniature trees of all its datasets.

The trees have the true layout on the disk and about 60 real small pictures each.  ViT-B/16 takes a
second for eight of them on two cores, so most trees are embedded in part: UMAP to 50 dimensions
fails on such a part, and its cells are failed rows.
"""

import dataclasses
import json
from collections import Counter

import numpy as np
import pytest
from command_line import gpuclust
from miniatures import TREES

from gpuclust import datasets, presets
from gpuclust.store.store import Store

ENCODERS = ("random_resnet50", "random_vitb16", "efficientnet_lite0")
NAMES = [*presets.load("study").datasets, "imagenette", "imagewoof"]
WHOLE = {"imagenet", "celeba", "cifar10", "bioscan1m"}
PART = 16
# Reasons of cells that fail on few pictures and do not on a whole dataset.
FEW = (
    "samples and dimensions; got",  # pca(100), pca(200)
    "needs more samples than neighbors; got",
    "spectral finds at most n - 1 clusters; got",
    "k must be at most the number of samples",
)
load = datasets.load


@dataclasses.dataclass(frozen=True)
class Part:
    """Every n-th image of a dataset."""

    whole: object
    rows: np.ndarray

    def __getattr__(self, name):
        if name.startswith("__"):  # asked by copies and pickles
            raise AttributeError(name)
        return getattr(self.whole, name)

    @property
    def labels(self):
        return None if self.whole.labels is None else self.whole.labels[self.rows]

    @property
    def columns(self):
        return {name: values[self.rows] for name, values in self.whole.columns.items()}

    @property
    def fingerprint(self):
        return f"{len(self.rows)}-{self.whole.fingerprint}"

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.whole[int(self.rows[i])]

    def where(self, i):
        return self.whole.where(int(self.rows[i]))

    def path(self, i):
        return self.whole.path(int(self.rows[i]))


def load_part(name, **options):
    dataset = load(name, **options)
    if name in WHOLE:
        return dataset
    return Part(dataset, np.linspace(0, len(dataset) - 1, PART).astype(int))


def test_there_is_a_tree_for_every_dataset_of_the_study():
    assert [name for name in NAMES if name not in TREES] == []


@pytest.mark.long
def test_embed_and_grid_over_all_trees_end_with_every_cell_a_row(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "load", load_part)
    trees = {name: TREES[name](tmp_path / "data") for name in NAMES}
    given = [word for name in trees for word in ("--dataset", name)]
    given += [word for name in ENCODERS for word in ("--encoder", name)]
    given += ["--preset", "study", "--device", "cpu"]
    given += ["--root", tmp_path / "root", "--data-dir", tmp_path / "data"]

    # Workers would take longer to start than few small pictures take to decode.
    embedded = gpuclust("embed", *given, "--loaders", 0)
    assert embedded.returncode == 0, embedded.stderr[-3000:]
    assert f"{len(trees) * 3} of {len(trees) * 3} embedded" in embedded.stderr

    done = gpuclust("grid", *given)
    assert "embedding " not in done.stderr  # the first command embedded all
    rows = list(Store(tmp_path / "root").each_row(pytest.fail))
    assert len(rows) == len(trees) * len(ENCODERS) * 6
    for row in rows:
        check_size(row, trees[row["dataset"]])
    reasons = Counter(row["error"]["message"] for row in rows if row["status"] == "failed")
    assert [text for text in reasons if not any(part in text for part in FEW)] == []
    assert done.returncode == 1
    whole = [row for row in rows if row["dataset"] in WHOLE]
    failed = [row for row in whole if row["status"] == "failed"]
    # pca(200): three cells of random_resnet50; pca(100): one of random_vitb16.
    assert len(failed) == len(WHOLE) * 4
    assert all("pca(n_components=" in row["reducer"] for row in failed)

    counts = json.loads(gpuclust("grid-status", *given, "--json").stdout)
    assert (counts["cells"], counts["left"]) == (len(rows), 0)
    assert counts["failed"] == sum(reasons.values())
    assert "0 cells computed" in gpuclust("grid", *given).stderr


def check_size(row, tree):
    """Check images, classes and the number of clusters of a row against its tree."""
    whole = row["dataset"] in WHOLE
    assert row["n"] == (tree.splits[row["split"]] if whole else PART)
    assert row["n_classes"] <= tree.classes
    assert row["n_classes"] == tree.classes or not whole
    asks = row["resolved"]["clusterer"]["name"] in ("kmeans", "spectral", "agglomerative")
    assert row["k"] == (row["n_classes"] if asks else None)
