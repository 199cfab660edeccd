"""The two commands of the study over miniature trees of all its datasets.

The trees have the true layout on the disk and about 60 real small pictures each.  ViT-B/16 takes a
second for eight of them on two cores, so with it most trees are embedded in part: UMAP to 50
dimensions fails on such a part, and its cells are failed rows.
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

# Encoder -> cells of a whole tree that fail, by pca(100) and pca(200) on 60 pictures.
ENCODERS = {"random_resnet50": 3, "random_vitb16": 1, "efficientnet_lite0": 0}
NAMES = [*presets.load("study").datasets, "imagenette", "imagewoof"]
FOUR = ["imagenet", "celeba", "cifar10", "bioscan1m"]
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


def test_there_is_a_tree_for_every_dataset_of_the_study():
    assert [name for name in NAMES if name not in TREES] == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("encoders", "whole"), [(list(ENCODERS), FOUR), (["efficientnet_lite0"], NAMES)]
)
def test_embed_and_grid_over_all_trees_end_with_every_cell_a_row(
    encoders, whole, tmp_path, monkeypatch
):
    def load_part(name, **options):
        dataset = load(name, **options)
        some = np.linspace(0, len(dataset) - 1, PART).astype(int)
        return dataset if name in whole else Part(dataset, some)

    monkeypatch.setattr(datasets, "load", load_part)
    trees = {name: TREES[name](tmp_path / "data") for name in NAMES}
    given = [word for name in trees for word in ("--dataset", name)]
    given += [word for name in encoders for word in ("--encoder", name)]
    given += ["--preset", "study", "--device", "cpu"]
    given += ["--root", tmp_path / "root", "--data-dir", tmp_path / "data"]

    # Workers would take longer to start than few small pictures take to decode.
    embedded = gpuclust("embed", *given, "--loaders", 0)
    assert embedded.returncode == 0, embedded.stderr[-3000:]
    count = len(trees) * len(encoders)
    assert f"{count} of {count} embedded" in embedded.stderr

    done = gpuclust("grid", *given)
    assert "embedding " not in done.stderr  # the first command embedded all
    rows = list(Store(tmp_path / "root").each_row(pytest.fail))
    assert len(rows) == count * 6
    for row in rows:
        check_size(row, trees[row["dataset"]], whole=row["dataset"] in whole)
    reasons = Counter(row["error"]["message"] for row in rows if row["status"] == "failed")
    assert [text for text in reasons if not any(part in text for part in FEW)] == []
    assert done.returncode == (1 if reasons else 0)
    failed = [row for row in rows if row["dataset"] in whole and row["status"] == "failed"]
    assert len(failed) == len(whole) * sum(ENCODERS[name] for name in encoders)
    assert all("pca(n_components=" in row["reducer"] for row in failed)

    counts = json.loads(gpuclust("grid-status", *given, "--json").stdout)
    assert (counts["cells"], counts["left"]) == (len(rows), 0)
    assert counts["failed"] == sum(reasons.values())
    assert "0 cells computed" in gpuclust("grid", *given).stderr


def check_size(row, tree, *, whole):
    """Check images, classes and the number of clusters of a row against its tree."""
    assert row["n"] == (tree.splits[row["split"]] if whole else PART)
    assert row["n_classes"] <= tree.classes
    assert row["n_classes"] == tree.classes or not whole
    asks = row["resolved"]["clusterer"]["name"] in ("kmeans", "spectral", "agglomerative")
    assert row["k"] == (row["n_classes"] if asks else None)
