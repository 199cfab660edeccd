"""Header of an image file, and the check that the file is whole; no pixels are decoded."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from PIL import ImageFile

from . import jpeg, png
from .opening import opened

_TIFF_STARTS, _TIFF_SIZES, _TILE_STARTS, _TILE_SIZES = 273, 279, 324, 325


class Header(NamedTuple):
    """Facts of the header of an image file.

    Attributes
    ----------
    format : str
        Name of the format in Pillow.
    width, height : int
        Pixels as stored, before EXIF orientation.
    mode : str
        Mode in Pillow.
    suspicious : bool
        Whether the end of the file seems to be missing.
    """

    format: str
    width: int
    height: int
    mode: str
    suspicious: bool


def examine(path: Path) -> Header:
    """Open an image file, read its header and look for the end of the image.

    Raises
    ------
    OSError, ValueError and other errors of Pillow
        No regular file, or a header that cannot be read.

    Examples
    --------
    >>> from PIL import Image
    >>> Image.new("L", (6, 4)).save(tmp_path / "a.png")
    >>> examine(tmp_path / "a.png")
    Header(format='PNG', width=6, height=4, mode='L', suspicious=False)
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no regular file")
    with opened(path) as image:
        kind = image.format or ""
        starts = _strips(image, status.st_size) if kind == "TIFF" else False
        facts = (kind, image.width, image.height, image.mode)
    find = _ENDS.get(kind)
    return Header(*facts, starts or (find is not None and find(path, status.st_size)))


def _strips(image: ImageFile.ImageFile, size: int) -> bool:
    """Return whether strips or tiles of a TIFF file lie behind its end."""
    tags: Any = getattr(image, "tag_v2", {})
    for starts, sizes in ((_TIFF_STARTS, _TIFF_SIZES), (_TILE_STARTS, _TILE_SIZES)):
        pairs = zip(_numbers(tags.get(starts)), _numbers(tags.get(sizes)), strict=False)
        if any(start + length > size for start, length in pairs):
            return True
    return False


def _numbers(value: Any) -> tuple[int, ...]:
    values = value if isinstance(value, tuple) else (value,)
    return tuple(one for one in values if isinstance(one, int))


def _jpeg(path: Path, size: int) -> bool:
    with path.open("rb") as file:
        return jpeg.may_be_truncated(file, jpeg.split(file).scan)


def _png(path: Path, size: int) -> bool:
    with path.open("rb") as file:
        return all(chunk.kind != b"IEND" for chunk in png.chunks(file))


def _gif(path: Path, size: int) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, size - 64))
        return not file.read().rstrip(b"\0").endswith(b";")


def _bmp(path: Path, size: int) -> bool:
    with path.open("rb") as file:
        return int.from_bytes(file.read(6)[2:], "little") > size


def _webp(path: Path, size: int) -> bool:
    with path.open("rb") as file:
        return int.from_bytes(file.read(8)[4:], "little") + 8 > size


def _boxes(path: Path, size: int) -> bool:
    """Walk the boxes at the top level of an AVIF or HEIF file."""
    at = 0
    with path.open("rb") as file:
        while at < size:
            file.seek(at)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:], "big")
            if not length:  # up to the end of the file
                return False
            if length < 8:
                return True
            at += length
    return at > size


_ENDS: dict[str, Callable[[Path, int], bool]] = {
    "JPEG": _jpeg,
    "MPO": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "BMP": _bmp,
    "WEBP": _webp,
    "AVIF": _boxes,
    "HEIF": _boxes,
}
