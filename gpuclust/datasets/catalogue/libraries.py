"""Datasets of the zero-shot clustering study (arXiv 2406.02465), read with torchvision.

Numbers of images, classes and imbalance of the evaluated split are the study's; numbers of the
other splits are the publishers'.  A licence that no publisher's page states is "not stated".
"""

from __future__ import annotations

from typing import Any

from ..entry import DatasetEntry
from .columns import CELEBA_ATTRIBUTES, TAXONOMY
from .imagenets import IMAGENETS

_READERS = "gpuclust.datasets.readers"
_DOWNLOADS = f"{_READERS}.downloads"
_RESEARCH = "non-commercial research"
_NOT_STATED = "not stated"


def _arrays(summary: str, reader: str, **facts: Any) -> DatasetEntry:
    """Make the entry of a dataset of small images, read into memory."""
    return DatasetEntry(summary=summary, target=f"{_READERS}.small_images:{reader}", **facts)


def _files(summary: str, reader: str, **facts: Any) -> DatasetEntry:
    """Make the entry of a dataset of files listed by torchvision."""
    return DatasetEntry(summary=summary, target=f"{_READERS}.torchvision_files:{reader}", **facts)


LIBRARIES: dict[str, DatasetEntry] = {
    **IMAGENETS,
    "cifar10": _arrays(
        "CIFAR-10, 32 x 32",
        "load_cifar",
        splits={"test": 10_000, "train": 50_000},
        classes=10,
        imbalance=1.0,
        licence=_NOT_STATED,
        group="in-domain",
        url="https://www.cs.toronto.edu/~kriz/cifar.html",
        folders=("cifar10", "CIFAR10"),
        layout=(
            "cifar-10-batches-py/batches.meta",
            "cifar-10-batches-py/data_batch_1",
            "...",
            "cifar-10-batches-py/data_batch_5",
            "cifar-10-batches-py/test_batch",
        ),
        download=f"{_DOWNLOADS}:cifar10",
        remark="The files are pickles. torchvision opens one only after all MD5 sums of the "
        "archive agreed with the published ones.",
    ),
    "cifar100": _arrays(
        "CIFAR-100, 32 x 32; column coarse: 20 superclasses",
        "load_cifar",
        splits={"test": 10_000, "train": 50_000},
        classes=100,
        imbalance=1.0,
        licence=_NOT_STATED,
        group="in-domain",
        url="https://www.cs.toronto.edu/~kriz/cifar.html",
        columns=("coarse",),
        folders=("cifar100", "CIFAR100"),
        layout=("cifar-100-python/meta", "cifar-100-python/test", "cifar-100-python/train"),
        download=f"{_DOWNLOADS}:cifar100",
        remark="As cifar10. The superclass follows from the class by the publisher's table: "
        "torchvision does not hand over the labels in the files.",
    ),
    "lsun": DatasetEntry(
        summary="LSUN: ten kinds of scenes (pip install lmdb)",
        extra="lsun",
        target=f"{_READERS}.lsun:load",
        check=f"{_READERS}.lsun:check",
        splits={"val": 3_000, "train": None},
        classes=10,
        imbalance=1.0,
        licence=_NOT_STATED,
        group="near-ood",
        url="https://www.yf.io/p/lsun",
        folders=("lsun", "LSUN"),
        layout=(
            "bedroom_val_lmdb/data.mdb",
            "...",
            "tower_val_lmdb/data.mdb",
        ),
        remark="The study's table says 10,000 images. The public validation set has 300 for each "
        "of the ten categories; the public test set has 10,000, without labels.",
    ),
    "places365": _files(
        "Places365: scenes",
        "load_places365",
        splits={"val": 36_500, "train": 1_803_460},
        classes=365,
        imbalance=1.0,
        licence="not stated; the images belong to their owners",
        group="near-ood",
        url="http://places2.csail.mit.edu",
        folders=("Places365", "places365"),
        layout=(
            "categories_places365.txt",
            "places365_val.txt",
            "val_large/Places365_val_00000001.jpg",
        ),
        download=f"{_DOWNLOADS}:places365",
        remark="The test labels are hidden: the study evaluates val. The download has the lists "
        "and the validation images only.",
    ),
    "aircraft": _files(
        "FGVC-Aircraft by variant; columns family, manufacturer",
        "load_aircraft",
        splits={"test": 3_333, "train": 3_334, "val": 3_333, "trainval": 6_667},
        classes=100,
        imbalance=1.03,
        licence=_RESEARCH,
        group="fine-grained",
        url="https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/",
        columns=("family", "manufacturer"),
        folders=("fgvc-aircraft-2013b", "aircraft/fgvc-aircraft-2013b"),
        layout=(
            "data/images/0034309.jpg",
            "data/variants.txt",
            "data/images_variant_test.txt",
            "data/images_family_test.txt",
            "data/images_manufacturer_test.txt",
        ),
        download=f"{_DOWNLOADS}:aircraft",
    ),
    "stanfordcars": DatasetEntry(
        summary="Stanford Cars, sorted into a folder per class",
        target=f"{_READERS}.image_folder:load",
        splits={"test": 8_041, "train": 8_144},
        classes=196,
        imbalance=2.83,
        licence=_NOT_STATED,
        group="fine-grained",
        url="https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
        folders=("stanfordcars", "stanford_cars", "StanfordCars"),
        layout=("train/AM General Hummer SUV 2000/*.jpg", "test/AM General Hummer SUV 2000/*.jpg"),
        remark="The publisher's address has been gone since 2023. The study reads folders per "
        "class, and not the .mat files.",
    ),
    "flowers102": _files(
        "Oxford 102 Flowers",
        "load_flowers102",
        splits={"test": 6_149, "train": 1_020, "val": 1_020},
        classes=102,
        imbalance=11.9,
        licence=_NOT_STATED,
        group="fine-grained",
        url="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
        folders=("flowers-102", "flowers102/flowers-102"),
        layout=("imagelabels.mat", "setid.mat", "jpg/image_00001.jpg"),
        download=f"{_DOWNLOADS}:flowers102",
    ),
    "inaturalist": DatasetEntry(
        summary="iNaturalist 2021 by species; columns kingdom to genus",
        target=f"{_READERS}.inaturalist:load",
        splits={"val": 100_000, "train": 2_686_843, "train-mini": 500_000},
        classes=10_000,
        imbalance=1.0,
        licence=_RESEARCH,
        group="fine-grained",
        url="https://github.com/visipedia/inat_comp/tree/master/2021",
        columns=TAXONOMY,
        folders=("iNaturalist", "inaturalist"),
        layout=(
            "2021_valid/00000_kingdom_phylum_class_order_family_genus_species/*.jpg",
            "2021_train/...",
        ),
        download=f"{_DOWNLOADS}:inaturalist",
        remark="The test labels are hidden: the study evaluates 2021_valid. The archive calls the "
        "folder val; rename it. The download has the validation images only.",
    ),
    "celeba": DatasetEntry(
        summary="CelebA by identity; columns: 40 attributes",
        target=f"{_READERS}.celeba:load",
        splits={"test": 19_962, "train": 162_770, "valid": 19_867},
        classes=1_000,
        imbalance=32.0,
        licence=_RESEARCH,
        group="far-ood",
        url="http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        columns=CELEBA_ATTRIBUTES,
        folders=("celeba",),
        layout=(
            "img_align_celeba/000001.jpg",
            "list_eval_partition.txt",
            "identity_CelebA.txt",
            "list_attr_celeba.txt",
        ),
        download=f"{_DOWNLOADS}:celeba",
        remark="The download needs the package gdown (pip install gdown).",
    ),
    "dtd": _files(
        "Describable Textures, partition 1",
        "load_dtd",
        splits={"test": 1_880, "train": 1_880, "val": 1_880},
        classes=47,
        imbalance=1.0,
        licence=_NOT_STATED,
        group="far-ood",
        url="https://www.robots.ox.ac.uk/~vgg/data/dtd/",
        folders=("dtd", "DTD/dtd"),
        layout=("dtd/images/banded/banded_0002.jpg", "dtd/labels/test1.txt"),
        download=f"{_DOWNLOADS}:dtd",
    ),
    "mnist": _arrays(
        "MNIST digits, 28 x 28",
        "load_mnist",
        splits={"test": 10_000, "train": 60_000},
        classes=10,
        imbalance=1.27,
        licence="CC BY-SA 3.0",
        group="far-ood",
        url="http://yann.lecun.com/exdb/mnist",
        folders=("MNIST/raw", "mnist"),
        layout=("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "train-images-idx3-ubyte"),
        download=f"{_DOWNLOADS}:mnist",
    ),
    "svhn": _arrays(
        "SVHN: cropped digits of street numbers, 32 x 32",
        "load_svhn",
        splits={"test": 26_032, "train": 73_257, "extra": 531_131},
        classes=10,
        imbalance=3.2,
        licence="non-commercial",
        group="far-ood",
        url="http://ufldl.stanford.edu/housenumbers/",
        folders=("svhn", "SVHN"),
        layout=("test_32x32.mat", "train_32x32.mat"),
        download=f"{_DOWNLOADS}:svhn",
    ),
}
"""Entries by the study's code names, with those of `IMAGENETS`."""
