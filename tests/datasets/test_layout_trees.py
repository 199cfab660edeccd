"""Miniature trees of the datasets with layouts of their own, against independent readings."""

import itertools
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
from miniatures import layouts
from miniatures.layouts import TREES, VARIANTS
from sklearn.model_selection import train_test_split
from torchvision.datasets import ImageFolder

from gpuclust import datasets
from gpuclust.datasets.registry import entry_of

OWN_SPLITS = {"eurosat": 0.15, "breakhis": 0.4}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Write all trees into one folder, as on a disk with many datasets."""
    root = tmp_path_factory.mktemp("data")
    for write in TREES.values():
        write(root)
    return root


@pytest.fixture(scope="module")
def trees(data_dir):
    return {name: write(data_dir) for name, write in TREES.items()}


def load(name, data_dir, split=None):
    return datasets.load(name, split=split, data_dir=data_dir)


def paths(dataset):
    return [str(dataset.path(i)) for i in range(len(dataset))]


@pytest.mark.parametrize("name", TREES)
def test_every_split_has_the_true_number_of_images_and_classes(name, data_dir, trees):
    tree, entry = trees[name], entry_of(name)
    assert list(tree.splits) == list(entry.splits)
    for split, n in tree.splits.items():
        dataset = load(name, data_dir, split)
        assert len(dataset) == len(dataset.labels) == len(set(dataset.files)) == n
        assert set(dataset.columns) == set(tree.columns) == set(entry.columns)
        assert all(len(values) == n for values in dataset.columns.values())
    assert len(np.unique(load(name, data_dir).labels)) == tree.classes


@pytest.mark.parametrize("name", TREES)
def test_the_default_split_can_be_decoded_and_sent_to_another_process(name, data_dir):
    dataset = load(name, data_dir)
    image, label = dataset[len(dataset) - 1]
    assert (image.mode, min(image.size) >= 32) == ("RGB", True)
    assert label == dataset.labels[-1]
    assert dataset.labels.dtype == np.int64
    assert dataset.class_names[label] == str(dataset.class_names[label])
    again = ForkingPickler.loads(ForkingPickler.dumps(dataset))
    assert again.fingerprint == dataset.fingerprint
    assert paths(again) == paths(dataset)


@pytest.mark.parametrize("name", TREES)
def test_splits_do_not_overlap_and_all_of_them_are_all(name, data_dir, trees):
    splits = {split: set(paths(load(name, data_dir, split))) for split in trees[name].splits}
    whole = splits.pop("all", None)
    for one, other in itertools.combinations(splits.values(), 2):
        assert not one & other
    if whole is not None:
        assert set.union(*splits.values()) == whole


@pytest.mark.parametrize("name", TREES)
def test_every_folder_of_the_entry_is_found_and_the_folder_itself(name, tmp_path):
    entry = entry_of(name)
    TREES[name](tmp_path / "first")
    first = load(name, tmp_path / "first")
    tree = tmp_path / "first" / entry.folders[0]
    for number, folder in enumerate((*entry.folders, ".")):
        place = tmp_path / str(number)
        (place / folder).parent.mkdir(parents=True, exist_ok=True)
        tree.rename(place / folder)
        moved = load(name, place)
        assert moved.files == first.files
        assert moved.fingerprint == first.fingerprint
        tree = place / folder


@pytest.mark.parametrize("name", OWN_SPLITS)
def test_drawn_splits_are_scikit_learns_of_the_sorted_paths(name, data_dir):
    root = data_dir / entry_of(name).folders[0]
    files = sorted(str(path) for path in root.rglob("*") if path.is_file())
    labels = [_label(name, Path(file)) for file in files]
    train, test = train_test_split(
        np.arange(len(files)), test_size=OWN_SPLITS[name], stratify=labels, random_state=0
    )
    for split, rows in (("train", train), ("test", test), ("all", range(len(files)))):
        dataset = load(name, data_dir, split)
        assert paths(dataset) == [files[i] for i in rows]
        assert dataset.labels.tolist() == [labels[i] for i in rows]


def _label(name, path):
    if name == "eurosat":
        return sorted(layouts.EUROSAT).index(path.parent.name)
    tumor = path.name.split("_")[2].split("-")[0]
    times = int(path.name.split("-")[-2])
    order = ["A", "F", "PT", "TA", "DC", "LC", "MC", "PC"]
    return [40, 100, 200, 400].index(times) * 8 + order.index(tumor)


def test_eurosat_has_the_order_of_torchvision(data_dir):
    dataset = load("eurosat", data_dir, "all")
    oracle = ImageFolder(data_dir / "eurosat" / "EuroSAT_RGB")
    assert paths(dataset) == [path for path, _ in oracle.samples]
    assert dataset.labels.tolist() == oracle.targets
    assert list(dataset.class_names) == oracle.classes


@pytest.mark.parametrize("name", VARIANTS)
def test_imagenet9_has_the_order_of_torchvision(name, data_dir):
    split = "val" if name == "in9l" else "test"
    dataset = load(name, data_dir)
    oracle = ImageFolder(data_dir / "in9_bg_challenge" / VARIANTS[name] / split)
    assert dataset.split == split
    assert paths(dataset) == [path for path, _ in oracle.samples]
    assert dataset.labels.tolist() == oracle.targets
    assert [f"{k:02d}_{own}" for k, own in enumerate(dataset.class_names)] == oracle.classes


@pytest.mark.parametrize("name", VARIANTS)
def test_backgrounds_of_imagenet9_are_the_classes_of_the_pictures_behind(name, data_dir):
    dataset = load(name, data_dir)
    variant, names = VARIANTS[name], dataset.class_names
    for file, label, behind in zip(
        dataset.files, dataset.labels, dataset.columns["background"], strict=True
    ):
        number = int(
            file.split("_")[-1 if variant not in layouts.BACKGROUNDS else -3].split(".")[0]
        )
        number -= 100 * label
        if variant == "only_fg":
            assert behind is None
        else:
            rule = layouts.BACKGROUNDS.get(variant, lambda label, _: label)
            assert behind == names[rule(int(label), number)]


def test_images_of_two_imagenet9_variants_can_be_paired(data_dir):
    same, rand = (load(name, data_dir) for name in ("in9mixedsame", "in9mixedrand"))
    position = {source: i for i, source in enumerate(rand.columns["source"])}
    rows = [position[source] for source in same.columns["source"]]
    assert sorted(rows) == list(range(len(same)))
    assert np.array_equal(rand.labels[rows], same.labels)


def test_columns_of_breakhis_are_the_folders_of_the_archive(data_dir):
    dataset = load("breakhis", data_dir)
    for i in range(len(dataset)):
        malignancy, _, tumor, slide, times, _ = dataset.files[i].split("/")
        own = {name: values[i] for name, values in dataset.columns.items()}
        assert own["malignancy"] == malignancy
        assert own["tumor_type"] == tumor.replace("_", " ")
        assert own["slide"] == slide.split("_")[-1]
        assert f"{own['magnification']}X" == times
        assert dataset.class_names[dataset.labels[i]] == f"{own['tumor_type']} {times.lower()}"


def test_columns_of_utkface_are_in_the_names(data_dir):
    dataset = load("utkface", data_dir)
    assert (np.diff(dataset.labels) >= 0).all()
    for i in range(len(dataset)):
        age, gender, race, _ = dataset.files[i].split("_")
        own = {name: values[i] for name, values in dataset.columns.items()}
        assert dataset.labels[i] == own["age"] == int(age)
        assert dataset.class_names[own["age"]] == age
        assert own["gender"] == ("Male", "Female")[int(gender)]
        assert own["race"] == ("White", "Black", "Asian", "Indian", "Others")[int(race)]


def test_classes_and_levels_of_nabirds_are_in_the_text_files(data_dir):
    root = data_dir / "nabirds"
    tables = {
        name: dict(line.split(" ", 1) for line in (root / f"{name}.txt").read_text().splitlines())
        for name in ("images", "image_class_labels", "classes", "hierarchy")
    }
    by_path = {path: key for key, path in tables["images"].items()}
    raw = sorted(map(int, set(tables["image_class_labels"].values())))
    dataset = load("nabirds", data_dir)
    assert [Path(file).name for file in dataset.files] == [
        Path(path).name for path in tables["images"].values() if f"images/{path}" in dataset.files
    ]
    for i in range(len(dataset)):
        own = tables["image_class_labels"][by_path[dataset.files[i].removeprefix("images/")]]
        line = layouts.BIRDS[int(own)]
        assert raw[dataset.labels[i]] == int(own)
        assert dataset.class_names[dataset.labels[i]] == line[3] == tables["classes"][own]
        assert tuple(dataset.columns[f"level_{k}"][i] for k in (1, 2, 3)) == line[:3]
