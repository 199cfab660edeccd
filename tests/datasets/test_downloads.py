"""Downloads by torchvision: complete in the folder, or nothing there."""

import functools
import http.server
import sys
import tarfile
import threading
import types

import pytest
from miniatures import TREES
from miniatures.files import md5
from torchvision import datasets as tv

from gpuclust import datasets
from gpuclust.datasets.readers import downloads
from gpuclust.datasets.table import DATASETS
from gpuclust.errors import InputError
from gpuclust.registry import load_target

DOWNLOADED = {name: entry.download for name, entry in DATASETS.items() if entry.download}


def packed(folder, content, archive):
    """Pack a folder of a tree as the publisher did, and return the archive."""
    with tarfile.open(folder / archive, "w:gz") as tar:
        tar.add(content, arcname=content.name)
    return folder / archive


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def address(tmp_path):
    """Serve the folder `published` on this machine, and return its address."""
    (tmp_path / "published").mkdir()
    handler = functools.partial(Quiet, directory=tmp_path / "published")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def cifar(tmp_path, address, monkeypatch):
    """Publish a miniature of CIFAR-10."""
    TREES["cifar10"](tmp_path / "published")
    content = tmp_path / "published/cifar10/cifar-10-batches-py"
    archive = packed(tmp_path / "published", content, "cifar-10-python.tar.gz")
    monkeypatch.setattr(tv.CIFAR10, "url", f"{address}/{archive.name}")
    monkeypatch.setattr(tv.CIFAR10, "tgz_md5", md5(archive))
    return archive


def visible(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_downloaded_dataset_is_in_its_folder_and_loads(cifar, tmp_path):
    root = tmp_path / "data"
    downloads.cifar10(root / "cifar10")
    assert len(datasets.load("cifar10", data_dir=root)) == 60
    assert visible(root) == ["cifar10"]


def test_what_is_there_already_is_kept(cifar, tmp_path):
    folder = tmp_path / "data/cifar10"
    downloads.cifar10(folder)
    (folder / "notes.txt").write_text("mine")
    before = (folder / "cifar-10-batches-py/test_batch").stat().st_mtime_ns
    downloads.cifar10(folder)
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "cifar-10-batches-py/test_batch").stat().st_mtime_ns == before


def test_an_archive_with_another_sum_is_refused_and_removed(cifar, tmp_path):
    cifar.write_bytes(cifar.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"cifar10 was not downloaded to .*datasets where cifar10"):
        downloads.cifar10(tmp_path / "data/cifar10")
    assert not (tmp_path / "data").exists()


def test_a_missing_address_is_refused_and_leaves_nothing(cifar, tmp_path):
    cifar.unlink()
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match="was not downloaded"):
        downloads.cifar10(tmp_path / "data/cifar10")
    assert visible(tmp_path / "data") == []


def test_a_truncated_archive_without_a_published_sum_leaves_nothing(tmp_path, address, monkeypatch):
    published = tmp_path / "published"
    TREES["aircraft"](published)
    archive = packed(published, published / "fgvc-aircraft-2013b", "fgvc-aircraft-2013b.tar.gz")
    archive.write_bytes(archive.read_bytes()[:-5000])
    monkeypatch.setattr(tv.FGVCAircraft, "_URL", f"{address}/{archive.name}")
    with pytest.raises(InputError, match="aircraft was not downloaded"):
        downloads.aircraft(tmp_path / "data/fgvc-aircraft-2013b")
    assert not (tmp_path / "data").exists()


def test_celeba_names_the_package_it_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(InputError, match="pip install gdown"):
        downloads.celeba(tmp_path / "celeba")
    assert visible(tmp_path) == []


# Class of torchvision, and the folder below its root that it fills.
FETCHED = {
    "cifar10": ("CIFAR10", "."),
    "cifar100": ("CIFAR100", "."),
    "mnist": ("MNIST", "MNIST/raw"),
    "fashionmnist": ("FashionMNIST", "FashionMNIST/raw"),
    "svhn": ("SVHN", "."),
    "places365": ("Places365", "."),
    "aircraft": ("FGVCAircraft", "fgvc-aircraft-2013b"),
    "flowers102": ("Flowers102", "flowers-102"),
    "dtd": ("DTD", "dtd"),
    "celeba": ("CelebA", "celeba"),
    "inaturalist": ("INaturalist", "."),
    "imagenette": ("Imagenette", "imagenette2"),
    "eurosat": ("EuroSAT", "eurosat/2750"),
}


@pytest.mark.parametrize("name", FETCHED)
def test_each_download_ends_where_the_reader_looks_first(name, tmp_path, monkeypatch):
    kind, filled = FETCHED[name]
    true = TREES[name](tmp_path / "published")
    first = datasets.entry_of(name).folders[0]

    def as_torchvision(place, *_, download, **__):
        assert download
        (place / filled).mkdir(parents=True, exist_ok=True)
        for path in (tmp_path / "published" / first).iterdir():
            if not (place / filled / path.name).exists():
                (place / filled / path.name).symlink_to(path)

    with monkeypatch.context() as patched:
        patched.setattr(tv, kind, as_torchvision)
        load_target(DOWNLOADED[name])(tmp_path / "data" / first)
    split, n = next(iter(true.splits.items()))
    assert len(datasets.load(name, split=split, data_dir=tmp_path / "data")) == n
    assert (tmp_path / "data" / first).is_dir()


def test_every_download_is_tested():
    from_here = {name for name, target in DOWNLOADED.items() if "readers.downloads:" in target}
    assert from_here == set(FETCHED)


def test_a_failure_of_google_drive_is_refused(tmp_path, monkeypatch):
    class FileURLRetrievalError(Exception):
        pass

    def refuse(*_, **__):
        raise FileURLRetrievalError("too many users have viewed the file")

    exceptions = types.SimpleNamespace(FileURLRetrievalError=FileURLRetrievalError)
    gdown = types.SimpleNamespace(download=refuse, exceptions=exceptions)
    monkeypatch.setitem(sys.modules, "gdown", gdown)
    with pytest.raises(InputError, match="too many users"):
        downloads.celeba(tmp_path / "celeba")
    assert visible(tmp_path) == []
