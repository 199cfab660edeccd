"""Splits, classes and unlabeled folders separated; system files; names; fingerprints."""

import json
import os
import shutil

import pytest
from PIL import Image

from gpuclust import cell, datasets
from gpuclust.datasets import image
from gpuclust.datasets.folders import digests, names
from gpuclust.datasets.inspection import inspect_folder
from gpuclust.datasets.readers import folder
from gpuclust.errors import InputError


def fill(root, *paths):
    for i, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8 + i, 8), (i, i, i)).save(root / path)


def load(root, split=None):
    return datasets.load(f"folder:{root}", split=split)


def said(data):
    return " | ".join(data.said)


@pytest.mark.parametrize(
    ("train", "val"),
    [("train", "val"), ("Train", "Validation"), ("training", "testing"), ("TRAIN", "dev")],
)
def test_splits_are_no_classes(tmp_path, train, val):
    fill(
        tmp_path, f"{train}/cat/1.png", f"{train}/dog/2.png", f"{val}/cat/3.png", f"{val}/emu/4.png"
    )
    data = load(tmp_path)
    assert data.class_names == ("cat", "dog", "emu")
    assert len(data) == 4
    assert train in said(data)
    assert val in said(data)


def test_a_split_is_chosen_by_its_folder_or_by_its_usual_name(tmp_path):
    fill(tmp_path, "training/cat/1.png", "training/dog/2.png", "valid/dog/3.png", "test/4.png")
    assert load(tmp_path, "training").files == ("training/cat/1.png", "training/dog/2.png")
    assert load(tmp_path, "train").files == load(tmp_path, "training").files
    val = load(tmp_path, "val")
    assert (val.files, val.labels.tolist()) == (("valid/dog/3.png",), [1])
    assert load(tmp_path, "test").labels is None
    everything = load(tmp_path)
    assert everything.labels.tolist() == [-1, 0, 1, 1]
    assert everything[0][1] is None
    assert "test have no labels" in said(everything)
    with pytest.raises(InputError, match="no split 'holdout'; it has all, test, training, valid"):
        datasets.check(f"folder:{tmp_path}", "holdout")
    assert cell.place(f"folder:{tmp_path}", "val", "raw")["split"] == "val"


def test_splits_without_classes_have_no_labels(tmp_path):
    fill(tmp_path, "train/1.png", "test/2.png", "train/images/3.png")
    (tmp_path / "train/images/3.png").unlink()
    data = load(tmp_path)
    assert (data.labels, len(data)) == (None, 2)


def test_folders_of_images_inside_splits_are_entered(tmp_path):
    fill(tmp_path, "train/images/1.png", "val/images/2.png")
    (tmp_path / "train/labels").mkdir()
    (tmp_path / "train/labels/1.txt").write_text("0")
    assert load(tmp_path).labels is None
    shutil.rmtree(tmp_path / "val")
    fill(tmp_path, "train/images/cat/1.png", "val/images/cat/2.png", "val/images/dog/2.png")
    (tmp_path / "train/images/1.png").unlink()
    assert load(tmp_path).class_names == ("cat", "dog")


def test_one_class_with_the_name_of_a_split_is_a_class(tmp_path):
    fill(tmp_path, "bus/1.png", "car/2.png", "train/3.png")
    data = load(tmp_path)
    assert data.class_names == ("bus", "car", "train")
    assert "train is taken as a class" in said(data)


def test_folders_beside_splits_are_named(tmp_path):
    fill(tmp_path, "train/cat/1.png", "test/cat/2.png", "misc/3.png")
    data = load(tmp_path)
    assert len(data) == 2
    assert "1 images in misc, beside the splits, are not used" in said(data)


def test_a_folder_around_the_classes_is_entered(tmp_path):
    fill(tmp_path, "animals/photos/cat/1.png", "animals/photos/dog/2.png")
    data = load(tmp_path)
    assert data.class_names == ("cat", "dog")
    assert "animals/photos" in said(data)
    fill(tmp_path, "zipped/x.png")
    assert load(tmp_path).class_names == ("animals", "zipped")


def test_classes_are_the_first_level_and_deeper_folders_are_named(tmp_path):
    fill(tmp_path, "felis/catus/1.png", "felis/silvestris/2.png", "canis/lupus/3.png")
    data = load(tmp_path)
    assert data.class_names == ("canis", "felis")
    assert "the 3 folders below them are not classes" in said(data)


@pytest.mark.parametrize(
    "tops", [("100APPLE", "101APPLE"), ("2019", "2020"), ("2021-06", "2021-07-01"), ("100_PANA",)]
)
def test_folders_of_cameras_and_dates_are_no_classes(tmp_path, tops):
    fill(tmp_path, *(f"DCIM/{top}/IMG_{i}.jpg" for top in tops for i in range(2)))
    data = load(tmp_path)
    assert data.labels is None
    assert len(data) == 2 * len(tops)


@pytest.mark.parametrize("tops", [("001.Albatross", "002.Auk"), ("1", "2"), ("0123", "0456")])
def test_numbered_classes_remain_classes(tmp_path, tops):
    fill(tmp_path, *(f"{top}/1.png" for top in tops))
    assert load(tmp_path).class_names == tops


def test_classes_without_an_image_are_named_with_their_content(tmp_path, monkeypatch):
    monkeypatch.setattr(image, "extensions", lambda: frozenset({".png"}))
    fill(tmp_path, "cat/1.png", "dog/2.png")
    for name in ("fox", "hen", "owl"):
        (tmp_path / name).mkdir()
    (tmp_path / "hen/a.heic").write_bytes(b"x")
    (tmp_path / "owl/a.txt").write_text("x")
    text = said(load(tmp_path))
    assert "no images in fox (empty), hen (1 HEIC photos), owl (1 other files)" in text
    assert "1 HEIC photos are not read" in text
    assert "pillow-heif" in text


def test_a_folder_of_heic_photos_only_says_how_to_read_them(tmp_path, monkeypatch):
    monkeypatch.setattr(image, "extensions", lambda: frozenset({".png"}))
    (tmp_path / "a.HEIC").write_bytes(b"x")
    with pytest.raises(InputError, match=r"1 are HEIC photos.*pip install \"gpuclust\[heic\]\""):
        load(tmp_path)


def test_classes_that_differ_only_in_case_are_named(tmp_path):
    fill(tmp_path, "Cat/1.png", "dog/3.png")
    if (tmp_path / "cAT").exists():
        pytest.skip("this file system ignores case")
    fill(tmp_path, "cat/2.png")
    assert "Cat, cat differ only in upper and lower case" in said(load(tmp_path))


@pytest.mark.parametrize(
    "name", ["@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX", "lost+found", "_thumb", "Thumbnails"]
)
def test_system_folders_are_skipped_and_named(tmp_path, name):
    fill(tmp_path, "cat/1.png", "dog/2.png", f"{name}/3.png", f"cat/{name}/4.png")
    data = load(tmp_path)
    assert data.files == ("cat/1.png", "dog/2.png")
    assert name in said(data)
    assert names.system(name) in "\n".join(inspect_folder(tmp_path))


def test_system_files_are_not_listed_as_ignored_in_every_run(tmp_path):
    fill(tmp_path, "cat/1.png", "dog/2.png")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "cat/._1.png"):
        (tmp_path / name).write_bytes(b"x")
    data = load(tmp_path)
    assert (data.files, data.ignored, data.said) == (("cat/1.png", "dog/2.png"), (), ())
    assert "Thumbs.db" in "\n".join(inspect_folder(tmp_path))


def latin(tmp_path):
    path = tmp_path / os.fsdecode(b"fotos-\xfc")
    try:
        path.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    return path


def test_a_folder_whose_own_name_is_not_utf8_is_found_under_an_escaped_name(tmp_path):
    path = latin(tmp_path)
    fill(path, os.fsdecode(b"\xe4/1.png"), "b/2.png")
    place = cell.place(f"folder:{path}", None, "raw")
    json.dumps(place["dataset"]).encode("utf-8")
    assert place["dataset"].endswith(r"fotos-\xfc")
    assert cell.place(place["dataset"], None, "raw") == place
    data = datasets.load(place["dataset"])
    assert data.class_names == ("b", r"\xe4")
    assert data[1][0].size == (8, 8)
    assert folder.path_of(place["dataset"]) == path


def test_a_real_backslash_in_a_name_is_kept(tmp_path):
    fill(tmp_path, "a\\xfc/1.png")
    assert len(datasets.load(f"folder:{tmp_path}/a\\xfc")) == 1


def test_a_change_of_content_changes_the_fingerprint_and_touching_does_not(tmp_path):
    fill(tmp_path, "1.bmp", "2.png")
    first = load(tmp_path)
    os.utime(tmp_path / "1.bmp", (1, 1))
    touched = load(tmp_path)
    assert touched.fingerprint == first.fingerprint
    assert touched.identity(0) != first.identity(0)
    assert touched.identity(1) == first.identity(1)
    content = bytearray((tmp_path / "1.bmp").read_bytes())
    content[60] ^= 255
    (tmp_path / "1.bmp").write_bytes(content)
    assert load(tmp_path).fingerprint != first.fingerprint


def test_trusted_digests_spare_reading_unchanged_images(tmp_path, monkeypatch):
    fill(tmp_path, "1.png", "2.png", "3.png")
    first = load(tmp_path)
    known = [(first.identity(i), first.digest(i)) for i in range(3)]
    os.utime(tmp_path / "3.png", (1, 1))
    now = load(tmp_path)
    read = []
    digest = digests.digest
    monkeypatch.setattr(digests, "digest", lambda path: read.append(path.name) or digest(path))
    now.trust(known)
    assert now.fingerprint == first.fingerprint
    assert read == ["3.png"]


def test_the_rules_of_decoding_are_in_the_fingerprint(tmp_path, monkeypatch):
    fill(tmp_path, "1.png")
    before = load(tmp_path).fingerprint
    monkeypatch.setattr(image, "DECODING", image.DECODING + 1)
    assert load(tmp_path).fingerprint != before


def test_large_compressed_files_are_read_in_three_places(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(os.urandom(3_000_000))
    before = digests.digest(path)
    for at in (0, 1_500_000, 2_999_999):
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        (tmp_path / "b.jpg").write_bytes(data)
        assert digests.digest(tmp_path / "b.jpg") != before


def test_many_files_are_listed(tmp_path):
    for k in range(20):
        (tmp_path / f"c{k}").mkdir()
        for i in range(1_000):
            (tmp_path / f"c{k}/{i}.png").touch()
    assert len(load(tmp_path)) == 20_000


def test_the_inspection_explains_the_decision_with_counts(tmp_path):
    fill(tmp_path, "train/cat/1.png", "train/dog/2.png", "val/cat/3.png")
    shutil.copy(tmp_path / "val/cat/3.png", tmp_path / "val/cat/4.png")
    (tmp_path / "val/cat/5.jpg").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("x")
    report = inspect_folder(tmp_path)
    assert report[1].startswith("decision: the folders train (2), val (3) are splits")
    for line in (
        "split train (train): 2 images in 2 classes",
        "classes: 2",
        "  cat: 4",
        "formats: PNG 4",
        "sizes: 8 x 8 to 10 x 8 pixels",
        "ignored, not an image: 1 (notes.txt)",
        "cannot be decoded: 1 images; --skip-bad leaves them out",
        "  val/cat/5.jpg: the file is empty",
        "copies: 1 images have the content of another one (val/cat/4.png = val/cat/3.png)",
    ):
        assert line in report
    assert report[-1].startswith(f"next: gpuclust run --dataset folder:{tmp_path}")


def test_the_inspection_of_a_refused_or_empty_folder_is_no_error(tmp_path):
    assert "there is nothing in it" in inspect_folder(tmp_path)[1]
    fill(tmp_path, "1.png", "a/2.png")
    assert inspect_folder(tmp_path)[1].startswith("refused:")
    with pytest.raises(InputError, match="there is no folder"):
        inspect_folder(tmp_path / "missing")


def test_the_inspection_ends_in_the_time_given(tmp_path):
    fill(tmp_path, "1.png", "2.png")
    assert "headers: 0 of 2 opened in the time given" in inspect_folder(tmp_path, seconds=-1)


def test_control_characters_in_names_are_escaped(tmp_path):
    fill(tmp_path, "a\x1b[31m/1.png", "b/2.png")
    assert r"  a\x1b[31m: 1" in inspect_folder(tmp_path)


def test_a_chosen_split_is_what_is_said_to_be_taken(tmp_path):
    fill(tmp_path, "train/cat/1.png", "train/dog/2.png", "val/cat/3.png", "val/dog/4.png")
    assert "All are taken together" in said(load(tmp_path))
    assert "Only val is taken." in said(load(tmp_path, "val"))
    assert "All are taken" not in said(load(tmp_path, "val"))


def test_the_folder_around_photos_without_labels_is_named(tmp_path):
    fill(tmp_path, "pictures/1.png", "pictures/2.png")
    assert "all images are in the folder pictures, so" in "\n".join(inspect_folder(tmp_path))
