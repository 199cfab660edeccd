"""BIOSCAN is downloaded by the package bioscan-dataset, here a stand-in with miniatures."""

import sys
import types
from pathlib import Path

import pytest
from miniatures import bioscan as miniature

from gpuclust.datasets import downloads
from gpuclust.errors import GpuclustError


class Package:
    """Constructor of both classes of the package: downloads, then reads the metadata."""

    def __init__(
        self, root, split="train", partitioning_version=None, *, modality=("image", "dna"), download
    ):
        self.root = Path(root)
        assert (modality, download) == ("image", True)
        self.download(split, partitioning_version)
        self._load_metadata()

    def _load_metadata(self):
        raise MemoryError("10 GB of DNA barcodes")


class BIOSCAN1M(Package):
    base_folder = "bioscan1m"

    def download(self, split, partitioning_version):
        assert (split, partitioning_version) == ("test", "clibd")
        miniature.bioscan1m(self.root / "made")
        made, folder = self.root / "made/BIOSCAN-1M", self.root / self.base_folder
        (folder / "CLIBD_partitioning").mkdir(parents=True, exist_ok=True)
        for path in made.glob("*.txt"):
            path.rename(folder / "CLIBD_partitioning" / path.name)
        next(made.glob("*.tsv")).rename(folder / "BIOSCAN_Insect_Dataset_metadata.tsv")
        (made / "bioscan/images").rename(folder / "images")


class BIOSCAN5M(Package):
    base_folder = "bioscan5m"

    def download(self, split, partitioning_version):
        assert (split, partitioning_version) == ("test+test_unseen", None)
        miniature.bioscan5m(self.root)


@pytest.mark.parametrize(("name", "folder"), [("bioscan1m", "BIOSCAN-1M"), ("bioscan5m",) * 2])
def test_the_folder_of_the_package_becomes_the_folder_of_the_dataset(
    name, folder, tmp_path, monkeypatch
):
    package = types.SimpleNamespace(BIOSCAN1M=BIOSCAN1M, BIOSCAN5M=BIOSCAN5M)
    monkeypatch.setitem(sys.modules, "bioscan_dataset", package)
    assert downloads.download(name, tmp_path) == (tmp_path / folder, True)
    assert [path.name for path in tmp_path.iterdir()] == [folder]
    assert downloads.download(name, tmp_path) == (tmp_path / folder, False)


@pytest.mark.parametrize("name", ["bioscan1m", "bioscan5m"])
def test_a_download_without_the_package_says_what_to_install(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bioscan_dataset", None)
    with pytest.raises(GpuclustError, match=r'Run pip install "gpuclust\[bioscan\]"'):
        downloads.download(name, tmp_path)
    assert list(tmp_path.iterdir()) == []
