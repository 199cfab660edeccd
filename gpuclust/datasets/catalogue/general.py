"""Datasets inside packages, the user's own images and vectors, and datasets of timm's factory."""

from __future__ import annotations

from typing import Any

from ..entry import DatasetEntry

_READERS = "gpuclust.datasets.readers"
_TIMM = f"{_READERS}.timm_factory:load"
_TIMM_CHECK = f"{_READERS}.timm_factory:check"


def _of_timm(summary: str, **facts: Any) -> DatasetEntry:
    """Make the entry of a dataset that timm's factory reads."""
    return DatasetEntry(summary=summary, target=_TIMM, check=_TIMM_CHECK, **facts)


GENERAL: dict[str, DatasetEntry] = {
    "digits": DatasetEntry(
        summary="handwritten digits, 8 x 8 (inside scikit-learn)",
        target=f"{_READERS}.digits:load",
        splits={"all": 1797},
        classes=10,
        imbalance=1.05,
        licence="CC BY 4.0",
        group="far-ood",
        url="https://archive.ics.uci.edu/dataset/80",
    ),
    "fashionmnist": DatasetEntry(
        summary="Fashion-MNIST, 28 x 28 (apt-get install dataset-fashion-mnist, or --data-dir)",
        target=f"{_READERS}.fashionmnist:load",
        splits={"test": 10_000, "train": 60_000},
        classes=10,
        imbalance=1.0,
        licence="MIT",
        group="far-ood",
        url="https://github.com/zalandoresearch/fashion-mnist",
        folders=("FashionMNIST/raw", "fashion-mnist"),
        layout=(
            "t10k-images-idx3-ubyte(.gz)",
            "t10k-labels-idx1-ubyte(.gz)",
            "train-images-idx3-ubyte(.gz)",
            "train-labels-idx1-ubyte(.gz)",
        ),
        download=f"{_READERS}.downloads:fashionmnist",
    ),
    "folder": DatasetEntry(
        summary="your images: a sub-folder per class, train/val/test above them, or flat",
        any_split=True,
        target=f"{_READERS}.folder:load",
        check=f"{_READERS}.folder:check",
        rest=":<path>",
        licence="yours",
    ),
    "vectors": DatasetEntry(
        summary="your vectors in a file or a folder of .npy files; ?labels=<path> adds labels",
        target="gpuclust.vectors.dataset:load",
        check="gpuclust.vectors.dataset:check",
        rest=":<path>",
        licence="yours",
    ),
    "torch/kmnist": _of_timm(
        "Kuzushiji-MNIST, 28 x 28, in --data-dir",
        splits={"test": 10_000, "train": 60_000},
        classes=10,
        imbalance=1.0,
        licence="CC BY-SA 4.0",
        group="far-ood",
        url="https://github.com/rois-codh/kmnist",
    ),
    "torch/qmnist": _of_timm(
        "QMNIST digits, 28 x 28, in --data-dir",
        splits={"test": 60_000, "train": 60_000},
        classes=10,
        group="far-ood",
        url="https://github.com/facebookresearch/qmnist",
    ),
    "hfds": _of_timm(
        "a dataset of the Hugging Face hub, or a local copy of it",
        rest="/<name>",
        splits={"validation": None},
        any_split=True,
        extra="hub",
        url="https://huggingface.co/datasets",
    ),
    "tfds": _of_timm(
        "a dataset of TensorFlow Datasets",
        rest="/<name>",
        splits={"validation": None},
        any_split=True,
        url="https://www.tensorflow.org/datasets",
    ),
    "wds": _of_timm(
        "WebDataset shards in --data-dir",
        rest="/<name>",
        splits={"validation": None},
        any_split=True,
        url="https://github.com/webdataset/webdataset",
    ),
}
