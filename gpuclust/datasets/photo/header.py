"""Check of an image file without decoding its pixels."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from . import jpeg, png
from .opening import opened


def suspicious(path: Path) -> bool:
    """Open an image file, read its header and look for its end; True when the end is missing.

    Raises
    ------
    OSError, ValueError and other errors of Pillow
        No regular file, or a header that cannot be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no regular file")
    with opened(path) as image:
        kind = image.format or ""
    find = _ENDS.get(kind)
    return find is not None and find(path, status.st_size)


def _jpeg(path: Path, size: int) -> bool:
    with path.open("rb") as file:
        return jpeg.may_be_truncated(file, jpeg.split(file).scan)


def _png(path: Path, size: int) -> bool:
    with path.open("rb") as file:
        return all(chunk.kind != b"IEND" for chunk in png.chunks(file))


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
    "WEBP": _webp,
    "AVIF": _boxes,
    "HEIF": _boxes,
}
