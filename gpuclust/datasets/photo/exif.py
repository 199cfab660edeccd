"""Orientation of a photo from its EXIF block, without reading any other tag.

Pillow reads every tag, and a few kilobytes of tags that all point to the same bytes then take
gigabytes of memory.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from PIL import Image

ORIENTATION = 0x0112
_BYTES = (1, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4)  # per value, by type of a tag
_XMP = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])")

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Entry(NamedTuple):
    """Entry of a TIFF directory: number of the tag, bytes of its value, and the value's field."""

    tag: int
    size: int
    field: bytes
    order: str


def entries(file: BinaryIO) -> Iterator[Entry]:
    r"""Yield the entries of the first directory of a TIFF file or an EXIF block; at most 65,535.

    Examples
    --------
    >>> import io
    >>> block = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
    >>> [(entry.tag, entry.size) for entry in entries(io.BytesIO(block))]
    [(274, 2)]
    """
    head = file.read(8)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        return
    magic, start = struct.unpack(order + "HL", head[2:])
    if magic != 42:
        return
    file.seek(start)
    count = file.read(2)
    if len(count) < 2:
        return
    (n,) = struct.unpack(order + "H", count)
    table = file.read(12 * n)
    for at in range(0, len(table) - 11, 12):
        tag, kind, values, field = struct.unpack_from(order + "HHL4s", table, at)
        yield Entry(tag, values * (_BYTES[kind] if kind < len(_BYTES) else 1), field, order)


def orientation(block: bytes | None) -> int:
    """Return the orientation 1 to 8 of an EXIF block; 1 when it is missing or damaged.

    Examples
    --------
    >>> orientation(b"not EXIF")
    1
    """
    block = (block or b"").removeprefix(b"Exif\0\0")
    for entry in entries(io.BytesIO(block)):
        if entry.tag == ORIENTATION:
            short, long = struct.unpack(entry.order + "H", entry.field[:2])[0], 0
            if entry.size == 4:
                long = struct.unpack(entry.order + "L", entry.field)[0]
            value = long if 1 <= long <= 8 else short
            return value if 1 <= value <= 8 else 1
    return 1


def of(image: Image.Image) -> int:
    """Return the orientation of an open image: from EXIF, else from XMP, else 1."""
    block = image.info.get("exif")
    found = orientation(block if isinstance(block, bytes) else None)
    if found != 1:
        return found
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    match = _XMP.search(xmp.encode("utf-8", "replace") if isinstance(xmp, str) else xmp)
    return int(match[1]) if match else 1


def upright(image: Image.Image, value: int) -> Image.Image:
    """Turn or mirror an image by its orientation; returned as it is for 1.

    Examples
    --------
    >>> from PIL import Image
    >>> upright(Image.new("RGB", (4, 2)), 6).size
    (2, 4)
    """
    return image.transpose(_TRANSPOSE[value]) if value in _TRANSPOSE else image
