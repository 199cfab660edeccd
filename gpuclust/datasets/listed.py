"""Dataset of image files listed by a reader, with labels."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .folders.walk import printable

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class ListedImages:
    """`Dataset` of the image files of a published dataset.

    Attributes
    ----------
    root : Path
        Folder of the dataset.
    files : tuple of str
        Paths relative to `root`, with ``/``, in the order of the dataset.
    labels : ndarray (n,) int64 or None
        Class of every image.
    columns : mapping of str to ndarray (n,)
        Further labels: int64, or object with text and None where unknown.
    said : tuple of str
        Sentences about guesses, such as the folder that was taken.

    Examples
    --------
    >>> from PIL import Image
    >>> Image.new("L", (6, 4)).save(tmp_path / "7_1_0_a.png")
    >>> faces = ListedImages("faces", "all", tmp_path, ("7_1_0_a.png",), np.array([7]), None)
    >>> faces[0][0].mode, faces[0][1]
    ('RGB', 7)
    """

    name: str
    split: str
    root: Path
    files: tuple[str, ...] = field(repr=False)
    labels: np.ndarray | None = field(repr=False)
    class_names: tuple[str, ...] | None = field(repr=False)
    columns: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    said: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    image_size: None = None
    sequential: bool = False

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[Image.Image, int | None]:
        from . import image

        picture = image.read(self.path(i), where=self.where(i))
        return picture, None if self.labels is None else int(self.labels[i])

    def path(self, i: int) -> Path:
        """Return the file of image `i`."""
        return self.root / self.files[i]

    def where(self, i: int) -> str:
        """Return the path of image `i`; bytes outside UTF-8 are escaped."""
        return printable(str(self.path(i)))

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over the rules of decoding, name, split, paths and labels.

        Moving the dataset does not change it.  Published images do not change, so their bytes are
        not read.
        """
        from . import image

        digest = hashlib.sha256(f"{self.name}\0{self.split}\0{image.DECODING}\0".encode())
        for file in self.files:
            digest.update(os.fsencode(file) + b"\0")
        if self.labels is not None:
            digest.update(np.ascontiguousarray(self.labels, np.int64))
        return digest.hexdigest()
