"""Convert decoded images to RGB in the color space sRGB."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image, ImageCms

from . import depth

_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # color space of a profile -> mode
_MOST_PROFILE = 2**24  # bytes
_SAME = 2  # largest difference in 0..255 at which a profile counts as sRGB


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image to RGB; deep modes are scaled, embedded color profiles converted to sRGB.

    The alpha channel is dropped, not blended.  The image is decoded here.

    Raises
    ------
    ValueError
        NaN or infinite pixels.
    """
    image.load()
    profile = image.info.get("icc_profile")
    image.info.pop("transparency", None)  # Pillow would only warn about it
    plain = depth.to_bytes(image) if depth.is_deep(image) else image
    if plain.mode not in _MODES.values():
        plain = plain.convert("L" if plain.mode == "LA" else "RGB")
    plain = _in_srgb(plain, profile if isinstance(profile, bytes) else b"")
    if plain.mode != "RGB":
        return plain.convert("RGB")
    # Without a copy of the pixels: a large photo has hundreds of megabytes.
    return plain._new(plain.im) if plain is image else plain


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Apply a color profile; the image as it is without one, or with a damaged or useless one."""
    transform = _transform(profile, image.mode) if 128 <= len(profile) <= _MOST_PROFILE else None
    if transform is None:
        return image
    if image.mode == "RGB":
        ImageCms.applyTransform(image, transform, inPlace=True)
        return image
    return ImageCms.applyTransform(image, transform) or image


@functools.lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Make the conversion to sRGB; None for another mode, damaged profiles, and sRGB itself."""
    if _MODES.get(profile[16:20].decode("ascii", "replace")) != mode:
        return None
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.PERCEPTUAL,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return transform if mode == "CMYK" or _changes(transform, mode) else None


def _changes(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Return whether a conversion changes any color of a grid of 6 x 6 x 6 by more than 2."""
    steps = np.arange(0, 256, 51, dtype=np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(6, 36, 3)
    sample = Image.fromarray(grid) if mode == "RGB" else Image.fromarray(steps[None, :])
    before = np.asarray(sample.convert("RGB")).astype(int)
    after = np.asarray(ImageCms.applyTransform(sample, transform)).astype(int)
    return bool(np.abs(after - before).max() > _SAME)
