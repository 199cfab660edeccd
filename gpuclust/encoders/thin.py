"""Transform thin images in bounded memory.

Encoders scale the shorter edge to about 256 pixels and then crop the center.  For a strip of
12,000 x 1 pixels the scaled image has 3 million columns and takes gigabytes, of which 224 columns
are used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image

# Pixels of a scaled image; 64 MiB. With a shorter edge of 256 only images with an aspect ratio
# above 256 reach it, so the transform of any other image is the encoder's own, bit for bit.
MOST = 2**24

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# Half the width of a filter in pixels of the smaller image, plus one for rounding.
_SUPPORT = 4


@dataclass(frozen=True, eq=False)
class ThinSafe:
    """Transform of an encoder that cuts thin images before it scales them; picklable.

    Attributes
    ----------
    transform : callable
        PIL RGB image -> float32 tensor (3, height, width).
    facts : dict
        Description of the transform; see `preprocessing.facts`.
    normalized : bool
        False for a `transform` with a result of pixels, uint8; see `geometry.split`.

    Examples
    --------
    >>> from PIL import Image
    >>> from gpuclust import encoders
    >>> transform = encoders.load("raw").transform
    >>> tuple(transform(Image.new("RGB", (60_000, 1))).shape)
    (3, 32, 32)
    """

    transform: Callable[[Any], Any]
    facts: dict[str, Any]
    normalized: bool = True

    def __call__(self, image: Image.Image) -> Any:
        """Transform one image."""
        mode = self.facts["resize_mode"]
        if mode == "longest":
            return self.transform(_thick(image, self._edges()))
        if mode == "shortest" and _scaled_pixels(image.size, self._edges()) > MOST:
            return self._cropped(image)
        return self.transform(image)

    def _edges(self) -> tuple[int, int]:
        """Return the least height and width of the scaled image."""
        resize = self.facts["resize"]
        return (resize, resize) if isinstance(resize, int) else (resize[0], resize[-1])

    def _cropped(self, image: Image.Image) -> Any:
        """Scale only the pixels of the center crop, then normalize."""
        from torchvision.transforms.functional import normalize, pil_to_tensor, to_tensor

        resample = _FILTERS.get(self.facts["interpolation"], Image.Resampling.BICUBIC)
        small = crop_scaled(image, self._edges(), tuple(self.facts["crop"]), resample)
        if not self.normalized:
            return pil_to_tensor(small)
        return normalize(to_tensor(small), self.facts["mean"], self.facts["std"])


def _scaled_size(size: tuple[int, int], edges: tuple[int, int]) -> tuple[int, int]:
    """Return width and height after scaling, rounded down as torchvision does."""
    width, height = size
    factor = max(edges[0] / height, edges[1] / width)
    if edges[0] == edges[1]:
        short = min(size)
        return (int(edges[0] * width / short), int(edges[0] * height / short))
    return (round(width * factor), round(height * factor))


def _scaled_pixels(size: tuple[int, int], edges: tuple[int, int]) -> int:
    return math.prod(_scaled_size(size, edges))


def crop_scaled(
    image: Image.Image, edges: tuple[int, int], crop: tuple[int, int], resample: Image.Resampling
) -> Image.Image:
    """Scale an image to at least `edges` and crop its center, computing only the crop.

    Pixels of images with an aspect ratio above 100 differ from those of scaling the whole image by
    at most 1 of 255, because Pillow keeps the coordinates of a box in float32.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB.
    edges, crop : tuple of two ints
        Height and width in pixels.
    resample : PIL.Image.Resampling
        Filter, antialiased.

    Returns
    -------
    PIL.Image.Image
        Size of `crop`; black where the scaled image is smaller.

    Examples
    --------
    >>> from PIL import Image
    >>> strip = Image.new("RGB", (60_000, 1), (9, 9, 9))
    >>> crop_scaled(strip, (256, 256), (224, 224), Image.Resampling.BILINEAR).getpixel((0, 0))
    (9, 9, 9)
    """
    scaled = _scaled_size(image.size, edges)
    target = (min(crop[1], scaled[0]), min(crop[0], scaled[1]))
    first = [round((whole - part) / 2) for whole, part in zip(scaled, target, strict=True)]
    box, inside = [], []
    for axis in (0, 1):
        ratio = image.size[axis] / scaled[axis]
        low, high = first[axis] * ratio, (first[axis] + target[axis]) * ratio
        margin = _SUPPORT * max(ratio, 1.0)
        start = max(0, math.floor(low - margin))
        stop = min(image.size[axis], math.ceil(high + margin))
        box.append((start, stop))
        inside.append((max(low - start, 0.0), min(high - start, float(stop - start))))
    (left, right), (top, bottom) = box
    region = image.crop((left, top, right, bottom))
    (x0, x1), (y0, y1) = inside
    small = region.resize(target, resample, box=(x0, y0, x1, y1))
    if small.size == (crop[1], crop[0]):
        return small
    padded = Image.new(image.mode, (crop[1], crop[0]))
    padded.paste(small, ((crop[1] - target[0]) // 2, (crop[0] - target[1]) // 2))
    return padded


def _thick(image: Image.Image, edges: tuple[int, int]) -> Image.Image:
    """Widen an image whose shorter edge would be scaled to nothing, to one pixel after scaling."""
    ratio = max(image.height / edges[0], image.width / edges[1])
    least = math.ceil(ratio)
    if min(image.size) * 2 > ratio:  # rounds to one pixel or more
        return image
    return image.resize((max(image.width, least), max(image.height, least)), Image.Resampling.BOX)
