"""Verification of datasets: complete trees pass; missing and extra files are named."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from miniatures import TREES
from PIL import Image

from gpuclust import datasets
from gpuclust.datasets import files_on_disk, guide
from gpuclust.datasets.readers import fashionmnist
from gpuclust.datasets.table import DATASETS
from gpuclust.datasets.verification import verify, verify_all
from gpuclust.errors import InputError

# Their label files list every image, so a missing one has a name.
LISTED = ("aircraft", "bioscan1m", "bioscan5m", "celeba", "dtd", "flowers102", "nabirds")
ARRAYS = ("cifar10", "cifar100", "fashionmnist", "lsun", "mnist", "svhn")


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """The folder of all miniature trees, and their true counts."""
    data_dir = tmp_path_factory.mktemp("datasets")
    return data_dir, {name: write(data_dir) for name, write in TREES.items()}


@pytest.fixture(autouse=True)
def no_package_of_debian(monkeypatch, tmp_path):
    monkeypatch.setattr(fashionmnist, "DEBIAN", tmp_path / "nowhere")


def imbalance_of(name, data_dir):
    sizes = np.unique(datasets.load(name, data_dir=data_dir).labels, return_counts=True)[1]
    return round(float(sizes.max() / sizes.min()), 2)


@pytest.fixture
def expect(monkeypatch):
    """Replace the numbers of an entry by the numbers of its miniature."""

    def put(name, tree, data_dir):
        entry = DATASETS[name]
        monkeypatch.setitem(
            DATASETS,
            name,
            replace(
                entry,
                splits={split: tree.splits.get(split) for split in entry.splits},
                classes=tree.classes,
                imbalance=imbalance_of(name, data_dir),
            ),
        )

    return put


@pytest.fixture
def fresh(tmp_path, expect):
    """Write the tree of one dataset, and expect its numbers."""

    def write(name):
        expect(name, TREES[name](tmp_path), tmp_path)
        return tmp_path

    return write


def failed(report):
    return {check.name: check for check in report.checks if check.ok is False}


def named(report):
    """Return all texts of the failed checks."""
    parts = [[check.found, *check.files] for check in failed(report).values()]
    return "\n".join(text for part in parts for text in part)


@pytest.mark.parametrize("name", TREES)
def test_a_complete_tree_passes(name, trees, expect):
    data_dir, counts = trees
    expect(name, counts[name], data_dir)
    done = []
    report = verify(name, data_dir=data_dir, images=True, progress=lambda *n: done.append(n))
    assert failed(report) == {}
    assert report.ok
    n = next(iter(counts[name].splits.values()))
    found = {check.name: (check.expected, check.found) for check in report.checks}
    assert found["images"] == (str(n), str(n))
    assert found["classes"] == (str(counts[name].classes), str(counts[name].classes))
    assert found["imbalance"][0] == found["imbalance"][1]
    kind = "decoded images" if name in ARRAYS else "headers of images"
    assert found[kind] == (f"{n} good", f"{n} good")
    assert ("files" in found) == (name not in ARRAYS)
    assert done == [(0, n), (n, n)]
    assert report.folder == str(data_dir / DATASETS[name].folders[0])


@pytest.mark.parametrize("name", [name for name in TREES if name not in ARRAYS])
def test_a_deleted_image_is_seen_and_named_where_a_list_has_its_name(name, fresh):
    data_dir = fresh(name)
    data = datasets.load(name, data_dir=data_dir)
    gone = data.path(len(data) // 2)
    gone.unlink()
    report = verify(name, data_dir=data_dir)
    assert not report.ok
    if name in LISTED:
        assert gone.name in named(report)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cifar10", "cifar-10-batches-py/test_batch"),
        ("cifar100", "cifar-100-python/test"),
        ("fashionmnist", "t10k-images-idx3-ubyte"),
        ("mnist", "t10k-labels-idx1-ubyte"),
        ("svhn", "test_32x32.mat"),
        ("lsun", "tower_val_lmdb/data.mdb"),
        ("aircraft", "data/images_variant_test.txt"),
        ("bioscan1m", "test_seen.txt"),
        ("celeba", "identity_CelebA.txt"),
        ("dtd", "dtd/labels/test1.txt"),
        ("flowers102", "setid.mat"),
        ("nabirds", "image_class_labels.txt"),
        ("places365", "places365_val.txt"),
    ],
)
@pytest.mark.parametrize("cut", [True, False], ids=["cut", "deleted"])
def test_a_file_of_labels_or_of_images_that_is_cut_or_missing_is_named(name, file, cut, fresh):
    data_dir = fresh(name)
    path = find(data_dir, file)
    if cut:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.unlink()
    report = verify(name, data_dir=data_dir)
    assert not report.ok
    assert Path(file).name in named(report) or lists_images(report, name), named(report)


def find(data_dir, file):
    (path,) = [one for one in data_dir.rglob(Path(file).name) if str(one).endswith(file)]
    return path


def lists_images(report, name):
    """Return whether a list was cut at a line: the images it lacks are then named."""
    return name in ("dtd", "bioscan1m") and "images" in failed(report)


def test_a_missing_number_is_named_by_the_numbers_of_the_others(fresh):
    data_dir = fresh("eurosat")
    (data_dir / "eurosat/EuroSAT_RGB/Forest/Forest_7.jpg").unlink()
    check = failed(verify("eurosat", data_dir=data_dir))["images of all splits"]
    assert (check.expected, check.found) == ("400", "399")
    assert check.files == ("Forest/Forest_7.jpg (by the numbers of the others)",)


def test_a_class_with_fewer_images_is_named_when_names_have_no_numbers(fresh):
    data_dir = fresh("imagenetv2")
    root = data_dir / DATASETS["imagenetv2"].folders[0]
    for k, path in enumerate(sorted(root.rglob("*.jpeg"))):
        path.rename(path.with_name(f"{hashlib.sha1(bytes([k])).hexdigest()[:-1]}x.jpeg"))
    sorted((root / "10").iterdir())[0].unlink()
    check = failed(verify("imagenetv2", data_dir=data_dir))["images"]
    assert check.files == ("10: 11 images, 12 in most classes",)


@pytest.mark.parametrize("name", ["imagenet", "imagenet-sketch", "stanfordcars"])
def test_an_extra_class_is_named(name, fresh):
    data_dir = fresh(name)
    data = datasets.load(name, data_dir=data_dir)
    known = data.path(0).parent
    extra = known.with_name(known.name[:-4] + "9998")
    extra.mkdir()
    shutil.copy(data.path(0), extra / "one.jpg")
    report = verify(name, data_dir=data_dir)
    assert {"images", "classes"} <= set(failed(report)) or "layout" in failed(report)
    assert extra.name in named(report)


@pytest.mark.parametrize("name", ["eurosat", "in9onlyfg", "nabirds", "dtd"])
def test_a_folder_beside_the_classes_is_named(name, fresh):
    data_dir = fresh(name)
    data = datasets.load(name, data_dir=data_dir)
    extra = data.path(0).parent.with_name("scraps")
    extra.mkdir()
    shutil.copy(data.path(0), extra / "one.jpg")
    check = failed(verify(name, data_dir=data_dir))["folders without a listed image"]
    assert check.files == ("scraps",)


@pytest.mark.parametrize("name", ["aircraft", "celeba", "nabirds", "flowers102"])
def test_an_image_in_no_split_is_named_and_images_of_other_splits_are_not(name, fresh):
    data_dir = fresh(name)
    data = datasets.load(name, data_dir=data_dir)
    shutil.copy(data.path(0), data.path(0).with_name("scrap.jpg"))
    check = failed(verify(name, data_dir=data_dir))["images in no split"]
    assert [Path(file).name for file in check.files] == ["scrap.jpg"]


def test_images_may_belong_to_a_split_that_cannot_be_read(fresh):
    data_dir = fresh("aircraft")
    for split in ("train", "trainval"):
        find(data_dir, f"images_variant_{split}.txt").unlink()
    report = verify("aircraft", data_dir=data_dir)
    check = report.check("images in no split")
    assert report.ok
    assert check.ok is None
    assert "perhaps of train, trainval: cannot be read here" in check.found


def test_the_three_published_files_of_utkface_without_a_race_are_no_fault(fresh):
    data_dir = fresh("utkface")
    (data_dir / "UTKFace/61_1_20170109142408075.jpg.chip.jpg").unlink()  # some copies lack them
    assert verify("utkface", data_dir=data_dir).ok


def test_other_files_are_mentioned_and_system_files_are_not(fresh):
    data_dir = fresh("imagenet-r")
    folder = data_dir / "imagenet-r/n01440764"
    (folder / "README.txt").write_text("")
    (folder / "Thumbs.db").write_text("")
    report = verify("imagenet-r", data_dir=data_dir)
    assert report.ok
    assert report.check("files that are no images").files == ("n01440764/README.txt",)


def test_a_copy_beside_its_original_is_named(fresh):
    data_dir = fresh("stanfordcars")
    first = datasets.load("stanfordcars", data_dir=data_dir).path(0)
    shutil.copy(first, first.with_name(f"{first.stem} (1).jpg"))
    check = failed(verify("stanfordcars", data_dir=data_dir))["copies by name"]
    below = f"test/{first.parent.name}/{first.stem}"
    assert check.files == (f"{below} (1).jpg = {below}.jpg",)


def test_an_image_in_two_classes_is_named(fresh):
    data_dir = fresh("imagenette")
    data = datasets.load("imagenette", data_dir=data_dir)
    first, last = data.path(0), data.path(len(data) - 1)
    shutil.copy(first, last.with_name(first.name))
    (file,) = failed(verify("imagenette", data_dir=data_dir))["copies by name"].files
    below = f"val/{{}}/{first.name}".format
    assert file == f"{below(last.parent.name)} = {below(first.parent.name)}"


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", None])
def test_headers_show_damaged_images(content, fresh):
    data_dir = fresh("imagenette")
    path = datasets.load("imagenette", data_dir=data_dir).path(5)
    path.write_bytes(path.read_bytes()[:300] if content is None else content)
    assert verify("imagenette", data_dir=data_dir).ok
    check = failed(verify("imagenette", data_dir=data_dir, images=True))["headers of images"]
    assert check.found == "59 good"
    assert check.files[0].startswith(f"{path}: ")


def test_a_link_to_nowhere_is_a_missing_image(fresh):
    data_dir = fresh("celeba")
    path = datasets.load("celeba", data_dir=data_dir).path(0)
    path.unlink()
    path.symlink_to(data_dir / "gone.jpg")
    assert failed(verify("celeba", data_dir=data_dir))["files"].files == (path.name,)


def test_half_of_an_archive_names_the_classes_that_are_missing(fresh):
    data_dir = fresh("eurosat")
    shutil.rmtree(data_dir / "eurosat/EuroSAT_RGB/River")
    check = failed(verify("eurosat", data_dir=data_dir))["layout"]
    assert "River" in check.found


def test_a_wrong_folder_is_answered_by_the_folders_that_were_tried(tmp_path):
    report = verify("nabirds", data_dir=tmp_path)
    (check,) = report.checks
    assert (check.name, check.ok, report.folder) == ("layout", False, None)
    assert f"{tmp_path}/nabirds" in check.found
    assert "gpuclust datasets where nabirds" in check.found


def test_names_and_splits_are_checked_first(tmp_path):
    with pytest.raises(InputError, match="has no split"):
        verify("nabirds", split="best", data_dir=tmp_path)
    with pytest.raises(InputError, match="inspect"):
        verify(f"vectors:{tmp_path}/x.npy")


def test_a_library_that_is_not_installed_fails_the_layout_only(fresh, monkeypatch):
    def check(name, split=None):
        raise InputError("pip install lmdb")

    data_dir = fresh("lsun")
    monkeypatch.setattr("gpuclust.datasets.readers.lsun.check", check)
    (report,) = verify_all(data_dir)[0]
    assert failed(report)["layout"].found == "pip install lmdb"


def test_bytes_outside_utf8_in_a_name_are_escaped(fresh):
    data_dir = fresh("eurosat")
    path = data_dir / "eurosat/EuroSAT_RGB/Forest/Forest_1.jpg"
    path.rename(path.with_name(os.fsdecode(b"Forest_\xff.txt")))
    report = verify("eurosat", data_dir=data_dir)
    json.dumps(report.as_json())
    assert report.check("files that are no images").files == ("Forest/Forest_\\xff.txt",)


def test_a_folder_that_cannot_be_read_fails(fresh, monkeypatch):
    data_dir = fresh("stanfordcars")

    def scandir(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    data = datasets.load("stanfordcars", data_dir=data_dir)
    monkeypatch.setattr("gpuclust.datasets.registry.load", lambda *_, **__: data)
    monkeypatch.setattr(files_on_disk.os, "scandir", scandir)
    assert "Permission denied" in failed(verify("stanfordcars", data_dir=data_dir))["files"].found


def test_a_folder_of_ones_own_is_checked_without_expectations(tmp_path):
    for name in ("cat/1.png", "cat/2.png", "dog/1.png", "dog/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "dog/1.png").write_bytes(b"x")
    report = verify(f"folder:{tmp_path}", images=True)
    found = {check.name: (check.ok, check.found) for check in report.checks}
    assert found["images"] == (None, "4")
    assert found["classes"] == (None, "2")
    assert found["files"] == (True, "4")
    assert found["headers of images"] == (False, "3 good")


def test_all_datasets_below_a_folder(trees, tmp_path, expect):
    data_dir, counts = trees
    for name in TREES:
        expect(name, counts[name], data_dir)
    reports, absent = verify_all(data_dir)
    assert {report.dataset for report in reports} == set(TREES)
    assert [report.dataset for report in reports if not report.ok] == []
    assert absent == []
    (tmp_path / "train").mkdir()  # the folder itself looks like several datasets
    (tmp_path / "dtd").mkdir()
    reports, absent = verify_all(tmp_path)
    assert [report.dataset for report in reports] == ["dtd"]
    assert {"imagenet", "stanfordcars", "nabirds"} <= set(absent)
    with pytest.raises(InputError, match="there is no folder"):
        verify_all(tmp_path / "nowhere")


def test_listed_files_are_compared_with_a_plain_walk(tmp_path):
    """Oracle: sets of all files below the folder, by rglob."""
    rng = np.random.default_rng(0)
    for k in range(300):
        path = tmp_path / f"c{k % 7}" / f"{k}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    there = {str(path) for path in tmp_path.rglob("*.jpg")}
    everything = sorted(there)
    listed = [path for path in everything if rng.random() < 0.8]
    for path in rng.choice(listed, 20, replace=False):
        Path(path).unlink()
    now = {str(path) for path in tmp_path.rglob("*.jpg")}
    found = files_on_disk.compare(listed)
    short = len(str(tmp_path)) + 1
    assert [p[short:] for p in sorted(set(listed) - now)] == list(found.missing)
    assert [p[short:] for p in sorted(now - set(listed))] == list(found.unlisted)
    others = sorted(now - set(listed))
    assert files_on_disk.compare(listed, others).unlisted == ()


def test_names_repeated_in_every_class_are_no_copies():
    assert files_on_disk.copies([f"{k}/{i}.jpg" for k in range(5) for i in range(9)]) == ()
    assert files_on_disk.copies(["a/1.jpg", "a/1.jpg"]) == ("a/1.jpg = a/1.jpg",)
    assert files_on_disk.copies(["a/X.jpg", "a/x.jpg"]) == ("a/x.jpg = a/X.jpg",)


def test_numbers_with_many_absences_are_not_guessed():
    names = [f"a/{i:03}.jpg" for i in (1, 2, 50)]
    assert files_on_disk.absent_numbers(names, most=2) == ()
    assert files_on_disk.absent_numbers(names[:2], most=2) == ()
    through = ["b/v_01.jpg", "a/v_02.jpg", "b/v_04.jpg"]
    assert files_on_disk.absent_numbers(through, most=1) == ("v_03.jpg",)


@pytest.mark.parametrize("name", TREES)
def test_the_guide_of_a_dataset_has_folders_files_source_and_licence(name, tmp_path):
    entry = DATASETS[name]
    folder = tmp_path / entry.folders[0]
    folder.mkdir(parents=True)
    text = "\n".join(guide.lines(name, tmp_path))
    assert f"{folder}  there" in text
    assert f"from: {entry.url}" in text
    assert f"licence: {entry.licence}" in text
    assert all(f"  {line}" in text for line in entry.layout)
    assert f"in a run: --dataset {name} --data-dir {tmp_path}" in text
    assert ("--download" in text) == (entry.download is not None)
