"""Datasets read with torchvision, in miniature: torchvision's own items are the oracle."""

from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
from miniatures import TREES as ALL
from miniatures.libraries import ARTFORMS, SPECIES, TREES
from PIL import Image
from sklearn.model_selection import train_test_split
from torchvision import datasets as tv

from gpuclust import datasets
from gpuclust.datasets.readers import fashionmnist

SEARCHED = ("imagenet", "imagenette", "imagewoof")


@pytest.fixture(scope="module", autouse=True)
def no_debian():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fashionmnist, "DEBIAN", Path("/nonexistent"))
        yield


@pytest.fixture(scope="module", params=TREES)
def tree(request, tmp_path_factory):
    """Return name, folder and true counts of one miniature."""
    if request.param == "lsun":
        pytest.importorskip("lmdb")
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, folder, ALL[request.param](folder)


def torchvisions(name: str, split: str, root: Path):
    """Open the dataset as the study did, without gpuclust."""
    train = split == "train"
    place = root / name
    openers = {
        "imagenetv2": lambda: tv.ImageFolder(place / f"{name}-matched-frequency-format-val"),
        "cifar10": lambda: tv.CIFAR10(place, train=train),
        "cifar100": lambda: tv.CIFAR100(place, train=train),
        "mnist": lambda: tv.MNIST(root, train=train),
        "fashionmnist": lambda: tv.FashionMNIST(root, train=train),
        "svhn": lambda: tv.SVHN(place, split=split),
        "places365": lambda: tv.Places365(
            root / "Places365", split="train-standard" if train else split
        ),
        "aircraft": lambda: tv.FGVCAircraft(root, split=split),
        "flowers102": lambda: tv.Flowers102(root, split=split),
        "dtd": lambda: tv.DTD(root, split=split),
        "celeba": lambda: tv.CelebA(root, split=split, target_type="identity"),
        "lsun": lambda: tv.LSUN(str(place), classes=split),
        "inaturalist": lambda: tv.INaturalist(
            root / "iNaturalist",
            version={"val": "2021_valid", "train": "2021_train"}.get(split, "2021_train_mini"),
        ),
    }
    if name in openers:
        return openers[name]()
    return tv.ImageFolder(place if split == "all" else place / split)


def item(dataset, i):
    picture, label = dataset[i]
    return np.asarray(picture.convert("RGB")).tobytes(), int(label)


@pytest.mark.filterwarnings(  # torchvision's LSUN does not close its files
    "ignore:unclosed file", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_every_split_has_torchvisions_images_and_labels(tree, tmp_path, monkeypatch):
    name, root, true = tree
    monkeypatch.chdir(tmp_path)  # torchvision's LSUN writes into the current folder
    for split, n in true.splits.items():
        if split == "search":
            continue
        theirs = torchvisions(name, split, root)
        items = [item(theirs, i) for i in range(len(theirs))]
        if name == "inaturalist":  # listed by the file system in any order
            paths = [f"{theirs.all_categories[k]}/{file}" for k, file in theirs.index]
            items = [items[i] for i in np.argsort(paths)]
        if name == "lsun":
            for one in theirs.dbs:  # a database is open once per process
                one.env.close()
        mine = datasets.load(name, split=split, data_dir=root)
        assert len(mine) == len(items) == n
        assert [item(mine, i) for i in range(n)] == items
        assert mine.labels.tolist() == [label for _, label in items]
        assert mine.labels.dtype == np.int64


def test_the_default_split_has_the_true_counts_and_columns(tree):
    name, root, true = tree
    data, entry = datasets.load(name, data_dir=root), datasets.entry_of(name)
    assert data.split == next(iter(entry.splits)) == next(iter(true.splits))
    assert len(set(data.labels.tolist())) == true.classes
    assert len(data) >= 60
    assert tuple(data.columns) == true.columns == entry.columns
    for values in data.columns.values():
        assert values.shape == (len(data),)
        assert values.dtype in (np.int64, object)
    if data.class_names is not None:
        assert data.labels.max() < len(data.class_names)


def test_the_tree_lies_where_the_entry_says(tree):
    name, root, _ = tree
    entry = datasets.entry_of(name)
    folder = root / entry.folders[0]
    assert folder.is_dir()
    plain = [line.replace("(.gz)", "") for line in entry.layout]
    kept = [line for line in plain if "*" not in line and "..." not in line]
    top = {line.split("/")[0] for line in kept}
    missing = {one for one in top if not (folder / one).exists()}
    assert missing <= {"2021_train"}


def test_a_copy_in_another_process_has_the_same_images(tree):
    name, root, _ = tree
    data = datasets.load(name, data_dir=root)
    again = ForkingPickler.loads(ForkingPickler.dumps(data))
    assert again.fingerprint == data.fingerprint
    assert item(again, 7) == item(data, 7)
    assert again.where(7) == data.where(7)


def test_a_moved_tree_has_the_same_fingerprint_and_another_split_another(tree, tmp_path):
    name, root, true = tree
    before = datasets.load(name, data_dir=root).fingerprint
    moved = tmp_path / "moved"
    moved.symlink_to(root)
    assert datasets.load(name, data_dir=moved).fingerprint == before
    others = {datasets.load(name, split=s, data_dir=root).fingerprint for s in true.splits}
    assert len(others) == len(true.splits)


def test_the_folder_itself_is_a_data_dir_too(tree):
    name, root, true = tree
    folder = root / datasets.entry_of(name).folders[0]
    n = next(iter(true.splits.values()))
    assert len(datasets.load(name, data_dir=folder)) == n


def test_no_image_is_opened_to_list_a_dataset(tree, monkeypatch):
    name, root, _ = tree
    opened = []
    monkeypatch.setattr(Image, "open", lambda *given, **_: opened.append(given))
    datasets.load(name, data_dir=root)
    assert opened == []


@pytest.mark.parametrize("name", SEARCHED)
def test_the_search_split_is_the_studys_division_of_train(name, tmp_path):
    TREES[name](tmp_path)
    val, train = (tv.ImageFolder(tmp_path / name / split) for split in ("val", "train"))
    _, rows = train_test_split(
        np.arange(len(train)),
        test_size=len(val) / len(train),
        random_state=0,
        stratify=train.targets,
    )
    data = datasets.load(name, split="search", data_dir=tmp_path)
    assert [str(data.path(i)) for i in range(len(data))] == [train.samples[i][0] for i in rows]
    assert data.labels.tolist() == [train.targets[i] for i in rows]
    assert len(data) == len(val)
    assert not np.array_equal(data.labels, np.sort(data.labels))  # in shuffled order


@pytest.mark.parametrize(
    ("name", "train", "val"),
    [("imagenet", 1_281_167, 50_000), ("imagenette", 9_469, 3_925), ("imagewoof", 9_025, 3_929)],
)
def test_the_search_split_at_full_size_has_as_many_images_as_val(name, train, val):
    labels = np.arange(train) % datasets.entry_of(name).classes
    _, rows = train_test_split(
        np.arange(train), test_size=val / train, random_state=0, stratify=labels
    )
    assert len(rows) == val == datasets.entry_of(name).splits["search"]


def test_labels_of_folders_of_numbers_are_sorted_as_text(tmp_path):
    TREES["imagenetv2"](tmp_path)
    assert datasets.load("imagenetv2", data_dir=tmp_path).class_names == (
        "0",
        "1",
        "10",
        "2",
        "999",
    )


def test_the_artform_is_in_the_file_name(tmp_path):
    TREES["imagenet-r"](tmp_path)
    data = datasets.load("imagenet-r", data_dir=tmp_path)
    written = [data.path(i).name.split("_")[0] for i in range(len(data))]
    assert data.columns["artform"].tolist() == written
    assert set(written) == set(ARTFORMS)
    (tmp_path / "imagenet-r/n01440764/art_0.jpg").rename(tmp_path / "imagenet-r/n01440764/0.jpg")
    assert datasets.load("imagenet-r", data_dir=tmp_path).columns["artform"][0] is None


def test_family_and_manufacturer_of_an_aircraft_follow_its_variant(tmp_path):
    TREES["aircraft"](tmp_path)
    data = datasets.load("aircraft", data_dir=tmp_path)
    rows = zip(data.labels, *data.columns.values(), strict=True)
    facts = {(data.class_names[k], family, maker) for k, family, maker in rows}
    assert facts == {
        ("707-320", "Boeing 707", "Boeing"),
        ("727-200", "Boeing 727", "Boeing"),
        ("A310", "A310", "Airbus"),
        ("Cessna 172", "Cessna 172", "Cessna"),
    }


def test_levels_of_a_species_are_the_parts_of_its_folder(tmp_path):
    TREES["inaturalist"](tmp_path)
    data = datasets.load("inaturalist", data_dir=tmp_path)
    for i in (0, 17, 59):
        parts = SPECIES[data.labels[i]].split("_")[1:7]
        assert [values[i] for values in data.columns.values()] == parts
        assert data.path(i).parent.name == SPECIES[data.labels[i]]


def test_a_level_without_a_name_is_unknown(tmp_path):
    folder = tmp_path / "iNaturalist/2021_valid/00000_Animalia_Chordata__Aves_X_Y_z"
    folder.mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(folder / "a.jpg")
    data = datasets.load("inaturalist", data_dir=tmp_path)
    assert data.columns["class"].tolist() == [None]
    assert data.columns["order"].tolist() == ["Aves"]


def test_attributes_of_a_face_are_those_of_its_line(tmp_path):
    TREES["celeba"](tmp_path)
    lines = (tmp_path / "celeba/list_attr_celeba.txt").read_text().splitlines()
    names = lines[1].split()
    written = {row.split()[0]: dict(zip(names, row.split()[1:], strict=True)) for row in lines[2:]}
    data = datasets.load("celeba", split="valid", data_dir=tmp_path)
    assert len(data) == 6
    for i in range(6):
        mine = written[data.path(i).name]
        assert {k: 2 * values[i] - 1 for k, values in data.columns.items()} == {
            k: int(one) for k, one in mine.items()
        }
    assert data.class_names is None  # the label is the number of the person
    assert set(data.labels.tolist()) == {2880, 17, 10177, 404, 9, 1}


def test_the_superclass_is_the_coarse_label_in_the_files(tmp_path):
    """The reader's table against the published table of names, and labels of 60 images."""
    from gpuclust.datasets.readers.small_images import SUPERCLASS_OF, SUPERCLASSES

    TREES["cifar100"](tmp_path)
    data = datasets.load("cifar100", data_dir=tmp_path)
    assert data.columns["coarse"].tolist() == [SUPERCLASSES[SUPERCLASS_OF[k]] for k in data.labels]
    # beaver, dolphin, otter, seal, whale; maple, oak, palm, pine, willow tree; the vehicles.
    members = {name: [] for name in SUPERCLASSES}
    for fine, coarse in enumerate(SUPERCLASS_OF):
        members[SUPERCLASSES[coarse]].append(fine)
    assert members["aquatic_mammals"] == [4, 30, 55, 72, 95]
    assert members["trees"] == [47, 52, 56, 59, 96]
    assert members["vehicles_2"] == [41, 69, 81, 85, 89]
    assert {len(one) for one in members.values()} == {5}


@pytest.mark.parametrize("junk", ["._1.JPEG", ".DS_Store", "Thumbs.db", "@eaDir/1.jpg"])
def test_system_files_are_no_images(junk, tmp_path):
    TREES["imagenette"](tmp_path)
    path = tmp_path / "imagenette/val/n01440764" / junk
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"junk")
    (tmp_path / "imagenette/val/__MACOSX").mkdir()
    (tmp_path / "imagenette/val/.cache").mkdir()
    data = datasets.load("imagenette", data_dir=tmp_path)
    assert len(data) == 60
    assert data.ignored == ()


def test_other_files_are_named_as_ignored(tmp_path):
    TREES["imagenette"](tmp_path)
    (tmp_path / "imagenette/val/n01440764/labels.csv").write_text("x")
    assert datasets.load("imagenette", data_dir=tmp_path).ignored == ("val/n01440764/labels.csv",)


def test_a_system_file_among_inaturalists_photos_is_no_image(tmp_path):
    TREES["inaturalist"](tmp_path)
    (tmp_path / "iNaturalist/2021_valid" / SPECIES[2] / "._a.jpg").write_bytes(b"junk")
    assert len(datasets.load("inaturalist", data_dir=tmp_path)) == 60


def test_small_images_of_places_are_taken_and_said(tmp_path):
    TREES["places365"](tmp_path)
    root = tmp_path / "Places365"
    (root / "val_large").rename(root / "val_256")
    data = datasets.load("places365", data_dir=tmp_path)
    assert item(data, 3)[1] == 2
    assert any("val_large is missing, so val_256 is read" in one for one in data.said)


def test_packed_digits_are_read_and_a_shared_name_is_said(tmp_path, monkeypatch):
    import gzip

    TREES["mnist"](tmp_path)
    raw = tmp_path / "MNIST/raw"
    before = datasets.load("mnist", data_dir=tmp_path)
    for path in list(raw.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert datasets.load("mnist", data_dir=tmp_path).fingerprint == before.fingerprint
    monkeypatch.chdir(raw)
    for given in (raw, "."):
        said = datasets.load("mnist", data_dir=given).said
        assert any("MNIST and Fashion-MNIST have the same names" in one for one in said)
    assert not any("same names" in one for one in before.said)
