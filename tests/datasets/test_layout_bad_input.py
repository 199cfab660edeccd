"""Wrong, incomplete and foreign files in datasets with layouts of their own."""

import re
import shutil

import pytest
from miniatures.layouts import TREES, VARIANTS, breakhis, eurosat, imagenet9, nabirds, save, utkface

from gpuclust import datasets
from gpuclust.datasets.registry import entry_of
from gpuclust.errors import InputError

FOLDERS = {name: entry_of(name).folders[0] for name in TREES}


@pytest.fixture
def tree(tmp_path):
    """Return a function to write a miniature; it returns the folder of the dataset."""

    def write(name):
        TREES[name](tmp_path)
        return tmp_path / FOLDERS[name]

    return write


def load(name, data_dir, split=None):
    return datasets.load(name, split=split, data_dir=data_dir)


def said(dataset):
    return "\n".join(dataset.said)


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_data_dir_without_a_folder_is_named_first(kind, tmp_path):
    given = tmp_path / "given"
    if kind == "file":
        given.touch()
    with pytest.raises(InputError, match=f"nabirds is not in {given}: there is no folder {given}"):
        load("nabirds", given)


def test_a_second_folder_of_a_dataset_is_named(tree):
    first = tree("utkface")
    assert "not from" not in said(load("utkface", first.parent))
    second = first.parent / "utkface"
    second.mkdir()
    assert "not from" not in said(load("utkface", first.parent))  # empty
    shutil.copy(next(first.iterdir()), second)
    assert f"is read from {first}, and not from {second}." in said(load("utkface", first.parent))


def test_a_folder_inside_the_other_or_a_link_to_it_is_no_second_folder(tree):
    first = tree("utkface")
    (first.parent / "utkface").symlink_to(first)
    (first / "UTKFace").mkdir()
    shutil.copy(next(first.glob("*.jpg")), first / "UTKFace")
    assert "not from" not in said(load("utkface", first.parent))


@pytest.mark.parametrize("name", TREES)
def test_a_wrong_root_says_where_it_looked_and_what_is_missing(name, tmp_path):
    with pytest.raises(InputError) as error:
        load(name, tmp_path)
    assert str(tmp_path / FOLDERS[name]) in str(error.value)
    assert f"datasets where {name}" in str(error.value)
    with pytest.raises(InputError, match="--data-dir"):
        load(name, None)


@pytest.mark.parametrize("name", TREES)
def test_an_unknown_split_lists_the_others(name, tmp_path):
    with pytest.raises(InputError, match="has no split 'dev'; it has "):
        load(name, tmp_path, "dev")


@pytest.mark.parametrize("name", ["utkface", "breakhis", "eurosat", "in9original", "nabirds"])
def test_foreign_files_change_nothing(name, tree, tmp_path):
    root = tree(name)
    clean = load(name, tmp_path)
    picture = next(path for path in root.rglob("*") if path.suffix in (".jpg", ".png", ".JPEG"))
    for folder in (root, picture.parent):
        (folder / "Thumbs.db").write_bytes(b"\0")
        (folder / ".DS_Store").write_bytes(b"\0")
        (folder / f"._{picture.name}").write_bytes(b"\0")
        (folder / "notes.txt").write_text("mine")
    shutil.copytree(picture.parent, root / "__MACOSX" / picture.parent.name)
    dirty = load(name, tmp_path)
    assert (dirty.files, dirty.fingerprint) == (clean.files, clean.fingerprint)
    assert dirty.said == clean.said
    if name != "in9original":  # whose root has the variants
        assert any(file.endswith("notes.txt") for file in dirty.ignored)


@pytest.mark.parametrize(
    ("name", "where", "sentence"),
    [
        (
            "utkface",
            "crop_part1/1_0_0_20161219140623097.jpg",
            r"images in folders below .* are not read: 1$",
        ),
        ("breakhis", "benign/other.png", r"images without SOB_ .* are not read: 1$"),
        ("eurosat", "River/../Lagoon/Lagoon_1.jpg", r"outside .* not read: 1 \(Lagoon: 1\)"),
        ("eurosat", "x.jpg", r"outside .* not read: 1 \(\.: 1\)"),
        ("nabirds", "images/0295/0.jpg", r"images.txt does not list are not read: 1$"),
        ("in9original", "original/test/09_car/n1.JPEG", r"\(09_car: 1\)"),
    ],
)
def test_foreign_images_are_not_read_and_counted(name, where, sentence, tree, tmp_path):
    root = tree(name)
    clean = load(name, tmp_path)
    save(3, (root / where).resolve())
    dirty = load(name, tmp_path)
    assert dirty.files == clean.files
    with pytest.raises(AssertionError):
        assert_said(clean, sentence)
    assert_said(dirty, sentence)


def assert_said(dataset, sentence):
    assert re.search(sentence, said(dataset), re.MULTILINE), said(dataset)


@pytest.mark.parametrize("name", ["utkface", "breakhis", "eurosat"])
def test_a_half_extracted_archive_says_that_its_split_is_not_the_study_s(name, tree, tmp_path):
    root = tree(name)
    whole = load(name, tmp_path, "all")
    for i in range(0, len(whole), 5):
        whole.path(i).unlink()
    half = load(name, tmp_path)
    n = len(whole) - len(range(0, len(whole), 5))
    assert_said(half, f"the split is drawn from {n:,} images; the study's is drawn from")
    assert set(half.files) < set(whole.files)
    assert len(load(name, tmp_path, "all")) == n
    assert root.is_dir()


def test_breakhis_without_malignant_is_refused_by_name(tree, tmp_path):
    shutil.rmtree(tree("breakhis") / "malignant")
    with pytest.raises(InputError, match="breast has no malignant"):
        load("breakhis", tmp_path)


def test_breakhis_without_images_is_refused(tmp_path):
    for folder in ("benign", "malignant"):
        (tmp_path / "breast" / folder).mkdir(parents=True)
    with pytest.raises(InputError, match=r"no files SOB_\*\.png"):
        load("breakhis", tmp_path)


def test_a_class_with_one_image_is_named(tree, tmp_path):
    root = tree("breakhis")
    for path in list(root.glob("benign/SOB/adenosis/*/200X/*"))[1:]:
        path.unlink()
    with pytest.raises(InputError, match=r"adenosis 200x \(class 16\)"):
        load("breakhis", tmp_path)
    assert len(load("breakhis", tmp_path, "all")) == 156


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("SOB_B_XX-14-22549-100-001.png", "the tumor type XX and the magnification 100.*A, F, PT"),
        ("SOB_B_A-14-22549-300-001.png", "magnification 300.*40, 100, 200, 400"),
        ("SOB_M_A-14-22549-100-001.png", "is marked M, but adenosis is benign"),
        ("SOB_B_A-14-22549.png", "is not named like an image of BreakHis"),
    ],
)
def test_an_impossible_name_in_breakhis_is_refused(file, message, tree, tmp_path):
    save(1, tree("breakhis") / "benign" / file)
    with pytest.raises(InputError, match=message) as error:
        load("breakhis", tmp_path)
    assert f"benign/{file}" in str(error.value)


def test_a_name_in_two_folders_of_breakhis_is_refused(tree, tmp_path):
    root = tree("breakhis")
    picture = next(root.rglob("*.png"))
    shutil.copy(picture, root / "malignant" / picture.name)
    with pytest.raises(InputError, match="counted twice") as error:
        load("breakhis", tmp_path)
    assert f"malignant/{picture.name}" in str(error.value)
    assert str(picture.relative_to(root)) in str(error.value)


def test_eurosat_without_a_class_is_refused_by_name(tree, tmp_path):
    root = tree("eurosat")
    shutil.rmtree(root / "SeaLake")
    with pytest.raises(InputError, match="EuroSAT_RGB has no SeaLake"):
        load("eurosat", tmp_path)
    (root / "SeaLake").mkdir()
    with pytest.raises(InputError, match="no images of 1 of 10 classes: SeaLake"):
        load("eurosat", tmp_path)


def test_a_face_without_all_fields_is_named_and_not_read(tree, tmp_path):
    root = tree("utkface")
    clean = load("utkface", tmp_path, "all")
    for file in ("62_1_20170109150557335.jpg.chip.jpg", "5_2_0_20170109150557335.jpg", "me.jpg"):
        save(1, root / file)
    dirty = load("utkface", tmp_path, "all")
    assert dirty.files == clean.files
    assert_said(dirty, "images without age, gender, race and date in their names are not read: 3")
    assert_said(dirty, r"\(5_2_0_20170109150557335.jpg, 62_1_20170109150557335.jpg.chip.jpg, me")


def test_names_of_the_true_archive_with_a_slip_are_read(tmp_path):
    """Names of UTKFace with a blank, a date of another length or a missing dot."""
    files = (
        "14_0_0_2017011022340900.jpg.chip.jpg",
        "24_0_1_20170116220224657 .jpg.chip.jpg",
        "28_1_2_201701161846515488.jpg.chip.jpg",
        "55_0_0_20170116232725357jpg.chip.jpg",
    )
    for file in files:
        save(1, tmp_path / file)
    dataset = load("utkface", tmp_path, "all")
    assert (dataset.files, dataset.labels.tolist()) == (files, [14, 24, 28, 55])


def test_a_face_under_two_names_is_refused(tree, tmp_path):
    root = tree("utkface")
    face = next(root.glob("1_*.jpg.chip.jpg"))
    shutil.copy(face, root / face.name.removesuffix(".chip.jpg"))
    with pytest.raises(InputError, match="the same face") as error:
        load("utkface", tmp_path)
    assert face.name in str(error.value)


def test_a_folder_without_faces_is_refused(tmp_path):
    save(1, tmp_path / "UTKFace" / "61_1_20170109142408075.jpg.chip.jpg")
    with pytest.raises(InputError, match=r"no image named <age>_<gender>_<race>_<date>\.jpg"):
        load("utkface", tmp_path)


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "in9l"])
def test_test_images_in_the_folder_val_of_the_public_archive_are_read(name, tree, tmp_path):
    root = tree(name) / VARIANTS[name]
    whole = load(name, tmp_path)
    for folder in ("val", "train"):
        shutil.rmtree(root / folder)
    (root / "test").rename(root / "val")
    public = load(name, tmp_path)
    assert [file.replace("/val/", "/test/") for file in public.files] == list(whole.files)
    assert_said(public, "has no folder test; its folder val is read instead")


def test_val_of_the_archives_for_training_is_not_taken_for_test(tree, tmp_path):
    root = tree("in9mixedrand") / "mixed_rand"
    shutil.rmtree(root / "test")
    with pytest.raises(InputError, match="mixed_rand has train and val, but no test"):
        load("in9mixedrand", tmp_path)
    assert len(load("in9mixedrand", tmp_path, "val")) == 9
    shutil.rmtree(root / "val")
    with pytest.raises(InputError, match="has no folder test"):
        load("in9mixedrand", tmp_path)


def test_imagenet9_without_a_class_is_refused_by_name(tree, tmp_path):
    shutil.rmtree(tree("in9original") / "original" / "test" / "06_musical instrument")
    with pytest.raises(InputError, match="1 of 9 classes: 06_musical instrument"):
        load("in9original", tmp_path)


def test_a_mixed_image_without_two_pictures_in_its_name_has_no_background(tree, tmp_path):
    root = tree("in9mixedrand") / "mixed_rand" / "test" / "00_dog"
    picture = min(root.iterdir())
    picture.rename(root / "0.JPEG")
    dataset = load("in9mixedrand", tmp_path)
    assert (dataset.columns["background"][0], dataset.columns["source"][0]) == (None, None)
    assert_said(dataset, "images without the class of their background in their names: 1$")


def test_loading_writes_nothing(tmp_path):
    for write in (breakhis, eurosat, nabirds, utkface):
        write(tmp_path)
    imagenet9(tmp_path, "original")
    before = sorted(tmp_path.rglob("*"))
    for name in ("breakhis", "eurosat", "nabirds", "utkface", "in9original"):
        load(name, tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
