"""Open image files as RGB.

Images are converted with Pillow's ``convert("RGB")``, as in torchvision's ``ImageFolder``: the
alpha channel is dropped, not blended; EXIF rotation is not applied; of an animation only the first
frame is read.  Only 16- and 32-bit modes differ: `convert` would clip them to white, so they are
scaled.  A truncated file is an error, never a partly grey image.
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

# Formats that Pillow recognizes but cannot decode, and EPS, because it would run Ghostscript.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}

# Exceptions of Pillow's decoders on damaged files.
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
    """Return the names of the image formats of Pillow on this machine.

    Examples
    --------
    >>> from gpuclust.datasets import image
    >>> "JPEG" in image.formats()
    True
    """
    Image.init()
    return tuple(sorted(set(Image.OPEN) - _NOT_DECODED))


@functools.cache
def extensions() -> frozenset[str]:
    """Return the file extensions of `formats`, in lower case with the dot.

    Examples
    --------
    >>> from gpuclust.datasets import image
    >>> ".jpg" in image.extensions()
    True
    """
    known = set(formats())
    return frozenset(end for end, name in Image.registered_extensions().items() if name in known)


def read(source: str | Path | BinaryIO, *, where: str) -> Image.Image:
    """Decode a whole image and return it in RGB.

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
        The file is no image, is truncated or unreadable, or exceeds twice Pillow's limit on the
        number of pixels.

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
            # Pillow warns above its limit and raises above twice the limit; large photos are fine.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", "Palette images with Transparency")
            with Image.open(source, formats=formats()) as image:
                return to_rgb(image)
    except UNDECODABLE as error:
        raise BadImagesError(f"cannot read {where}: {reason(error)}", [where]) from error


def reason(error: BaseException) -> str:
    """Return the reason for a decoding error in one line.

    Examples
    --------
    >>> from gpuclust.datasets import image
    >>> image.reason(OSError("image file is truncated (0 bytes not processed)"))
    'image file is truncated (0 bytes not processed)'
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image to RGB, scaling modes deeper than 8 bits to 0..255.

    ``I;16`` is scaled by its full range (divided by 257), so that images remain comparable; so is
    ``I`` if its values fit in 16 bits.  ``F`` is scaled from 0..1 or 0..255 if its values fit.
    Other images are scaled from their own minimum to their own maximum.

    Examples
    --------
    >>> import numpy as np
    >>> from PIL import Image
    >>> from gpuclust.datasets import image
    >>> deep = Image.fromarray(np.full((1, 1), 65535, np.uint16))
    >>> image.to_rgb(deep).getpixel((0, 0))
    (255, 255, 255)
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
        message = "it has NaN or infinite pixels"
        raise ValueError(message)
    low, high = float(values.min()), float(values.max())
    ceilings = (1.0, 255.0) if mode == "F" else (65535.0,)
    ceiling = next((c for c in ceilings if low >= 0 and high <= c), None)
    if ceiling is None:
        values, ceiling = values - low, max(high - low, 1e-30)
    return np.rint(values * (255.0 / ceiling)).astype(np.uint8)
