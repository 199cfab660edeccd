"""The two commands of the study over miniature trees of all its datasets.

The trees have the true layout on the disk and about 60 real small pictures each.
"""

import json
from collections import Counter

import pytest
from command_line import gpuclust
from miniatures import TREES

from gpuclust import presets
from gpuclust.store.store import Store

ENCODERS = ("random_resnet50", "random_vitb16", "efficientnet_lite0")
NAMES = [*presets.load("study").datasets, "imagenette", "imagewoof"]
# Reason of the cells that fail on 60 pictures and do not on a whole dataset: pca(100), pca(200).
FEW = "samples and dimensions; got"


def test_there_is_a_tree_for_every_dataset_of_the_study():
    assert [name for name in NAMES if name not in TREES] == []


@pytest.mark.long
def test_embed_and_grid_over_all_trees_end_with_every_cell_a_row(tmp_path):
    trees = {name: TREES[name](tmp_path / "data") for name in NAMES}
    given = [word for name in trees for word in ("--dataset", name)]
    given += [word for name in ENCODERS for word in ("--encoder", name)]
    given += ["--preset", "study", "--device", "cpu"]
    given += ["--root", tmp_path / "root", "--data-dir", tmp_path / "data"]

    # Workers would take longer to start than 60 small pictures take to decode.
    embedded = gpuclust("embed", *given, "--loaders", 0)
    assert embedded.returncode == 0, embedded.stderr[-3000:]
    assert f"{len(trees) * 3} of {len(trees) * 3} embedded" in embedded.stderr

    done = gpuclust("grid", *given)
    assert "embedding " not in done.stderr  # the first command embedded all
    rows = list(Store(tmp_path / "root").each_row(pytest.fail))
    assert len(rows) == len(trees) * len(ENCODERS) * 6
    _check_sizes(rows, trees)
    reasons = Counter(row["error"]["message"] for row in rows if row["status"] == "failed")
    assert [text for text in reasons if FEW not in text] == []
    assert done.returncode == (1 if reasons else 0)

    counts = json.loads(gpuclust("grid-status", *given, "--json").stdout)
    assert (counts["cells"], counts["left"], counts["failed"]) == (len(rows), 0, reasons.total())
    again = gpuclust("grid", *given)
    assert "0 cells computed" in again.stderr


def _check_sizes(rows, trees):
    """Check images, classes and the number of clusters against the trees."""
    for row in rows:
        tree = trees[row["dataset"]]
        assert row["n"] == tree.splits[row["split"]], row["dataset"]
        assert row["n_classes"] == tree.classes, row["dataset"]
        asks = row["clusterer"].startswith(("kmeans", "spectral", "agglomerative"))
        asks = asks and not row["clusterer"].startswith("agglomerative_threshold")
        assert row["k"] == (tree.classes if asks else None)
