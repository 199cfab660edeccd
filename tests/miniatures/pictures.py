"""Real small pictures: pieces of scikit-learn's photographs, and its digits."""

import functools

from PIL import Image
from sklearn.datasets import load_digits, load_sample_image

PHOTOGRAPHS = ("china.jpg", "flower.jpg")
# Fractions of the golden ratio and of the square root of 2: positions that never repeat.
_ACROSS, _DOWN = 0.6180339887, 0.4142135624


@functools.cache
def _photograph(name: str) -> Image.Image:
    return Image.fromarray(load_sample_image(name))


def photo(number: int, size: tuple[int, int] = (40, 32), mode: str = "RGB") -> Image.Image:
    """Return piece `number` of the photographs, resized to (width, height); every one differs."""
    whole = _photograph(PHOTOGRAPHS[number % len(PHOTOGRAPHS)])
    width, height = size
    scale = min(whole.width / 3 / width, whole.height / 3 / height)
    piece = round(width * scale), round(height * scale)
    left = int((number * _ACROSS) % 1 * (whole.width - piece[0]))
    top = int((number * _DOWN) % 1 * (whole.height - piece[1]))
    box = (left, top, left + piece[0], top + piece[1])
    return whole.resize(size, Image.Resampling.BILINEAR, box).convert(mode)


@functools.cache
def _digits() -> tuple:
    found = load_digits()
    return found.images, found.target


def digit(number: int, size: int = 28) -> Image.Image:
    """Return handwritten digit `number` (0 to 1796) in gray, resized to size x size."""
    pixels = (_digits()[0][number] * 15.9375).astype("uint8")
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)


def digit_label(number: int) -> int:
    """Return the class, 0 to 9, of handwritten digit `number`."""
    return int(_digits()[1][number])
