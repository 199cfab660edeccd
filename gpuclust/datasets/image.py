"""Open image files as RGB, the way a person sees them.

The rules of decoding; `DECODING` is their version, and part of the fingerprint of image files.

- EXIF orientation is applied; so are rotations in HEIF, AVIF and TIFF files.
- An embedded color profile is converted to sRGB (perceptual intent); damaged profiles are ignored.
- The alpha channel is dropped, not blended, as in torchvision's ``ImageFolder``.
- Of an animation only the first frame is read.
- Modes deeper than 8 bits are scaled; see `photo.depth`.
- A JPEG above 50 megapixels is decoded at a half, a quarter or an eighth of its size; see
  `photo.opening`.  Images above 1,073 (JPEG) or 268 megapixels are refused by their header;
  WebP already above 178.
- A truncated file is an error, never a partly gray image.
- Text in a file is not read, so its size does not matter.

Decoding takes at most 8 bytes per pixel: 0.4 GB for a JPEG, 2 GB for other formats.
"""

from __future__ import annotations

import contextlib
import struct
import warnings
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, ImageFile

from ..errors import BadImagesError
from .photo import color, depth, exif, header, opening, png
from .photo.header import Header

# Version of the rules above. Increase it with every change of pixels: embeddings of image files
# are then computed again.
DECODING = 2

HEIF = opening.HEIF
formats = opening.formats
extensions = opening.extensions
has_heif = opening.has_heif

# Exceptions of Pillow's decoders on damaged files.
UNDECODABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    OverflowError,
    RuntimeError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def read(source: str | Path | BinaryIO, *, where: str) -> Image.Image:
    """Decode a whole image and return it in RGB, upright, in sRGB.

    Parameters
    ----------
    source : path or binary file
        Encoded image.
    where : str
        Name of the image in errors.

    Returns
    -------
    PIL.Image.Image
        Image of mode RGB, 3 bytes per pixel.

    Raises
    ------
    BadImagesError
        The file is no image, is truncated or unreadable, or has too many pixels.

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> from gpuclust.datasets import image
    >>> file = io.BytesIO()
    >>> Image.new("L", (6, 4), 255).save(file, "png")
    >>> image.read(file, where="white.png").getpixel((0, 0))
    (255, 255, 255)
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata, which do not matter
            return _read(source)
    except UNDECODABLE as error:
        raise BadImagesError(f"cannot read {where}: {reason(error)}", [where]) from error


def _read(source: str | Path | BinaryIO) -> Image.Image:
    with opening.opened(source) as image:
        deep = _deep(source, image) if _is_16_bit(image) else None
        # Pillow turns TIFF images itself when it decodes them.
        orientation = exif.of(image) if image.format != "TIFF" else _tiff_orientation(image, deep)
        if deep is None:
            opening.reduce_jpeg(image)
            rgb = color.to_rgb(image)
        else:
            deep.info["icc_profile"] = image.info.get("icc_profile")
            rgb = color.to_rgb(deep)
    return exif.upright(rgb, orientation)


def _tiff_orientation(image: ImageFile.ImageFile, deep: Image.Image | None) -> int:
    tags: Any = getattr(image, "tag_v2", {})
    return 1 if deep is None else int(tags.get(exif.ORIENTATION, 1))


def _deep(source: str | Path | BinaryIO, image: ImageFile.ImageFile) -> Image.Image | None:
    """Decode several channels of 16 bits, of which Pillow keeps only the high bytes."""
    with contextlib.ExitStack() as stack:
        file = source
        if isinstance(file, (str, Path)):
            file = stack.enter_context(Path(file).open("rb"))
        file.seek(0)
        if image.format == "TIFF":
            return depth.deep_tiff(image, file)
        return depth.deep_png(file, png.split(file).header)


def _is_16_bit(image: ImageFile.ImageFile) -> bool:
    colors = image.format in ("PNG", "TIFF") and image.mode in ("RGB", "RGBA", "LA", "RGBX")
    return colors and any("16" in str(tile.args) for tile in image.tile)


def check(path: str | Path) -> str | None:
    """Check that an image file can be decoded, from its header and its end.

    Takes about 0.3 ms per image and reads a few kilobytes: format, size in pixels, the end marker
    of JPEG, PNG and GIF, the length of BMP, TIFF, WebP, AVIF and HEIF.  Only a file that looks
    truncated is decoded, so no image is refused here that `read` accepts.  Damage inside the
    compressed data is found only by `read`.

    Parameters
    ----------
    path : path
        Image file; pipes and devices are refused without being opened.

    Returns
    -------
    str or None
        Reason why the image cannot be decoded; None when nothing is wrong.

    Examples
    --------
    >>> from gpuclust.datasets import image
    >>> text = tmp_path / "note.jpg"
    >>> _ = text.write_text("no image")
    >>> image.check(text)
    'no image, or in a format that is not read'
    """
    return check_all([path], threads=1)[0]


def check_all(paths: Sequence[str | Path], *, threads: int = 8) -> list[str | None]:
    """Check many image files at the same time; see `check`.

    Parameters
    ----------
    paths : sequence of paths
        Image files.
    threads : int
        Number of threads; more than the cores help on slow disks.

    Returns
    -------
    list of str or None
        Reason per path; None when nothing is wrong.

    Examples
    --------
    >>> from gpuclust.datasets import image
    >>> image.check_all([tmp_path / "missing.png"])
    ['no such file; if it was removed meanwhile, run the same command again']
    """
    formats()  # imports Pillow's plugins once, before the threads start
    with warnings.catch_warnings():  # is not safe in threads, so it is entered here
        warnings.simplefilter("ignore")
        if threads <= 1 or len(paths) < 2:
            return [_check(Path(path)) for path in paths]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(_check, map(Path, paths)))


def _check(path: Path) -> str | None:
    found = header_of(path)
    return found if isinstance(found, str) else None


def header_of(path: Path) -> Header | str:
    """Return the header of an image file, or the reason why the image cannot be decoded.

    Safe in threads; see `check`.

    Examples
    --------
    >>> from PIL import Image
    >>> from gpuclust.datasets import image
    >>> Image.new("RGB", (6, 4)).save(tmp_path / "a.jpg")
    >>> image.header_of(tmp_path / "a.jpg").width
    6
    """
    try:
        found = header.examine(path)
        if found.suspicious:
            _read(path)
    except UNDECODABLE as error:
        return reason(error)
    return found


def reason(error: BaseException) -> str:
    """Return the reason for a decoding error in one line.

    Examples
    --------
    >>> from gpuclust.datasets import image
    >>> image.reason(OSError("image file is truncated (0 bytes not processed)"))
    'image file is truncated (0 bytes not processed)'
    """
    if isinstance(error, FileNotFoundError):
        return "no such file; if it was removed meanwhile, run the same command again"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of Pillow to RGB in sRGB, scaling modes deeper than 8 bits to 0..255.

    EXIF orientation is applied to images straight from ``Image.open``; images that were changed
    since may be upright already.

    Raises
    ------
    ValueError
        NaN or infinite pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from PIL import Image
    >>> from gpuclust.datasets import image
    >>> deep = Image.fromarray(np.full((1, 1), 65535, np.uint16))
    >>> image.to_rgb(deep).getpixel((0, 0))
    (255, 255, 255)
    """
    turned = isinstance(image, ImageFile.ImageFile) and image.format != "TIFF"
    orientation = exif.of(image) if turned else 1
    return exif.upright(color.to_rgb(image.copy()), orientation)
