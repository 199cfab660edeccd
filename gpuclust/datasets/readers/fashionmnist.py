"""Fashion-MNIST from its four idx files, in the layout of torchvision or Debian; idx files."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from ...errors import InputError
from ..dataset import ArrayDataset
from ..location import see

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
STEMS = {"train": "train", "test": "t10k"}
"""First part of the file names of a split."""


def load(name: str, split: str, data_dir: Path | None) -> ArrayDataset:
    """Load one split: 60,000 (train) or 10,000 (test) images of 28 x 28 pixels.

    Raises
    ------
    InputError
        The files are missing (the message lists the folders searched), truncated or invalid.
    """
    images, labels = read_pair(*_find(STEMS[split], data_dir), title="Fashion-MNIST")
    return ArrayDataset(
        name=name,
        split=split,
        images=images,
        labels=labels,
        class_names=CLASSES,
    )


def read_pair(
    image_file: Path, label_file: Path, *, title: str, classes: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """Read images (n, h, w) uint8 and labels (n,) int64 from two idx files of one split.

    Raises
    ------
    InputError
        As `read_idx`; the numbers of images and labels differ; or a label is no class of the
        dataset, called `title` in the message.
    """
    images, labels = read_idx(image_file, ndim=3), read_idx(label_file, ndim=1)
    if len(images) != len(labels):
        raise InputError(
            f"{image_file} has {len(images)} images but {label_file} has {len(labels)} labels: "
            f"they belong to different datasets. Download both again."
        )
    if labels.size and labels.max() >= classes:
        raise InputError(
            f"{label_file} has label {labels.max()}; {title} has labels 0 to {classes - 1}. "
            f"Download it again."
        )
    return images, labels.astype(np.int64)


def pair_in(folder: Path, stem: str) -> tuple[Path, Path] | None:
    """Return the image file and the label file of a split, packed or not; None without both."""
    images = _either(folder / f"{stem}-images-idx3-ubyte")
    labels = _either(folder / f"{stem}-labels-idx1-ubyte")
    return (images, labels) if images and labels else None


def _find(stem: str, data_dir: Path | None) -> tuple[Path, Path]:
    """Return the image file and the label file of a split, from the first folder with both."""
    folders = [DEBIAN]
    if data_dir is not None:
        own = [data_dir / "FashionMNIST" / "raw", data_dir, data_dir / "fashion-mnist"]
        folders = own + folders
    for folder in folders:
        pair = pair_in(folder, stem)
        if pair is not None:
            return pair
    raise InputError(
        f"fashionmnist: {stem}-images-idx3-ubyte(.gz) and its label file were not found in "
        f"{', '.join(map(str, folders))}. On Debian or Ubuntu: apt-get install "
        f"dataset-fashion-mnist; otherwise set --data-dir to the folder of the four files. "
        f"{see('fashionmnist')}"
    )


def _either(path: Path) -> Path | None:
    """Return the uncompressed file if it exists, otherwise its .gz, otherwise None."""
    packed = path.with_name(f"{path.name}.gz")
    return next((p for p in (path, packed) if p.is_file()), None)


def read_idx(path: Path, *, ndim: int) -> np.ndarray:
    """Read an idx file of unsigned bytes.

    Parameters
    ----------
    path : Path
        File to read, compressed if its name ends in ``.gz``.
    ndim : int
        Number of dimensions expected.

    Returns
    -------
    ndarray uint8
        Read-only, with the shape of the header.

    Raises
    ------
    InputError
        The magic number is wrong, or the number of bytes differs from the header.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from gpuclust.datasets.readers.fashionmnist import read_idx
    >>> path = Path(tempfile.mkdtemp()) / "labels-idx1-ubyte"
    >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    >>> read_idx(path, ndim=1)
    array([7, 8, 9], dtype=uint8)
    """
    content = _content(path)
    magic, header = struct.pack(">I", 0x0800 + ndim), 4 + 4 * ndim
    if content[:4] != magic[: len(content)]:
        raise InputError(
            f"{path} is not an idx file of {ndim} dimension(s): it starts with "
            f"{content[:4].hex()}, not {magic.hex()}. Download it again."
        )
    shape = struct.unpack(f">{ndim}I", content[4:header]) if len(content) >= header else None
    expected = header + int(np.prod(shape, dtype=object)) if shape else header
    if shape is None or len(content) != expected:
        what = "is truncated" if len(content) < expected else "is too long"
        raise InputError(
            f"{path} {what}: {len(content)} bytes where its header needs {expected}. "
            f"Download it again."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {path}: {error}. Download it again.") from error
