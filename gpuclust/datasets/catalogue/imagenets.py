"""ImageNet-1k and the datasets made after its classes, one folder per class."""

from __future__ import annotations

from typing import Any

from ..entry import DatasetEntry

_READERS = "gpuclust.datasets.readers"
_DOWNLOADS = f"{_READERS}.downloads"
_RESEARCH = "non-commercial research"
_NOT_STATED = "not stated"


def _class_folders(summary: str, **facts: Any) -> DatasetEntry:
    """Make the entry of a dataset with one folder per class."""
    return DatasetEntry(summary=summary, target=f"{_READERS}.image_folder:load", **facts)


def _of_fastai(
    summary: str, archive: str, first: str, train: int, val: int, **facts: Any
) -> DatasetEntry:
    """Make the entry of ten classes of ImageNet; `first` is the first of them."""
    name = archive.removesuffix("2")
    return _class_folders(
        summary,
        splits={"val": val, "train": train, "search": val},
        classes=10,
        licence=_RESEARCH,
        group="in-domain",
        url="https://github.com/fastai/imagenette",
        folders=(name, archive),
        layout=tuple(f"{split}/{first}/*.JPEG" for split in ("train", "val")),
        **facts,
    )


IMAGENETS: dict[str, DatasetEntry] = {
    "imagenet": _class_folders(
        "ImageNet-1k (ILSVRC 2012), val sorted into a folder per class",
        splits={"val": 50_000, "train": 1_281_167, "search": 50_000},
        classes=1_000,
        imbalance=1.0,
        licence=_RESEARCH,
        group="in-domain",
        url="https://image-net.org/challenges/LSVRC/2012/2012-downloads.php",
        folders=("imagenet", "ImageNet", "ILSVRC/Data/CLS-LOC"),
        layout=("train/n01440764/*.JPEG", "val/n01440764/*.JPEG"),
        remark="The test labels are hidden: the study evaluates val, and draws its search split of "
        "equal size from train. The validation archive is flat; sort it into a folder per class.",
    ),
    "imagenetv2": _class_folders(
        "ImageNetV2, matched frequency: new photos for the classes of ImageNet",
        splits={"all": 10_000},
        classes=1_000,
        imbalance=1.0,
        licence="as ImageNet: non-commercial research",
        group="in-domain",
        url="https://github.com/modestyachts/ImageNetV2",
        folders=(
            "imagenetv2/imagenetv2-matched-frequency-format-val",
            "imagenetv2-matched-frequency-format-val",
            "imagenetv2",
        ),
        layout=("0/*.jpeg", "1/*.jpeg", "..."),
        remark="Class folders are numbers sorted as text: label 2 is folder 10. The labels are "
        "not the numbers of ImageNet's classes; no score of a clustering depends on them.",
    ),
    "imagenet-r": _class_folders(
        "ImageNet-R: renditions of 200 classes; column artform",
        splits={"all": 30_000},
        classes=200,
        imbalance=8.43,
        licence=_NOT_STATED,
        group="domain-shift",
        url="https://github.com/hendrycks/imagenet-r",
        columns=("artform",),
        folders=("imagenet-r",),
        layout=("n01443537/art_0.jpg", "n01443537/cartoon_0.jpg", "..."),
        remark="The artform is the text before the first _ of the file name, as in the study.",
    ),
    "imagenet-sketch": _class_folders(
        "ImageNet-Sketch: black and white sketches",
        splits={"all": 50_889},
        classes=1_000,
        imbalance=1.02,
        licence="MIT (of the repository)",
        group="domain-shift",
        url="https://github.com/HaohanWang/ImageNet-Sketch",
        folders=("imagenet-sketch", "sketch", "imagenet-sketch/sketch"),
        layout=("n01440764/*.JPEG", "..."),
        remark="The publisher's page says 50,000 images; the archive has 50,889.",
    ),
    "imagenet-o": _class_folders(
        "ImageNet-O: images of no class of ImageNet, taken for one of 200",
        splits={"all": 2_000},
        classes=200,
        imbalance=6.0,
        licence="MIT (of the repository)",
        group="near-ood",
        url="https://github.com/hendrycks/natural-adv-examples",
        folders=("imagenet-o",),
        layout=("n*/*.JPEG",),
        remark="The label is the class of ImageNet for which a classifier took the image.",
    ),
    "imagenette": _of_fastai(
        "Imagenette: ten easy classes of ImageNet, full size",
        "imagenette2",
        "n01440764",
        9_469,
        3_925,
        download=f"{_DOWNLOADS}:imagenette",
        remark="The study's search split has as many images as val, drawn from train.",
    ),
    "imagewoof": _of_fastai(
        "Imagewoof: ten breeds of dogs of ImageNet, full size",
        "imagewoof2",
        "n02086240",
        9_025,
        3_929,
        remark="The study's search split has as many images as val, drawn from train. Download: "
        "https://s3.amazonaws.com/fast-ai-imageclas/imagewoof2.tgz",
    ),
}
"""Entries by the study's code names, and the two further datasets of its parameter search."""
