"""Open one image file as RGB, or say why it cannot be done.

`convert("RGB")` is what torchvision's ``ImageFolder`` does: the alpha channel of RGBA, LA and
palette images is dropped, not blended; EXIF rotation is not applied; of an animation the first
frame counts.  Only the 16- and 32-bit modes differ: `convert` would clip them to white, here they
are scaled.  Truncated files are errors, never grey bars.
"""

from __future__ import annotations

import functools
import struct
import warnings
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from ..errors import BadImagesError

# Formats that Pillow can name but not decode, and EPS, for which it would start Ghostscript.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}

# What Pillow's decoders raise on bytes that are not what they should be.
UNDECODABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    RuntimeError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


@functools.cache
def formats() -> tuple[str, ...]:
    """List the formats that Pillow decodes here."""
    Image.init()
    return tuple(sorted(set(Image.OPEN) - _NOT_DECODED))


@functools.cache
def extensions() -> frozenset[str]:
    """List the file extensions of `formats`, lower case with the dot."""
    known = set(formats())
    return frozenset(end for end, name in Image.registered_extensions().items() if name in known)


def read(source: str | Path | BinaryIO, *, where: str) -> Image.Image:
    """Decode an image completely and return it in RGB.

    Parameters
    ----------
    source : path or binary file
        Where the bytes are.
    where : str
        Its name in the error.

    Raises
    ------
    BadImagesError
        Not an image, truncated, unreadable, or above Pillow's decompression-bomb limit.
    """
    try:
        with warnings.catch_warnings():
            # Between one and two times the limit Pillow only warns: large photographs are welcome.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", "Palette images with Transparency")
            with Image.open(source, formats=formats()) as image:
                return to_rgb(image)
    except UNDECODABLE as error:
        raise BadImagesError(f"cannot read {where}: {reason(error)}", [where]) from error


def reason(error: BaseException) -> str:
    """Say in one line why an image is bad."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB; modes deeper than 8 bits are scaled to 0..255 instead of clipped.

    ``I;16`` by its full range (divided by 257), so images stay comparable with each other.  ``I``
    the same when its values fit 16 bits.  ``F`` as 0..1 or 0..255 when its values fit that.
    Anything else from its own minimum to its own maximum.
    """
    if image.mode == "RGB":
        image.load()
        return image.copy()
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image.convert("RGB")
    values = np.asarray(image).astype(np.float32)
    return Image.fromarray(_to_bytes(values, mode=image.mode)).convert("RGB")


def _to_bytes(values: np.ndarray, *, mode: str) -> np.ndarray:
    """Scale (height, width) float32 to uint8."""
    if not np.isfinite(values).all():
        message = "it has pixels that are not finite"
        raise ValueError(message)
    low, high = float(values.min()), float(values.max())
    ceilings = (1.0, 255.0) if mode == "F" else (65535.0,)
    ceiling = next((c for c in ceilings if low >= 0 and high <= c), None)
    if ceiling is None:
        values, ceiling = values - low, max(high - low, 1e-30)
    return np.rint(values * (255.0 / ceiling)).astype(np.uint8)
