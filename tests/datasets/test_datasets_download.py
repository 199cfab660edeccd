"""Downloads into --data-dir: complete or not there at all, and a page to go to."""

from dataclasses import replace
from pathlib import Path

import pytest
from miniatures import TREES

from gpuclust.datasets import downloads
from gpuclust.datasets.table import DATASETS
from gpuclust.errors import GpuclustError, InputError

AIRCRAFT = "fgvc-aircraft-2013b"


def fetch(folder):
    """Take the place of torchvision: write the miniature of aircraft."""
    tree = folder.parent / "elsewhere"
    TREES["aircraft"](tree)
    for one in (tree / AIRCRAFT).iterdir():
        one.rename(folder / one.name)


def breaks_off(folder):
    (folder / "half.zip").write_bytes(b"half")
    raise OSError("connection reset")


def writes_nothing_readable(folder):
    (folder / "page.html").write_text("not found")


def is_interrupted(folder):
    (folder / "half.zip").write_bytes(b"half")
    raise KeyboardInterrupt


@pytest.fixture
def use(monkeypatch):
    """Make a function of this module the download of aircraft."""

    def put(function):
        target = f"{__name__}:{function.__name__}"
        monkeypatch.setitem(DATASETS, "aircraft", replace(DATASETS["aircraft"], download=target))

    return put


def content(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_complete_download_is_moved_to_its_folder_and_not_repeated(use, tmp_path):
    use(fetch)
    root = tmp_path / "new" / "data"
    assert downloads.download("aircraft", root) == (root / AIRCRAFT, True)
    assert [one.name for one in root.iterdir()] == [AIRCRAFT]
    use(breaks_off)  # is not called
    assert downloads.download("aircraft", root) == (root / AIRCRAFT, False)


@pytest.mark.parametrize(
    ("function", "reason"),
    [(breaks_off, "connection reset"), (writes_nothing_readable, "cannot be read")],
)
def test_a_failure_leaves_nothing_and_names_the_page(function, reason, use, tmp_path):
    use(function)
    with pytest.raises(GpuclustError, match=reason) as caught:
        downloads.download("aircraft", tmp_path / "new" / "data")
    assert caught.value.exit_code == 1
    assert DATASETS["aircraft"].url in str(caught.value)
    assert content(tmp_path) == []


def test_an_interrupted_download_leaves_nothing(use, tmp_path):
    use(is_interrupted)
    with pytest.raises(KeyboardInterrupt):
        downloads.download("aircraft", tmp_path)
    assert content(tmp_path) == []


def test_files_of_an_earlier_attempt_are_never_mixed_with_new_ones(use, tmp_path):
    use(fetch)
    (tmp_path / AIRCRAFT).mkdir()
    (tmp_path / AIRCRAFT / "half").write_text("")
    with pytest.raises(InputError, match="Move the folder away"):
        downloads.download("aircraft", tmp_path)
    assert content(tmp_path) == [AIRCRAFT, f"{AIRCRAFT}/half"]


def test_an_empty_folder_is_filled(use, tmp_path):
    use(fetch)
    (tmp_path / AIRCRAFT).mkdir()
    assert downloads.download("aircraft", tmp_path)[1]


@pytest.mark.parametrize("name", ["nabirds", "imagenet", "digits"])
def test_a_dataset_that_no_library_downloads_has_a_page(name, tmp_path):
    with pytest.raises(InputError, match="no library downloads") as caught:
        downloads.download(name, tmp_path)
    assert DATASETS[name].url in str(caught.value)


def test_a_place_that_cannot_be_made_is_named(use, tmp_path):
    use(fetch)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        downloads.download("aircraft", tmp_path / "file" / "data")


# Class of torchvision, and the folder below its root that it extracts to.
EXTRACTS = {
    "aircraft": ("FGVCAircraft", AIRCRAFT),
    "celeba": ("CelebA", "celeba"),
    "cifar10": ("CIFAR10", "."),
    "cifar100": ("CIFAR100", "."),
    "dtd": ("DTD", "dtd"),
    "eurosat": ("EuroSAT", "eurosat/2750"),
    "fashionmnist": ("FashionMNIST", "FashionMNIST/raw"),
    "flowers102": ("Flowers102", "flowers-102"),
    "imagenette": ("Imagenette", "imagenette2"),
    "inaturalist": ("INaturalist", "."),
    "mnist": ("MNIST", "MNIST/raw"),
    "places365": ("Places365", "."),
    "svhn": ("SVHN", "."),
}


@pytest.mark.parametrize("name", EXTRACTS)
def test_what_torchvision_extracts_is_found_by_the_reader(name, monkeypatch, tmp_path):
    """Write the miniature where torchvision extracts to; all else is the real code."""
    from torchvision import datasets as tv

    kind, below = EXTRACTS[name]
    known = getattr(tv, kind).__init__
    asked = []

    def init(self, root, *args, **options):
        if not options.get("download"):
            known(self, root, *args, **options)
            return
        if not asked:
            TREES[name](tmp_path / "written")
            place = Path(root) / below
            place.mkdir(parents=True, exist_ok=True)
            for one in (tmp_path / "written" / DATASETS[name].folders[0]).iterdir():
                one.rename(place / one.name)
        asked.append(options)

    monkeypatch.setattr(getattr(tv, kind), "__init__", init)
    folder = tmp_path / "data" / DATASETS[name].folders[0]
    assert downloads.download(name, tmp_path / "data") == (folder, True)
    assert downloads.download(name, tmp_path / "data") == (folder, False)
    assert len(asked) == (2 if name == "svhn" else 1)  # test and train


def test_every_download_of_torchvision_is_in_the_test_above():
    of_torchvision = {
        name
        for name, entry in DATASETS.items()
        if (entry.download or "").startswith("gpuclust.datasets.readers.downloads:")
    }
    assert of_torchvision == set(EXTRACTS)
    assert set(EXTRACTS) - {"aircraft"} == set(downloads.MEGABYTES)
