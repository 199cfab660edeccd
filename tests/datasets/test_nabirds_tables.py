"""Text files of NABirds in conflict with each other, the images or the taxonomy."""

import re
import shutil

import pytest
from miniatures.layouts import nabirds

from gpuclust import datasets
from gpuclust.errors import InputError


@pytest.fixture
def root(tmp_path):
    nabirds(tmp_path)
    return tmp_path / "nabirds"


def load(name, data_dir, split=None):
    return datasets.load(name, split=split, data_dir=data_dir)


@pytest.mark.parametrize("table", ["image_class_labels", "train_test_split"])
@pytest.mark.parametrize("shorter", ["images", "table"])
def test_text_files_of_nabirds_that_do_not_match_are_refused(table, shorter, root, tmp_path):
    path = root / (f"{table}.txt" if shorter == "table" else "images.txt")
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:3] + lines[5:]) + "\n")
    with pytest.raises(InputError, match=f"{path.name} does not match .* and 1 more") as error:
        load("nabirds", tmp_path)
    assert f"it has no image {lines[3].split()[0]}" in str(error.value)


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        ("images", lambda t: t + t.splitlines()[0] + "\n", "line 101: .* is there twice"),
        ("images", lambda t: t + "alone\n", "line 101, has one word, 'alone'"),
        ("train_test_split", lambda t: t.replace(" 1\n", " 2\n", 1), "has '2' for image"),
        ("image_class_labels", lambda t: t.replace(" 295\n", " bird\n", 1), "the class 'bird' for"),
        ("image_class_labels", lambda t: t.replace(" 295\n", " 9999\n", 1), "no class 9999"),
        ("classes", lambda t: t.replace("298 Bird", "297 Bird"), "classes.txt has no class 298"),
        ("hierarchy", lambda t: t.replace("\n298 ", "\n297 "), "no parent of class 298"),
        ("hierarchy", lambda t: t.replace("\n2 1\n", "\n2 3\n"), "is its own ancestor"),
    ],
)
def test_a_wrong_line_in_nabirds_is_refused(file, edit, message, root, tmp_path):
    path = root / f"{file}.txt"
    text = path.read_text()
    assert edit(text) != text
    path.write_text(edit(text))
    with pytest.raises(InputError, match=message) as error:
        load("nabirds", tmp_path)
    assert str(tmp_path / "nabirds") in str(error.value)


def test_nabirds_without_some_images_leaves_them_out_and_says_so(root, tmp_path):
    whole = load("nabirds", tmp_path)
    for i in (4, 9):
        whole.path(i).unlink()
    half = load("nabirds", tmp_path)
    rows = [i for i in range(60) if i not in (4, 9)]
    assert half.files == tuple(whole.files[i] for i in rows)
    assert half.labels.tolist() == whole.labels[rows].tolist()
    assert re.search(
        f"2 of 60 images of images.txt .* such as {whole.files[4][7:]}: they are", half.said[0]
    )
    shutil.rmtree(root / "images")
    (root / "images").mkdir()
    with pytest.raises(InputError, match="none of the 60 images"):
        load("nabirds", tmp_path)


def test_nabirds_without_a_taxonomy_says_what_is_unknown(root, tmp_path):
    (root / "hierarchy.txt").unlink()
    dataset = load("nabirds", tmp_path)
    assert re.search(
        "without hierarchy.txt the columns level_1 to level_3 are unknown", dataset.said[0]
    )
    assert set(dataset.columns["level_1"]) == {None}
    (root / "classes.txt").unlink()
    dataset = load("nabirds", tmp_path)
    assert dataset.class_names[:2] == ("295", "298")
    assert "without classes.txt the classes have numbers for names" in dataset.said
