"""Resize and crop images on any torch device with the exact bits of Pillow.

Pillow scales 8-bit images in two passes, along the rows and along the columns.  Each pass
multiplies by weights of 22 binary digits and rounds to 8 bits.  These products and sums are whole
numbers below 2^53, so float64 matrix products give the same bits on a CPU and on a GPU.

The order of the passes depends on the version of Pillow, see `starts_with_columns`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

_BITS = 22  # of Pillow's weights


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0.0, 1.0 - np.abs(x))


def _cubic(x: np.ndarray) -> np.ndarray:
    a, x = -0.5, np.abs(x)
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


# Filters of Pillow's resampling, and half their width in pixels of the smaller image.
FILTERS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "bilinear": (_triangle, 1.0),
    "bicubic": (_cubic, 2.0),
}


def scaled_size(size: tuple[int, int], edge: int) -> tuple[int, int]:
    """Return height and width after the shorter edge is scaled to `edge` pixels.

    Examples
    --------
    >>> scaled_size((300, 400), 224)
    (224, 298)
    """
    height, width = size
    if height <= width:
        return edge, int(edge * width / height)
    return int(edge * height / width), edge


def resize_crop(
    image: Tensor, *, size: tuple[int, int], crop: tuple[int, int], interpolation: str
) -> Tensor:
    """Scale an image and crop its center; only the pixels of the crop are computed.

    Parameters
    ----------
    image : Tensor (c, height, width) uint8
        On any device.
    size : tuple of two ints
        Height and width after scaling, in pixels.
    crop : tuple of two ints
        Height and width of the result; black where the scaled image is smaller.
    interpolation : {"bilinear", "bicubic"}
        Filter, antialiased as in Pillow.

    Returns
    -------
    Tensor (c, crop height, crop width) uint8
        The bits of ``Image.resize`` and torchvision's ``CenterCrop``, on the device of `image`.

    Notes
    -----
    Takes 8 c height width bytes for a moment, and 2 c (height w' width + h' height w') operations
    for a crop of h' x w'.

    Examples
    --------
    >>> image = torch.arange(192, dtype=torch.uint8).reshape(3, 8, 8)
    >>> small = resize_crop(image, size=(4, 4), crop=(2, 2), interpolation="bilinear")
    >>> small[0].tolist()
    [[23, 25], [39, 41]]
    """
    before = (image.shape[1], image.shape[2])
    window = [_window(size[i], crop[i]) for i in (0, 1)]
    rows, down = _weights(before[0], size[0], *window[0], interpolation)
    columns, across = _weights(before[1], size[1], *window[1], interpolation)
    part = image[:, rows[0] : rows[1], columns[0] : columns[1]]
    order = (0, 1) if starts_with_columns(before, size) else (1, 0)
    for axis in order:
        if size[axis] == before[axis]:
            continue
        if axis == 0:
            part = _round(_on(down, image) @ part.double())
        else:
            part = _round(part.double() @ _on(across, image).T)
    return _padded(part, size, crop)


def starts_with_columns(before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Return whether Pillow scales along the columns first; sizes are (height, width).

    Pillow 13 does so where the height shrinks by more than twice the pixels of the width; older
    versions never do.  The order changes single digits of the result.
    """
    shrinks = (before[0] - after[0], before[1] - after[1])
    return _knows_order() and shrinks[0] > 0 and shrinks[0] > 2 * shrinks[1]


@functools.cache
def _knows_order() -> bool:
    """Find out whether the installed Pillow chooses the order of its passes."""
    from PIL import Image

    # Pixels for which both orders round differently.
    pixels = np.array([[0, 4], [3, 4], [2, 3], [4, 3]], np.uint8)
    found = np.asarray(Image.fromarray(pixels).resize((3, 2), Image.Resampling.BILINEAR))
    return bool((found == _small(pixels, (0, 1))).all())


def _small(pixels: np.ndarray, order: tuple[int, int]) -> np.ndarray:
    part = torch.from_numpy(pixels)[None]
    for axis in order:
        weights = _on(
            _weights(pixels.shape[axis], (2, 3)[axis], 0, (2, 3)[axis], "bilinear")[1], part
        )
        part = _round(weights @ part.double() if axis == 0 else part.double() @ weights.T)
    return part[0].numpy()


def _window(scaled: int, crop: int) -> tuple[int, int]:
    """Return first and last pixel (exclusive) of a center crop, as torchvision rounds them."""
    if crop >= scaled:
        return 0, scaled
    first = round((scaled - crop) / 2.0)
    return first, first + crop


def _on(weights: np.ndarray, image: Tensor) -> Tensor:
    return torch.from_numpy(weights).to(image.device)


def _round(sums: Tensor) -> Tensor:
    half = float(1 << (_BITS - 1))
    return ((sums + half) / float(1 << _BITS)).floor_().clamp_(0, 255).to(torch.uint8)


@functools.lru_cache(maxsize=256)
def _weights(
    before: int, after: int, first: int, last: int, interpolation: str
) -> tuple[tuple[int, int], np.ndarray]:
    """Return the pixels (start, stop) needed for the outputs first:last, and weights of them.

    The weights (last - first, stop - start) are Pillow's, as whole numbers.  An axis that keeps its
    length is not scaled: pixels first:last.
    """
    if before == after:
        return (first, last), np.zeros((0, 0))
    kernel, half = FILTERS[interpolation]
    scale = before / after
    stretch = max(scale, 1.0)
    support = half * stretch
    center = (np.arange(first, last) + 0.5) * scale
    low = np.maximum((center - support + 0.5).astype(np.int64), 0)
    high = np.minimum((center + support + 0.5).astype(np.int64), before)
    start, stop = int(low.min()), int(high.max())
    pixels = np.arange(start, stop)
    values = kernel((pixels[None] - center[:, None] + 0.5) * (1.0 / stretch))
    inside = (pixels >= low[:, None]) & (pixels < high[:, None])
    values = np.where(inside, values, 0.0)
    # Pillow adds one weight after the other; another order could change the last digit.
    total = np.add.accumulate(values, axis=1)[:, -1]
    values = np.where(total[:, None] != 0, values / total[:, None], values)
    whole = np.trunc(values * (1 << _BITS) + np.copysign(0.5, values))
    return (start, stop), np.where(inside, whole, 0.0)


def _padded(part: Tensor, size: tuple[int, int], crop: tuple[int, int]) -> Tensor:
    """Add black where the scaled image is smaller than the crop, as torchvision does."""
    if size[0] >= crop[0] and size[1] >= crop[1]:
        return part
    whole = part.new_zeros((part.shape[0], *crop))
    top = (crop[0] - part.shape[1]) // 2
    start = (crop[1] - part.shape[2]) // 2
    whole[:, top : top + part.shape[1], start : start + part.shape[2]] = part
    return whole
