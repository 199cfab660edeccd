"""Datasets of the zero-shot clustering study (arXiv 2406.02465) with layouts of their own."""

from __future__ import annotations

from typing import Any

from ..entry import DatasetEntry

_READERS = "gpuclust.datasets.readers"
_IN9_FOLDERS = (
    "in9_bg_challenge",
    "bg_challenge",
    "backgrounds_challenge/bg_challenge",
    "backgrounds_challenge",
    "imagenet9",
)


def _imagenet9(variant: str, summary: str, n: int | None = 4_050, **facts: Any) -> DatasetEntry:
    """Make the entry of a variant of ImageNet-9; `n` counts its test images."""
    test = {"test": n} if variant != "in9l" else {}
    given: dict[str, Any] = {
        "splits": {**test, "val": None, "train": None},
        "imbalance": 1.0 if n else None,
        "group": "domain-shift",
        "remark": (
            "The public archive backgrounds_challenge_data.tar.gz has the test images in folders "
            "named val, without train. The links of the archives for training are reported broken. "
            "The names of mixed images (foreground first) were not checked on the true files."
        ),
        **facts,
    }
    return DatasetEntry(
        summary=f"ImageNet-9, {summary}",
        target=f"{_READERS}.imagenet9:load",
        classes=9,
        licence="not stated",
        url="https://github.com/MadryLab/backgrounds_challenge",
        columns=("source", "background"),
        folders=_IN9_FOLDERS,
        layout=(
            f"{variant}/{'val' if variant == 'in9l' else 'test'}/00_dog/*.JPEG",
            "  ... 01_bird, 02_wheeled vehicle, 03_reptile, 04_carnivore, 05_insect,",
            "  ... 06_musical instrument, 07_primate, 08_fish",
        ),
        **given,
    )


LAYOUTS: dict[str, DatasetEntry] = {
    "in9original": _imagenet9("original", "unchanged pictures", group="in-domain"),
    "in9onlyfg": _imagenet9("only_fg", "foregrounds on black"),
    "in9mixedrand": _imagenet9("mixed_rand", "foregrounds on backgrounds of random classes"),
    "in9mixedsame": _imagenet9("mixed_same", "foregrounds on other backgrounds of their class"),
    "in9mixednext": _imagenet9("mixed_next", "foregrounds on backgrounds of the next class"),
    "in9nofg": _imagenet9("no_fg", "foregrounds blacked out", None),
    "in9onlybgb": _imagenet9("only_bg_b", "boxes around foregrounds blacked out", None),
    "in9onlybgt": _imagenet9("only_bg_t", "boxes around foregrounds tiled over", None),
    "in9l": _imagenet9(
        "in9l",
        "the larger set for training, unchanged pictures",
        None,
        group="in-domain",
        remark="Has no test images: the study takes val. The link to it is reported broken.",
    ),
    "nabirds": DatasetEntry(
        summary="NABirds, photographs of North American birds",
        target=f"{_READERS}.nabirds:load",
        splits={"test": 24_633, "train": 23_929, "all": 48_562},
        classes=555,
        imbalance=6.67,
        licence="not stated",
        group="fine-grained",
        url="https://dl.allaboutbirds.org/nabirds",
        columns=("level_1", "level_2", "level_3"),
        folders=("nabirds", "NABirds/nabirds", "NABirds"),
        layout=(
            "images/<class>/*.jpg",
            "images.txt",
            "image_class_labels.txt",
            "train_test_split.txt",
            "classes.txt",
            "hierarchy.txt",
        ),
        remark=(
            "Asks for an agreement. The depth of the true hierarchy.txt was not checked: a class "
            "that ends above a level stands there itself."
        ),
    ),
    "utkface": DatasetEntry(
        summary="UTKFace, cropped faces labelled with age in years",
        target=f"{_READERS}.utkface:load",
        splits={"test": 5_925, "train": 17_780, "all": 23_705},
        classes=101,
        imbalance=549.0,
        licence="non-commercial research",
        group="far-ood",
        url="https://susanqq.github.io/UTKFace",
        columns=("age", "gender", "race"),
        folders=(
            "UTKFace",
            "utkface",
            "UTKFace/UTKFace",
            "utkface/UTKFace",
            "utkface_aligned_cropped/UTKFace",
        ),
        layout=("<age>_<gender>_<race>_<date>.jpg.chip.jpg, 23,708 files in one folder",),
        remark=(
            "The split is the study's: by age, every fourth face. Its choice among faces of equal "
            "age depends on the machine that sorted them, which is unknown; number and ages of the "
            "test images do not. Three files without a race in their names are left out."
        ),
    ),
    "breakhis": DatasetEntry(
        summary="BreakHis, microscopic images of breast tumors, by type and magnification",
        target=f"{_READERS}.breakhis:load",
        splits={"test": 3_164, "train": 4_745, "all": 7_909},
        classes=32,
        imbalance=8.60,
        licence="CC BY 4.0",
        group="far-ood",
        url="https://web.inf.ufpr.br/vri/databases/breast-cancer-histopathological-database-breakhis",
        columns=("tumor_type", "malignancy", "magnification", "slide"),
        folders=(
            "BreaKHis_v1/histology_slides/breast",
            "breakhis/BreaKHis_v1/histology_slides/breast",
            "breakhis/histology_slides/breast",
            "histology_slides/breast",
            "breast",
            "BreaKHis_v1",
            "breakhis",
        ),
        layout=(
            "benign/SOB/<type>/SOB_B_<type>_<year>-<slide>/<magnification>X/SOB_B_*.png",
            "malignant/SOB/<type>/SOB_M_<type>_<year>-<slide>/<magnification>X/SOB_M_*.png",
        ),
        remark=(
            "The split is the study's: 40 % of every class, seed 0. Images of one slide are in "
            "both splits. The licence is quoted from another library's documentation."
        ),
    ),
    "eurosat": DatasetEntry(
        summary="EuroSAT, land use in satellite images, RGB, 64 x 64",
        target=f"{_READERS}.eurosat:load",
        splits={"test": 4_050, "train": 22_950, "all": 27_000},
        classes=10,
        imbalance=1.5,
        licence="MIT",
        group="far-ood",
        url="https://zenodo.org/records/7711810",
        folders=(
            "eurosat/EuroSAT_RGB",
            "EuroSAT/EuroSAT_RGB",
            "eurosat/2750",
            "EuroSAT/2750",
            "EuroSAT_RGB",
            "2750",
        ),
        layout=(
            "AnnualCrop/AnnualCrop_*.jpg",
            "  ... Forest, HerbaceousVegetation, Highway, Industrial, Pasture, PermanentCrop,",
            "  ... Residential, River, SeaLake",
        ),
        download=f"{_READERS}.downloads:eurosat",
        remark=(
            "The split is the study's: 15 % of every class, seed 0. The study took "
            "EuroSAT_RGB.zip; torchvision downloads the older EuroSAT.zip (folder 2750) with the "
            "same number of images and names of classes. That their pixels are equal was not "
            "checked."
        ),
    ),
}
