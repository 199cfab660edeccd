"""Structure of JPEG files: metadata are removed before Pillow reads the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from .ranges import pieces

_START_OF_SCAN = 0xDA
_APP1, _APP2, _APP14, _APP15, _COMMENT = 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
_END = b"\xff\xd9"
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"


class Jpeg(NamedTuple):
    """Pixel data of a JPEG file, its EXIF and XMP blocks, and the start of the compressed data."""

    file: BinaryIO
    exif: bytes | None
    xmp: bytes | None
    scan: int | None


def is_jpeg(prefix: bytes) -> bool:
    """Return whether a file with these first bytes is a JPEG.

    Examples
    --------
    >>> is_jpeg(bytes([0xFF, 0xD8, 0xFF, 0xE0]))
    True
    """
    return prefix.startswith(b"\xff\xd8\xff")


def split(file: BinaryIO) -> Jpeg:
    """Separate the metadata of a JPEG file from its pixel data.

    Only JFIF (APP0), color profiles (APP2) and Adobe's color transform (APP14) stay with the
    pixels, so no other metadata, however large or damaged, can fail or fill the memory.  Reads the
    segments before the compressed data, usually a few kilobytes.

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (8, 8)).save(file, "jpeg", comment=b"x" * 10_000)
    >>> len(split(file).file.read()) < len(file.getvalue()) - 10_000
    True
    """
    kept, begin = [(0, 2)], 2
    exif, xmp, scan = None, None, None
    for marker, at, end in _segments(file):
        if marker == _START_OF_SCAN:
            scan = at
            break
        content = b""
        if marker in (_APP1, _APP2):
            file.seek(at + 4)
            content = file.read(max(end - at - 4, 0))
        exif = content if exif is None and content.startswith(_EXIF) else exif
        xmp = content if xmp is None and content.startswith(_XMP) else xmp
        is_metadata = (_APP1 <= marker <= _APP15 and marker != _APP14) or marker == _COMMENT
        if is_metadata and not content.startswith(b"ICC_PROFILE\0"):
            kept.append((begin, at))
            begin = end
    end = file.seek(0, 2)
    file.seek(0)
    whole = len(kept) == 1
    return Jpeg(file if whole else pieces(file, [*kept, (begin, end)]), exif, xmp, scan)


def _segments(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment up to the compressed data."""
    at = 2
    while True:
        file.seek(at)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF:
            return
        if head[1] == 0xFF:  # fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(head[2:], "big")
        yield head[1], at, end
        at = end


def may_be_truncated(file: BinaryIO, scan: int | None) -> bool:
    """Return whether the marker for the end of the image is missing after the compressed data.

    Reads from the end of the file; some cameras append data of their own.
    """
    if scan is None:
        return True
    end = file.seek(0, 2)
    size, tail = 2**12, b""
    while end > scan:
        start = max(scan, end - size)
        file.seek(start)
        tail = file.read(end - start) + tail[:1]
        if _END in tail:
            return False
        end, size = start, 2**18
    return True
