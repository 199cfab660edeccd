"""Scale images deeper than 8 bits to 0..255.

Values without a declared range are scaled by the smallest range of 8, 10, 12, 14 or 16 bits that
holds the largest value of the image: cameras write 10 and 12 bits into 16, and such an image is
nearly black when it is scaled by 65535.  The range is chosen per image, never per folder, so that
a new image does not change the pixels of the others.
"""

from __future__ import annotations

import io
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile

_CEILINGS = tuple(float(2**bits - 1) for bits in (8, 10, 12, 14, 16))
_ROWS = 2**22  # values per block
_BITS_PER_SAMPLE, _COMPRESSION, _PHOTOMETRIC, _PLANES = 258, 259, 262, 284


def is_deep(image: Image.Image) -> bool:
    """Return whether the mode of an image has more than 8 bits per channel.

    Examples
    --------
    >>> from PIL import Image, ImageFile
    >>> is_deep(Image.new("I;16", (1, 1))), is_deep(Image.new("RGB", (1, 1)))
    (True, False)
    """
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def to_bytes(image: Image.Image) -> Image.Image:
    """Scale an image of mode ``I``, ``I;16`` or ``F`` to mode ``L``.

    - Integers from 0 to 65535: by the range that the file declares (PPM, and TIFF with 9 to 15
      bits per sample), else by the smallest range of 8, 10, 12, 14 or 16 bits that holds them.
    - Floats: by 1 or 255, the smallest that holds them.
    - All others: from the minimum to the maximum of the image.

    Raises
    ------
    ValueError
        NaN or infinite pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from PIL import Image, ImageFile
    >>> twelve_bits = Image.fromarray(np.array([[0, 4095]], np.uint16))
    >>> np.asarray(to_bytes(twelve_bits)).tolist()
    [[0, 255]]
    """
    image.load()
    values = np.asarray(image)
    scaled = _scaled(values, _declared(image))
    return Image.fromarray(scaled)


def _declared(image: Image.Image) -> float | None:
    if image.format == "PPM":  # Pillow scales by the maximum in the header
        return 65535.0
    tags: Any = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, ())
    bits = bits[0] if isinstance(bits, tuple) and bits else bits
    return float(2**bits - 1) if isinstance(bits, int) and 8 < bits < 16 else None


def _scaled(values: np.ndarray, declared: float | None) -> np.ndarray:
    """Scale an array of any shape to uint8, block by block of rows."""
    step = max(1, _ROWS // max(1, values[0].size))
    blocks = [values[at : at + step] for at in range(0, len(values), step)]
    low = min(float(block.min()) for block in blocks)
    high = max(float(block.max()) for block in blocks)
    if not (np.isfinite(low) and np.isfinite(high)):  # NaN passes through min and max
        raise ValueError("it has NaN or infinite pixels")
    ceilings = (1.0, 255.0) if values.dtype.kind == "f" else _CEILINGS
    ceilings = (declared,) if declared is not None else ceilings
    ceiling = next((c for c in ceilings if low >= 0 and high <= c), None)
    floor = 0.0 if ceiling is not None else low
    scale = 255.0 / (ceiling if ceiling is not None else max(high - low, 1e-30))
    out = np.empty(values.shape, np.uint8)
    for at, block in zip(range(0, len(values), step), blocks, strict=True):
        out[at : at + step] = np.rint((block.astype(np.float64) - floor) * scale)
    return out


def deep_tiff(image: ImageFile.ImageFile, file: BinaryIO) -> Image.Image | None:
    """Decode an uncompressed TIFF with three or four channels of 16 bits; None for all others.

    Compressed ones are decoded by Pillow, which keeps the high byte of each value: full 16 bits are
    right, 10 or 12 bits in 16 are nearly black.
    """
    tags: Any = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, ())
    tiles = image.tile
    plain = tags.get(_COMPRESSION, 1) == 1 and tags.get(_PLANES, 1) == 1
    if bits not in ((16,) * 3, (16,) * 4) or not plain or tags.get(_PHOTOMETRIC) != 2:
        return None
    order, width = ("<" if tags.prefix == b"II" else ">"), tags[256]
    blocks = []
    for tile in tiles:
        left, top, right, bottom = tile.extents or (0, 0, 0, 0)
        if (left, right) != (0, width):  # tiles, not strips
            return None
        file.seek(tile.offset)
        count = (bottom - top) * width * len(bits)
        data = file.read(2 * count)
        if len(data) < 2 * count:
            raise OSError("image file is truncated")
        blocks.append(np.frombuffer(data, f"{order}u2").reshape(-1, width, len(bits))[..., :3])
    return Image.fromarray(_scaled(np.concatenate(blocks), None))


def deep_png(file: BinaryIO, header: bytes) -> Image.Image | None:
    """Decode a PNG with several channels of 16 bits; None for all others.

    Pillow keeps only the high byte of each value, which is nearly black for 12 bits in 16.  The
    alpha channel is dropped.

    Parameters
    ----------
    file : binary file
        PNG file.
    header : bytes
        Its IHDR chunk, 13 bytes.

    Raises
    ------
    RuntimeError
        Damaged file.
    """
    if len(header) < 13 or header[8] != 16 or header[9] == 0:
        return None
    import torch
    from torchvision.io import ImageReadMode, decode_png

    file.seek(0, io.SEEK_SET)
    data = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)
    values = decode_png(data, ImageReadMode.UNCHANGED).numpy()  # (channels, height, width)
    colors = values[:3] if len(values) >= 3 else values[[0, 0, 0]]
    return Image.fromarray(np.ascontiguousarray(_scaled(colors, None).transpose(1, 2, 0)))
