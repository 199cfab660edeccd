"""Plain JPEG files: any decoder reads them as Pillow does."""

from __future__ import annotations

from pathlib import Path

from . import exif, header
from .opening import FULL_JPEG_PIXELS, opened


def plain_jpeg(path: Path) -> bytes | None:
    """Return the bytes of a plain JPEG file; None for any other image.

    Plain: gray or RGB, upright, without a color profile, at most 50 megapixels, with an end.  Reads
    the header, then the file.

    Examples
    --------
    >>> from PIL import Image
    >>> Image.new("RGB", (6, 4)).save(tmp_path / "a.jpg")
    >>> Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    >>> plain_jpeg(tmp_path / "a.jpg")[:2].hex(), plain_jpeg(tmp_path / "a.png")
    ('ffd8', None)
    """
    with path.open("rb") as file:
        if file.read(3) != b"\xff\xd8\xff":
            return None
    with opened(path) as image:
        plain = (
            image.format == "JPEG"
            and image.mode in ("L", "RGB")
            and not image.info.get("icc_profile")
            and exif.of(image) == 1
            and image.width * image.height <= FULL_JPEG_PIXELS
        )
    if not plain or header.examine(path).suspicious:
        return None
    return path.read_bytes()
