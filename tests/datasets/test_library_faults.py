"""Bad input of the datasets read with torchvision: each error names the file and the help."""

import re
import shutil
from pathlib import Path

import pytest
from miniatures.files import accept_celeba, md5, published_sums
from miniatures.libraries import SPECIES, TREES
from torchvision import datasets as tv

from gpuclust import datasets
from gpuclust.datasets.readers import fashionmnist
from gpuclust.errors import BadImagesError, InputError

NAMES = [name for name in TREES if name != "lsun"]


@pytest.fixture(autouse=True)
def no_debian(monkeypatch):
    monkeypatch.setattr(fashionmnist, "DEBIAN", Path("/nonexistent"))


def refused(name, data_dir, *parts, split=None):
    """Expect loading to be refused with a message of all parts, and return it."""
    with pytest.raises(InputError) as caught:
        datasets.load(name, split=split, data_dir=data_dir)
    said = str(caught.value)
    for part in (*parts, f"gpuclust datasets where {name}"):
        assert str(part) in said
    return said


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_without_the_dataset_is_refused(name, tmp_path):
    """Also a folder of other datasets: none of them is taken for a class."""
    (tmp_path / "other/photos").mkdir(parents=True)
    (tmp_path / "other/photos/1.jpg").write_bytes(b"x")
    said = refused(name, tmp_path, tmp_path)
    assert datasets.entry_of(name).folders[0] in said
    refused(name, tmp_path / "missing")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "fashionmnist"])
def test_no_folder_is_refused(name):
    refused(name, None, "--data-dir")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cifar10", "cifar-10-batches-py/data_batch_3"),
        ("cifar10", "cifar-10-batches-py/batches.meta"),
        ("cifar100", "cifar-100-python/train"),
        ("svhn", "test_32x32.mat"),
        ("places365", "places365_val.txt"),
        ("places365", "categories_places365.txt"),
        ("flowers102", "setid.mat"),
        ("flowers102", "imagelabels.mat"),
        ("celeba", "list_attr_celeba.txt"),
        ("celeba", "identity_CelebA.txt"),
    ],
)
class TestFilesWithPublishedSums:
    def test_a_changed_file_is_named_with_the_check(self, name, file, tmp_path):
        TREES[name](tmp_path)
        path = tmp_path / datasets.entry_of(name).folders[0] / file
        path.write_bytes(path.read_bytes()[:-1])
        refused(name, tmp_path, path, "another MD5 sum than the published")

    def test_a_missing_file_is_named(self, name, file, tmp_path):
        TREES[name](tmp_path)
        path = tmp_path / datasets.entry_of(name).folders[0] / file
        path.unlink()
        refused(name, tmp_path, path.name)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_file_with_another_sum_is_not_unpickled(name, tmp_path, monkeypatch):
    """torchvision checks the published sums of all files before it opens one."""
    TREES[name](tmp_path)
    opened = []
    monkeypatch.setattr("torchvision.datasets.cifar.pickle.load", lambda *_, **__: opened.append(1))
    with published_sums():
        refused(name, tmp_path, "another MD5 sum", "and ")
    assert opened == []


def test_the_message_counts_the_files_at_fault(tmp_path):
    TREES["cifar10"](tmp_path)
    folder = tmp_path / "cifar10/cifar-10-batches-py"
    for number in (2, 4, 5):
        (folder / f"data_batch_{number}").unlink()
    refused("cifar10", tmp_path, folder / "data_batch_2 is missing (and 2 more files)")


@pytest.mark.parametrize(
    ("name", "removed"),
    [
        ("imagenet", "val"),
        ("stanfordcars", "test"),
        ("aircraft", "data/images_family_test.txt"),
        ("aircraft", "data/images"),
        ("dtd", "dtd/labels/test1.txt"),
        ("flowers102", "jpg"),
        ("inaturalist", "2021_valid"),
        ("celeba", "img_align_celeba"),
        ("places365", "val_large"),
        ("mnist", "t10k-labels-idx1-ubyte"),
    ],
)
def test_a_half_extracted_archive_names_the_missing_part(name, removed, tmp_path):
    TREES[name](tmp_path)
    path = tmp_path / datasets.entry_of(name).folders[0] / removed
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    refused(name, tmp_path, Path(removed).name)


@pytest.mark.parametrize("name", ["imagenet", "imagenet-r", "imagenetv2", "imagewoof"])
def test_another_folder_among_the_classes_is_named(name, tmp_path):
    TREES[name](tmp_path)
    data = datasets.load(name, data_dir=tmp_path)
    other = data.path(0).parent.parent / "extra files"
    other.mkdir()
    refused(name, tmp_path, other, "is no class")


def test_an_unsorted_validation_archive_is_explained(tmp_path):
    folder = tmp_path / "imagenet/val"
    folder.mkdir(parents=True)
    (folder / "ILSVRC2012_val_00000001.JPEG").write_bytes(b"x")
    refused("imagenet", tmp_path, folder, "no class folders", "one folder per class")


def test_a_class_without_images_is_named(tmp_path):
    TREES["imagenet"](tmp_path)
    shutil.rmtree(tmp_path / "imagenet/val/n02086240")
    (tmp_path / "imagenet/val/n02086240").mkdir()
    refused("imagenet", tmp_path, "n02086240", tmp_path / "imagenet/val")


def test_a_class_of_one_image_cannot_be_divided_for_the_search(tmp_path):
    TREES["imagenette"](tmp_path)
    alone = tmp_path / "imagenette/train/n02086240"
    for path in sorted(alone.iterdir())[1:]:
        path.unlink()
    with pytest.raises(InputError, match="n02086240"):
        datasets.load("imagenette", split="search", data_dir=tmp_path)


def test_a_train_split_smaller_than_val_cannot_hold_the_search(tmp_path):
    TREES["imagenette"](tmp_path)
    shutil.rmtree(tmp_path / "imagenette/train")
    shutil.copytree(tmp_path / "imagenette/val", tmp_path / "imagenette/train")
    with pytest.raises(InputError, match=r"as many images as val has \(60\)"):
        datasets.load("imagenette", split="search", data_dir=tmp_path)


@pytest.mark.parametrize("file", ["identity_CelebA.txt", "list_attr_celeba.txt"])
def test_lists_of_other_faces_are_refused(file, tmp_path):
    TREES["celeba"](tmp_path)
    folder = tmp_path / "celeba"
    path = folder / file
    path.write_text(path.read_text().replace("000014.jpg", "999999.jpg"))
    accept_celeba(folder)  # as if the publisher had mixed two versions
    refused("celeba", tmp_path, folder / "list_eval_partition.txt", path, "000014.jpg", "999999")


def test_faces_in_a_folder_of_another_name_are_read_without_the_further_lists(tmp_path):
    TREES["celeba"](tmp_path)
    (tmp_path / "celeba").rename(tmp_path / "faces")
    (tmp_path / "faces/list_bbox_celeba.txt").unlink()
    assert len(datasets.load("celeba", data_dir=tmp_path / "faces")) == 60


def test_a_shorter_list_of_faces_is_refused(tmp_path):
    TREES["celeba"](tmp_path)
    folder = tmp_path / "celeba"
    path = folder / "identity_CelebA.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-3]))
    accept_celeba(folder)
    refused("celeba", tmp_path)


@pytest.mark.parametrize(
    ("name", "file"),
    [("celeba", "img_align_celeba/000014.jpg"), ("aircraft", "data/images/0034346.jpg")],
)
def test_a_listed_image_without_a_file_is_a_bad_image(name, file, tmp_path):
    TREES[name](tmp_path)
    path = tmp_path / datasets.entry_of(name).folders[0] / file
    path.unlink()
    data = datasets.load(name, data_dir=tmp_path)
    (row,) = [i for i in range(len(data)) if data.path(i) == path]
    with pytest.raises(BadImagesError, match=re.escape(str(path))):
        data[row]


@pytest.mark.parametrize(
    ("name", "file"),
    [("dtd", "dtd/labels/test1.txt"), ("aircraft", None), ("places365", "places365_val.txt")],
)
def test_an_image_listed_twice_is_refused(name, file, tmp_path):
    TREES[name](tmp_path)
    folder = tmp_path / datasets.entry_of(name).folders[0]
    levels = [f"data/images_{k}_test.txt" for k in ("variant", "family", "manufacturer")]
    for one in [file] if file else levels:
        path = folder / one
        path.write_text(path.read_text() + path.read_text().splitlines(keepends=True)[3])
    if name == "places365":
        tv.Places365._FILE_LIST_META["val"] = (file, md5(folder / file))
    refused(name, tmp_path, "more than once", folder / (file or levels[0]))


def test_lists_of_other_aircraft_are_refused(tmp_path):
    TREES["aircraft"](tmp_path)
    path = tmp_path / "fgvc-aircraft-2013b/data/images_family_test.txt"
    first, second, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join([second, first, *rest]))
    refused("aircraft", tmp_path, path, "lists other images")


@pytest.mark.parametrize("line", ["no slash\n", "\n"])
def test_a_damaged_list_of_textures_is_refused(line, tmp_path):
    TREES["dtd"](tmp_path)
    path = tmp_path / "dtd/dtd/labels/test1.txt"
    path.write_text(path.read_text() + line)
    refused("dtd", tmp_path, path)


def test_an_unknown_variant_in_a_list_is_named(tmp_path):
    TREES["aircraft"](tmp_path)
    path = tmp_path / "fgvc-aircraft-2013b/data/images_variant_test.txt"
    path.write_text(path.read_text().replace("A310", "A311"))
    refused("aircraft", tmp_path, path, "unknown name 'A311'")


def test_a_missing_species_is_refused(tmp_path):
    TREES["inaturalist"](tmp_path)
    shutil.rmtree(tmp_path / "iNaturalist/2021_valid" / SPECIES[2])
    refused("inaturalist", tmp_path, "00003", "expecting 00002")


def test_another_file_among_the_species_is_named(tmp_path):
    TREES["inaturalist"](tmp_path)
    (tmp_path / "iNaturalist/2021_valid/.DS_Store").write_bytes(b"x")
    refused("inaturalist", tmp_path, ".DS_Store")


@pytest.mark.parametrize(("name", "right"), [("aircraft", "fgvc-aircraft-2013b"), ("dtd", "dtd")])
def test_a_folder_with_another_name_is_explained(name, right, tmp_path):
    TREES[name](tmp_path)
    (tmp_path / right).rename(tmp_path / "mine")
    refused(name, tmp_path / "mine", tmp_path / "mine", f"a folder named {right}", "Rename it")


@pytest.mark.parametrize("name", ["imagenet", "aircraft", "places365", "cifar10", "inaturalist"])
@pytest.mark.parametrize("given", [".", "data", "./data/../data"])
def test_a_relative_folder_gives_absolute_paths(name, given, tmp_path, monkeypatch):
    root = tmp_path if given == "." else tmp_path / "data"
    TREES[name](root)
    monkeypatch.chdir(tmp_path)
    data = datasets.load(name, data_dir=given)
    assert data[59][0].mode == "RGB"
    path = data.path(59)
    assert path is None or path.is_absolute()
