"""Datasets of timm's factory: torchvision, Hugging Face, TensorFlow Datasets and WebDataset.

timm only logs an image that cannot be decoded, and returns the next one instead.  Images are read
below that layer, so that a bad image is an error.
"""

from __future__ import annotations

import hashlib
import importlib.util
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Source:
    """Requirements of one prefix of timm's names.

    Attributes
    ----------
    package : str
        Package that must be importable.
    install : str
        Arguments of ``pip install`` that bring it.
    needs_folder : bool
        Whether the data must lie in ``--data-dir``.
    stream : bool
        Whether images can only be read in order.
    """

    package: str
    install: str
    needs_folder: bool = False
    stream: bool = False


SOURCES = {
    "torch": Source("torchvision", "torchvision", needs_folder=True),
    "hfds": Source("datasets", "'gpuclust[hub]'"),
    "tfds": Source("tensorflow_datasets", "tensorflow tensorflow-datasets", stream=True),
    "wds": Source("webdataset", "webdataset", needs_folder=True, stream=True),
}

# Exceptions of the four libraries for missing files, unknown names and unknown splits.
_REFUSALS = (OSError, RuntimeError, ValueError, AssertionError, ImportError, LookupError, TypeError)


def check(name: str, split: str | None = None) -> None:
    """Raise if the library for a dataset is not installed; imports no library.

    Parameters
    ----------
    name : str
        Name with a prefix of `SOURCES`, such as ``"torch/kmnist"``.
    split : str, optional
        Not checked: only the library knows its splits.

    Raises
    ------
    InputError
        The library is missing; the message says how to install it.

    Examples
    --------
    >>> from gpuclust.datasets.readers import timm_factory
    >>> timm_factory.check("torch/kmnist")
    """
    del split
    source = SOURCES[name.partition("/")[0]]
    if importlib.util.find_spec(source.package) is None:
        raise InputError(
            f"{name} needs the package {source.package}, which is not installed. "
            f"Install it: pip install {source.install}"
        )


def load(name: str, split: str, data_dir: Path | None) -> IndexedDataset | StreamDataset:
    """Open a dataset with `timm.data.create_dataset`; torchvision datasets are not downloaded.

    Parameters
    ----------
    name : str
        Name with a prefix of `SOURCES`, such as ``"torch/kmnist"``.
    split : str
        Split of the dataset; for WebDataset ``"shard-{000..009}.tar|n"`` with the number of images.
    data_dir : Path or None
        Folder of the dataset.

    Raises
    ------
    InputError
        The files or the split are missing, `data_dir` is needed, or the library refused; the
        message quotes it.
    """
    source = SOURCES[name.partition("/")[0]]
    if source.needs_folder and data_dir is None:
        raise InputError(f"{name} is read from a folder. Name the folder with --data-dir.")
    from timm.data import create_dataset

    root = None if data_dir is None else str(data_dir)
    try:
        raw = create_dataset(name, root=root, split=split)
    except _REFUSALS as error:
        raise InputError(_refusal(name, split, data_dir, error)) from error
    return _stream(name, split, raw) if source.stream else _indexed(name, split, raw)


def _refusal(name: str, split: str, data_dir: Path | None, error: Exception) -> str:
    where = f" in {data_dir}" if data_dir is not None else ""
    said = str(error).strip() or type(error).__name__
    message = f"could not open {name}, split {split!r}{where}: {type(error).__name__}: {said}."
    if name.startswith("torch/"):
        return (
            f"{message} gpuclust does not download torchvision datasets: copy the files there, or "
            f"open the dataset once with torchvision.datasets and download=True."
        )
    return f"{message} Check the name, --split and --data-dir."


def _open(path: str) -> Image.Image:
    from .. import image

    return image.read(path, where=str(path))


@dataclass(frozen=True)
class IndexedDataset:
    """`Dataset` with random access: torchvision, or timm's reader of Hugging Face datasets."""

    name: str
    split: str
    raw: Any = field(repr=False)
    labels: np.ndarray | None = field(repr=False)
    class_names: tuple[str, ...] | None
    fingerprint: str
    image_size: int | None = None
    ignored: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    sequential: bool = False
    columns: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.raw)

    def __getitem__(self, i: int) -> tuple[Image.Image, int | None]:
        from .. import image

        if hasattr(self.raw, "reader"):
            item = self.raw.reader.dataset[i][self.raw.reader.image_key]
            picture, label = image.read(_source(item), where=self.where(i)), None
        else:
            picture, label = self.raw[i]
            picture = image.to_rgb(picture)
        return picture, _label(label if self.labels is None else self.labels[i])

    def path(self, i: int) -> Path | None:
        """Return the file of image `i`; None without files."""
        for listing in ("samples", "imgs"):
            if hasattr(self.raw, listing):
                return Path(getattr(self.raw, listing)[i][0])
        return None

    def where(self, i: int) -> str:
        """Return the path of image `i`, or a name such as ``"torch/kmnist[17]"`` without files."""
        for listing in ("samples", "imgs"):
            if hasattr(self.raw, listing):
                return str(getattr(self.raw, listing)[i][0])
        return f"{self.name}[{i}]"


def _source(item: dict[str, Any]) -> Any:
    """Return the bytes or the path of an undecoded Hugging Face image, for Pillow."""
    import io

    return io.BytesIO(item["bytes"]) if item.get("bytes") else item["path"]


def _label(value: Any) -> int | None:
    """Return a class index, or None for None and negative numbers (no label)."""
    if value is None:
        return None
    label = operator.index(value.item() if hasattr(value, "item") else value)
    return label if label >= 0 else None


def _indexed(name: str, split: str, raw: Any) -> IndexedDataset:
    if hasattr(raw, "loader"):
        raw.loader = _open  # scales 16-bit images and reports bad images by path
    names = getattr(raw, "classes", None)
    if hasattr(raw, "reader"):
        number = raw.reader.class_to_idx
        names = sorted(number, key=number.get) if number else None
    labels = _labels(raw)
    return IndexedDataset(
        name=name,
        split=split,
        raw=raw,
        labels=labels,
        class_names=tuple(n if isinstance(n, str) else n[0] for n in names) if names else None,
        fingerprint=_fingerprint(name, split, raw, labels),
        image_size=_image_size(raw),
    )


def _labels(raw: Any) -> np.ndarray | None:
    """Return labels (n,) int64 without decoding images, or None if any label is missing."""
    if hasattr(raw, "reader"):
        dataset, key = raw.reader.dataset, raw.reader.label_key
        targets = dataset[key] if key in dataset.column_names else None
    elif hasattr(raw, "targets"):
        targets = raw.targets
    else:
        targets = [label for label, _ in raw.index] if hasattr(raw, "index") else None
    if targets is None or any(target is None for target in targets):
        return None
    labels = np.asarray(targets)
    if labels.dtype.kind not in "iu":
        raise InputError(
            f"the labels have dtype {labels.dtype}; integers 0, 1, 2, ... are needed. Choose a "
            f"dataset with integer class labels."
        )
    labels = labels[:, 0] if labels.ndim == 2 else labels  # QMNIST: the class, then the writer
    return labels.astype(np.int64) if labels.min(initial=0) >= 0 else None


def _image_size(raw: Any) -> int | None:
    shape = np.shape(getattr(raw, "data", ()))
    return int(shape[1]) if len(shape) >= 3 and shape[1] == shape[2] else None


def _fingerprint(name: str, split: str, raw: Any, labels: np.ndarray | None) -> str:
    """Hash name, split, number of images and labels, and the pixels or paths where available."""
    from .. import image

    digest = hashlib.sha256(f"{name}\0{split}\0{len(raw)}\0{image.DECODING}\0".encode())
    if labels is not None:
        digest.update(np.ascontiguousarray(labels))
    if hasattr(raw, "data"):
        digest.update(np.ascontiguousarray(raw.data))
    for listing in ("samples", "imgs"):
        for path, _ in getattr(raw, listing, ()):
            digest.update(Path(path).name.encode(errors="surrogateescape") + b"\n")
    if hasattr(raw, "reader"):
        digest.update(str(getattr(raw.reader.dataset, "_fingerprint", "")).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class StreamDataset:
    """`Dataset` read as a stream: image `i` must follow image `i - 1`; image 0 restarts it."""

    name: str
    split: str
    raw: Any = field(repr=False)
    fingerprint: str
    at: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    labels: None = None
    class_names: None = None
    image_size: None = None
    ignored: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    sequential: bool = True
    columns: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.raw)

    def __getitem__(self, i: int) -> tuple[Image.Image, int | None]:
        from .. import image

        if i == 0:
            self.at.update(next=0, stream=iter(self.raw))
        if i != self.at.get("next"):
            expected = self.at.get("next", 0)
            raise InputError(
                f"{self.name} is a stream: image {i} was requested, but image {expected} is next. "
                f"Read the images in the order 0, 1, 2, ..."
            )
        picture, label = self._following(self.at["stream"], i)
        self.at["next"] = i + 1
        return image.to_rgb(picture), _label(label)

    def _following(self, stream: Iterator[Any], i: int) -> tuple[Any, Any]:
        try:
            return next(stream)
        except StopIteration:
            raise InputError(
                f"{self.name} ended after {i} of {len(self)} images: shards are missing, contain "
                f"bad images, or the number of images in --split is wrong. Check them."
            ) from None

    def path(self, i: int) -> None:
        """Return None: the images are in shards."""

    def where(self, i: int) -> str:
        """Return a name for image `i`, such as ``"wds/name[17]"``."""
        return f"{self.name}[{i}]"


def _stream(name: str, split: str, raw: Any) -> StreamDataset:
    n = len(raw)
    if not n:
        raise InputError(
            f"{name} has no number of images for split {split!r}. Append it to the shards: "
            f"--split 'shard-{{000..009}}.tar|10000'."
        )
    from .. import image

    identity = hashlib.sha256(f"{name}\0{split}\0{n}\0{image.DECODING}".encode()).hexdigest()
    return StreamDataset(name=name, split=split, raw=raw, fingerprint=identity)
