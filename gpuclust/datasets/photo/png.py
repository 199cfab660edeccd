"""Structure of PNG files: text chunks are removed before Pillow reads the file.

Pillow refuses a sound image when its text or color profile exceeds 1 MiB.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from .ranges import pieces

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_CHUNKS = 1_000_000
_MOST_PROFILE = 2**24  # bytes
_MOST_EXIF = 2**20  # bytes


class Chunk(NamedTuple):
    """Chunk: its four letters, the position of its data, and the number of bytes of the data."""

    kind: bytes
    start: int
    size: int

    @property
    def range(self) -> tuple[int, int]:
        """Bytes (start, stop) of the whole chunk with length, kind and checksum."""
        return self.start - 8, self.start + self.size + 4


class Png(NamedTuple):
    """Pixel data of a PNG file and its metadata; `complete` without the end chunk is False."""

    file: BinaryIO
    exif: bytes | None
    xmp: bytes | None
    profile: bytes | None
    header: bytes
    complete: bool


def chunks(file: BinaryIO) -> Iterator[Chunk]:
    """Yield the complete chunks of a PNG file.

    Raises
    ------
    ValueError
        More than a million chunks.
    """
    end = file.seek(0, 2)
    at = len(SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        size = int.from_bytes(head[:4], "big")
        if len(head) < 8 or at + 12 + size > end:
            return
        yield Chunk(head[4:], at + 8, size)
        if head[4:] == b"IEND":
            return
        at += 12 + size
    raise ValueError(f"it has more than {_MOST_CHUNKS:,} chunks")


def split(file: BinaryIO) -> Png:
    """Separate texts, EXIF and color profile of a PNG file from its pixels.

    Reads 8 bytes per chunk, and the metadata as far as they are used.

    Raises
    ------
    ValueError
        More than a million chunks.

    Examples
    --------
    >>> import io
    >>> from PIL import Image, PngImagePlugin
    >>> file, text = io.BytesIO(), PngImagePlugin.PngInfo()
    >>> text.add_text("workflow", "x" * 10_000)
    >>> Image.new("RGB", (8, 8)).save(file, "png", pnginfo=text)
    >>> len(split(file).file.read()) < 200
    True
    """
    found: dict[str, bytes] = {}
    ranges, begin, complete = [], 0, False
    for chunk in chunks(file):
        complete = chunk.kind == b"IEND"
        if chunk.kind in (b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf"):
            start, stop = chunk.range
            ranges.append((begin, start))
            begin = stop
            _collect(file, chunk, found)
        elif chunk.kind == b"IHDR":
            file.seek(chunk.start)
            found.setdefault("header", file.read(13))
    end = file.seek(0, 2)
    file.seek(0)
    return Png(
        pieces(file, [*ranges, (begin, end)]) if ranges else file,
        found.get("exif"),
        found.get("xmp"),
        found.get("profile"),
        found.get("header", b""),
        complete,
    )


def _collect(file: BinaryIO, chunk: Chunk, found: dict[str, bytes]) -> None:
    """Keep EXIF, XMP and color profile; the first of each."""
    file.seek(chunk.start)
    if chunk.kind == b"iCCP" and chunk.size <= _MOST_PROFILE:
        _, _, rest = file.read(chunk.size).partition(b"\0")
        found.setdefault("profile", _inflate(rest[1:], _MOST_PROFILE))
    if chunk.size > _MOST_EXIF:
        return
    if chunk.kind == b"eXIf":
        found.setdefault("exif", file.read(chunk.size))
    elif chunk.kind == b"iTXt":
        keyword, _, rest = file.read(chunk.size).partition(b"\0")
        if keyword == b"XML:com.adobe.xmp":
            packed, text = rest[:1] == b"\1", rest[2:].partition(b"\0")[2].partition(b"\0")[2]
            found.setdefault("xmp", _inflate(text, _MOST_EXIF) if packed else text)
    elif chunk.kind in (b"tEXt", b"zTXt"):
        keyword, _, rest = file.read(chunk.size).partition(b"\0")
        if keyword in (b"Raw profile type exif", b"Raw profile type APP1"):
            text = _inflate(rest[1:], _MOST_EXIF) if chunk.kind == b"zTXt" else rest
            found.setdefault("exif", _unhex(text))


def _inflate(data: bytes, most: int) -> bytes:
    """Decompress at most `most` bytes; empty when the data are damaged or longer."""
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(data, most)
    except zlib.error:
        return b""
    return b"" if inflater.unconsumed_tail else plain


def _unhex(text: bytes) -> bytes:
    """Read ImageMagick's block: a name, a length, then hexadecimal digits."""
    try:
        return bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))
    except ValueError:
        return b""
