"""Interface of a dataset, and the implementation for images held in one array."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image


class Dataset(Protocol):
    """Images in a fixed order, with or without labels; picklable, for worker processes."""

    @property
    def name(self) -> str:
        """Name as given by the user."""
        ...

    @property
    def split(self) -> str:
        """Split as given by the user, or the default."""
        ...

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Name of class 0, 1, ...; None without names."""
        ...

    @property
    def labels(self) -> np.ndarray | None:
        """All labels (n,) int64; None when they are unknown without decoding images."""
        ...

    @property
    def columns(self) -> Mapping[str, np.ndarray]:
        """Further labels by name, each (n,): int64, or object with text and None where unknown."""
        ...

    @property
    def image_size(self) -> int | None:
        """Height and width of every image in pixels; None when images differ or are not square."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the identity of the data."""
        ...

    @property
    def ignored(self) -> tuple[str, ...]:
        """Ignored files: no images."""
        ...

    @property
    def said(self) -> tuple[str, ...]:
        """Sentences about guesses made from the files, to be shown once per run."""
        ...

    @property
    def sequential(self) -> bool:
        """Whether items can only be read in the order 0, 1, 2, ..., in one process."""
        ...

    def __len__(self) -> int:
        """Count the images."""
        ...

    def __getitem__(self, i: int) -> tuple[Image.Image, int | None]:
        """Return image `i` in RGB and its label; `BadImagesError` when it cannot be decoded."""
        ...

    def where(self, i: int) -> str:
        """Name image `i` for an error message: its path, or ``"digits[17]"``."""
        ...

    def path(self, i: int) -> Path | None:
        """Return the file of image `i`; None for an image without a file of its own."""
        ...


@dataclass(frozen=True)
class ArrayDataset:
    """A `Dataset` of square images held in one array.

    Attributes
    ----------
    images : ndarray (n, size, size) or (n, size, size, 3) uint8
        All images, gray or RGB; not copied.
    labels : ndarray (n,) int64
        Class of every image.

    Examples
    --------
    >>> from gpuclust import datasets
    >>> digits = datasets.load("digits")
    >>> image, label = digits[17]
    >>> digits.images.shape, image.mode, label
    ((1797, 8, 8), 'RGB', 7)
    """

    name: str
    split: str
    images: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    class_names: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    sequential: bool = False
    columns: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Image.Image, int | None]:
        from PIL import Image

        return Image.fromarray(self.images[i]).convert("RGB"), int(self.labels[i])

    def where(self, i: int) -> str:
        """Name image `i` for an error message."""
        return f"{self.name}[{i}]"

    def path(self, i: int) -> None:
        """Return None: the images are in one array."""

    @property
    def image_size(self) -> int:
        """Height and width of every image in pixels."""
        return int(self.images.shape[1])

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over pixels and labels; one pass over the bytes, then cached."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images))
        digest.update(np.ascontiguousarray(self.labels))
        return digest.hexdigest()
