"""What a data set is, and the form of it whose images are one array."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


class Dataset(Protocol):
    """Images in a fixed order, with or without labels; picklable, so that workers can read it.

    Attributes
    ----------
    name, split : str
        As the user asked for it.
    class_names : tuple of str or None
        Name of class 0, 1, ...; None when there are none.
    labels : ndarray (n,) int64 or None
        All labels, when they are known without decoding an image.
    image_size : int or None
        Side length of every image; None when the images differ.
    fingerprint : str
        SHA-256 over what identifies the data.
    ignored : tuple of str
        Files that were passed over because they are not images.
    sequential : bool
        Items can only be read in the order 0, 1, 2, ..., in one process.
    """

    name: str
    split: str
    class_names: tuple[str, ...] | None
    labels: np.ndarray | None
    image_size: int | None
    fingerprint: str
    ignored: tuple[str, ...]
    sequential: bool

    def __len__(self) -> int:
        """Count the images."""
        ...

    def __getitem__(self, i: int) -> tuple[Image.Image, int | None]:
        """Return image `i` in RGB and its label; `BadImagesError` when it cannot be decoded."""
        ...

    def where(self, i: int) -> str:
        """Name image `i` for a report: its path, or ``"digits[17]"``."""
        ...


@dataclass(frozen=True)
class ArrayDataset:
    """A `Dataset` whose images are one grey array.

    Attributes
    ----------
    images : ndarray (n, side, side) uint8
        All images; nothing is copied.
    """

    name: str
    split: str
    images: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    class_names: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    sequential: bool = False

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Image.Image, int | None]:
        from PIL import Image

        return Image.fromarray(self.images[i]).convert("RGB"), int(self.labels[i])

    def where(self, i: int) -> str:
        """Name image `i` for a report."""
        return f"{self.name}[{i}]"

    @property
    def image_size(self) -> int:
        """Side length of every image."""
        return self.images.shape[1]

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the pixels and the labels: O(bytes), once."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images))
        digest.update(np.ascontiguousarray(self.labels))
        return digest.hexdigest()
