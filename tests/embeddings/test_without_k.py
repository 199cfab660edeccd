"""Cells that need a k are refused before their images are encoded."""

import pytest
from PIL import Image

import gpuclust
from gpuclust.errors import GpuclustNote, InputError


@pytest.fixture
def flat(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(6):
        Image.new("RGB", (8, 8), (i * 40, 0, 0)).save(folder / f"{i}.png")
    return folder


def test_kmeans_without_k_on_unlabeled_photos_encodes_nothing(flat, tmp_path):
    root = tmp_path / "root"
    with pytest.raises(InputError, match="no labels to count"):
        gpuclust.run(flat, "raw", clusterer="kmeans", root=root)
    assert not list(root.glob("embeddings/**/*.npy"))


def test_photos_are_embedded_if_one_cell_needs_no_k(flat, tmp_path):
    root = tmp_path / "root"
    lists = {"dataset": str(flat), "encoder": "raw", "clusterer": ["kmeans", "affinity"]}
    with pytest.warns(GpuclustNote, match="1 of 2 cells failed"):
        table = gpuclust.run_grid(lists, root=root)
    assert sorted(table["status"]) == ["failed", "ok"]
