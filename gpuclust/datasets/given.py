"""Datasets of images given from Python: a list of files, or images in memory."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BadImagesError, InputError
from ..files.paths import expand

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class ListedFiles:
    """`Dataset` of image files in a given order, without labels.

    Attributes
    ----------
    files : tuple of str
        Absolute paths.

    Examples
    --------
    >>> from PIL import Image
    >>> Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    >>> len(ListedFiles.of([tmp_path / "a.png"]))
    1
    """

    name: str
    files: tuple[str, ...] = field(repr=False)
    fingerprint: str
    split: str = "all"
    class_names: None = None
    labels: None = None
    ignored: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    image_size: None = None
    sequential: bool = False
    columns: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, paths: Sequence[str | Path]) -> ListedFiles:
        """List image files; none is opened.

        Raises
        ------
        InputError
            When a path is missing, or is no file.
        """
        from . import image

        files = [str(expand(path).absolute()) for path in paths]
        digest = hashlib.sha256(b"%d" % image.DECODING)
        for file in files:
            digest.update(os.fsencode(file) + _state(file))
        name = "files:" + hashlib.sha256(b"\0".join(map(os.fsencode, files))).hexdigest()[:16]
        return cls(name, tuple(files), digest.hexdigest())

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[Image.Image, None]:
        from . import image

        return image.read(self.files[i], where=self.where(i)), None

    def where(self, i: int) -> str:
        """Return the path of image `i` as text; bytes outside UTF-8 are escaped."""
        return os.fsencode(self.files[i]).decode("utf-8", "backslashreplace")

    def path(self, i: int) -> Path:
        """Return the path of image `i`."""
        return Path(self.files[i])


def _state(file: str) -> bytes:
    """Return size and time of change of a file, as bytes to hash."""
    try:
        status = Path(file).stat()
    except (OSError, ValueError) as error:
        raise InputError(f"there is no image {file!r} ({error}). Check the list.") from error
    if not Path(file).is_file():
        raise InputError(f"{file!r} is no file. Give image files, or one folder instead of a list.")
    return b"\0%d %d\n" % (status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class ImagesInMemory:
    """`Dataset` of images in memory, without labels.

    Attributes
    ----------
    images : sequence of PIL.Image.Image, or ndarray (n, h, w) or (n, h, w, 3) uint8
        Not copied.

    Examples
    --------
    >>> data = ImagesInMemory(np.zeros((5, 8, 8), np.uint8))
    >>> len(data), data[0][0].mode, data.where(3)
    (5, 'RGB', 'images[3]')
    """

    images: Any = field(repr=False)
    split: str = "all"
    class_names: None = None
    labels: None = None
    ignored: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    sequential: bool = False
    columns: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Image.Image, None]:
        from . import image

        try:
            return _rgb(self.images[i]), None
        except image.UNDECODABLE as error:
            where = self.where(i)
            text = f"cannot read {where}: {image.reason(error)}"
            raise BadImagesError(text, [where]) from error

    def where(self, i: int) -> str:
        """Name image `i`."""
        return f"images[{i}]"

    def path(self, i: int) -> None:
        """Return None: the images are no files."""

    @functools.cached_property
    def name(self) -> str:
        """Name made of the hash of the pixels."""
        return f"images:{self.fingerprint[:16]}"

    @property
    def image_size(self) -> int | None:
        """Height and width of every image in pixels; None when images differ or are not square."""
        sizes = {_size(one) for one in self.images}
        height, width = sizes.pop() if len(sizes) == 1 else (0, 1)
        return height if height == width else None

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over sizes and pixels; one pass over the images, then cached."""
        digest = hashlib.sha256()
        for i in range(len(self)):
            try:
                image = self[i][0]
            except BadImagesError:
                digest.update(b"undecodable\n")
            else:
                digest.update(f"{image.size}\n".encode() + image.tobytes())
        return digest.hexdigest()


def _rgb(one: Any) -> Image.Image:
    """Return an image as a file of it would be read: upright, in sRGB, in memory of its own."""
    from PIL import Image

    from .photo import color, exif

    if isinstance(one, np.ndarray):
        return Image.fromarray(one).convert("RGB")
    orientation = 1 if one.format == "TIFF" else exif.of(one)  # Pillow turns TIFF
    return exif.upright(color.to_rgb(one.copy()), orientation)


def _size(one: Any) -> tuple[int, int]:
    """Return height and width."""
    return one.shape[:2] if isinstance(one, np.ndarray) else (one.height, one.width)
