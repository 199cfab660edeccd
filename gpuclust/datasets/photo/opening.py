"""Open an image file for decoding: known formats, limits on its size, metadata set apart."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import io
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, ImageFile

from . import exif, jpeg, png

# Formats that Pillow recognizes but cannot decode, and EPS, because it would run Ghostscript.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
_JPEG = ("JPEG", "MPO")

HEIF = frozenset({".heic", ".heif", ".heics", ".heifs", ".hif"})
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")

MOST_BYTES = 2**31  # of a file
MOST_PIXELS = 2**28  # 268 million; 1 GiB in memory
MOST_JPEG_PIXELS = 2**30  # JPEGs are decoded at a smaller size
MOST_PROGRESSIVE_PIXELS = 2**28  # libjpeg keeps all coefficients of a progressive JPEG
FULL_JPEG_PIXELS = 50_000_000  # larger JPEGs are decoded at a half, a quarter or an eighth
_SHORTEST = 1024  # pixels; a smaller shorter edge is not reduced


def has_heif() -> bool:
    """Return whether pillow-heif, the extra ``heic``, is installed; does not import it.

    Examples
    --------
    >>> isinstance(has_heif(), bool)
    True
    """
    return importlib.util.find_spec("pillow_heif") is not None


@functools.cache
def formats() -> tuple[str, ...]:
    """Return the names of the image formats decoded on this machine."""
    Image.init()
    if has_heif():
        importlib.import_module("pillow_heif").register_heif_opener()
    return tuple(sorted(set(Image.OPEN) - _NOT_DECODED))


@functools.cache
def extensions() -> frozenset[str]:
    """Return the file extensions of `formats`, in lower case with the dot."""
    known = set(formats())
    return frozenset(end for end, name in Image.registered_extensions().items() if name in known)


@contextlib.contextmanager
def opened(source: str | Path | BinaryIO) -> Iterator[ImageFile.ImageFile]:
    """Open an image, read its header and check its size; pixels are not decoded.

    ``info`` of the image has EXIF, XMP and the color profile as bytes: ``exif``, ``xmp`` and
    ``icc_profile``.

    Raises
    ------
    ValueError
        No pixels, or more than can be decoded in bounded memory.
    OSError
        Unreadable, or no known image format.
    """
    with contextlib.ExitStack() as stack:
        file = source
        if isinstance(file, (str, Path)):
            file = stack.enter_context(Path(file).open("rb"))
        _check_bytes(file)
        image = _identify(file)
        check_size(image)
        yield image


def _check_bytes(file: BinaryIO) -> None:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if not size:
        raise ValueError("the file is empty")
    if size > MOST_BYTES:
        raise ValueError(f"the file has {size:,} bytes; at most {MOST_BYTES:,} are read")


def _identify(file: BinaryIO) -> ImageFile.ImageFile:
    """Open a file with the first format that accepts it, as ``Image.open`` without its limit.

    Pillow's limit of 178 million pixels is a global variable, and below it lie the photos of
    phones with 200 megapixels.
    """
    prefix = file.read(16)
    file.seek(0)
    metadata: dict[str, Any] = {}
    if jpeg.is_jpeg(prefix):
        file, metadata["exif"], metadata["xmp"], _ = jpeg.split(file)
    elif prefix.startswith(png.SIGNATURE):
        parts = png.split(file)
        file = parts.file
        metadata = {"exif": parts.exif, "xmp": parts.xmp, "icc_profile": parts.profile}
    elif prefix[:4] in (b"II*\0", b"MM\0*"):
        _check_tags(file)
    for name in formats():
        factory, accept = Image.OPEN[name]
        file.seek(0)
        try:
            accepted = not accept or accept(prefix)
            if not accepted or isinstance(accepted, str):
                continue
            image = factory(file, "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue  # also from `accept`, for files shorter than a prefix
        except Image.DecompressionBombError as error:  # WebP, by Pillow's own limit
            raise ValueError(_too_large(error, name)) from error
        image.info.update({key: value for key, value in metadata.items() if value})
        return image
    raise OSError(_unknown(prefix))


def _too_large(error: Image.DecompressionBombError, name: str) -> str:
    """Return the reason for an image above a limit of Pillow."""
    given, most = (int(number) // 10**6 for number in re.findall(r"\d+(?= pixels)", str(error)))
    return f"it has {given:,} megapixels; at most {most:,} are read in {name}. Make it smaller"


def _unknown(prefix: bytes) -> str:
    """Return the reason why no format accepts a file."""
    if prefix[4:8] == b"ftyp" and prefix[8:12] in _HEIF_BRANDS:
        if has_heif():
            return "a HEIC photo that pillow-heif cannot read"
        return 'a HEIC photo; install pillow-heif: pip install "gpuclust[heic]"'
    return "no image, or in a format that is not read"


def _check_tags(file: BinaryIO) -> None:
    """Refuse a TIFF file with overlapping tags: Pillow copies each and can fill the memory."""
    total = sum(entry.size for entry in exif.entries(file) if entry.size > 4)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if total > 2 * size:
        raise ValueError(f"its tags have {total:,} bytes in a file of {size:,} bytes")


def check_size(image: ImageFile.ImageFile) -> None:
    """Raise ValueError for an image without pixels, or with more than its format allows.

    Examples
    --------
    >>> from PIL import Image
    >>> check_size(Image.new("1", (20_000, 20_000)))
    Traceback (most recent call last):
    ValueError: it has 400 megapixels; at most 268 are read in this format. Make it smaller
    """
    pixels, most, kind = image.width * image.height, MOST_PIXELS, "this format"
    if image.format in _JPEG:
        progressive = bool(image.info.get("progressive"))
        most = MOST_PROGRESSIVE_PIXELS if progressive else MOST_JPEG_PIXELS
        kind = "a progressive JPEG" if progressive else "a JPEG"
    if not pixels:
        raise ValueError("it has no pixels")
    if pixels > most:
        raise ValueError(
            f"it has {pixels // 10**6:,} megapixels; at most {most // 10**6:,} are read in {kind}. "
            f"Make it smaller"
        )


def reduce_jpeg(image: ImageFile.ImageFile) -> None:
    """Set a JPEG above 50 megapixels to be decoded at a half, a quarter or an eighth of its size.

    libjpeg computes smaller blocks, so memory and time are those of the smaller image.  The factor
    is the smallest that gives at most 50 megapixels; the shorter edge keeps at least 1,024 pixels.
    """
    if image.format not in _JPEG or image.width * image.height <= FULL_JPEG_PIXELS:
        return
    factor = 1
    while factor < 8 and (image.width // factor) * (image.height // factor) > FULL_JPEG_PIXELS:
        factor *= 2
    while factor > 1 and min(image.size) // factor < _SHORTEST:
        factor //= 2
    if factor > 1:
        image.draft(None, (image.width // factor, image.height // factor))
