"""Downloads of EuroSAT by a stand-in of torchvision, and missing images of drawn splits."""

import itertools
import re
from pathlib import Path

import pytest
from miniatures.layouts import TREES, save

from gpuclust import datasets
from gpuclust.datasets import downloads, verification
from gpuclust.datasets.readers.eurosat import CLASSES
from gpuclust.datasets.registry import entry_of
from gpuclust.errors import GpuclustError


def load(name, data_dir, split=None):
    return datasets.load(name, split=split, data_dir=data_dir)


class Downloaded:
    """Stand-in of torchvision's class: extracts `classes` of the archive, then fails or not."""

    classes = ()
    fails = False

    def __init__(self, root, download):
        assert download
        for name, i in itertools.product(self.classes, range(7)):
            save(i, Path(root) / "eurosat" / "2750" / name / f"{name}_{i}.jpg")
        if self.fails:
            raise RuntimeError("File not found or corrupted.")


@pytest.fixture
def torchvision_eurosat(monkeypatch):
    class Own(Downloaded):
        classes = CLASSES

    monkeypatch.setattr("torchvision.datasets.EuroSAT", Own)
    return Own


def test_a_downloaded_eurosat_is_found_where_it_was_put(torchvision_eurosat, tmp_path):
    folder, fetched = downloads.download("eurosat", tmp_path)
    assert (folder, fetched) == (tmp_path / entry_of("eurosat").folders[0], True)
    assert sorted(path.name for path in folder.iterdir()) == sorted(CLASSES)
    assert len(load("eurosat", tmp_path, "all")) == 70
    assert downloads.download("eurosat", tmp_path) == (folder, False)


@pytest.mark.parametrize("fails", [True, False])
def test_an_incomplete_download_of_eurosat_leaves_nothing(fails, torchvision_eurosat, tmp_path):
    torchvision_eurosat.classes, torchvision_eurosat.fails = CLASSES[:6], fails
    with pytest.raises(GpuclustError, match="eurosat was not downloaded to"):
        downloads.download("eurosat", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["eurosat", "breakhis"])
def test_a_missing_image_of_a_drawn_split_is_named_by_verify_and_no_other(name, tmp_path):
    TREES[name](tmp_path)
    files = load(name, tmp_path, "all").files
    lost = next(file for file in files if re.search(r"[_-](003|3)\.", file))
    (tmp_path / entry_of(name).folders[0] / lost).unlink()
    report = verification.verify(name, data_dir=tmp_path)
    assert report.check("images").files == ()
    assert report.check("images of all splits").files == (f"{lost} (by the numbers of the others)",)
