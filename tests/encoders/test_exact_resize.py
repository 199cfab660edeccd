"""Resizing with torch equals Pillow and torchvision bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from gpuclust.encoders.exact_resize import resize_crop, scaled_size, starts_with_columns

MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}
SIZES = [(1, 1), (1, 9), (224, 224), (225, 223), (300, 601), (610, 300), (28, 28), (427, 640)]
SIZES += [(33, 1200), (1200, 33), (2000, 1301)]


def photo(size, seed):
    """Return a photograph, or noise for odd seeds, of a height and a width."""
    height, width = size
    if seed % 2:
        noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        return Image.fromarray(noise)
    return Image.fromarray(load_sample_images().images[0]).resize((width, height))


def tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize(("edge", "crop"), [(224, 224), (256, 224), (32, 32), (32, 224)])
@pytest.mark.parametrize("size", SIZES)
def test_scaling_and_cropping_give_the_bits_of_pillow(size, edge, crop, interpolation):
    for seed in (0, 1):
        image = photo(size, seed)
        steps = (Resize(edge, interpolation=MODES[interpolation]), CenterCrop(crop))
        expected = tensor(steps[1](steps[0](image)))
        found = resize_crop(
            tensor(image),
            size=scaled_size(size, edge),
            crop=(crop, crop),
            interpolation=interpolation,
        )
        assert torch.equal(found, expected)


def test_any_size_of_result_gives_the_bits_of_pillow():
    rng = np.random.default_rng(0)
    for seed in range(1, 61, 2):
        before, after = (tuple(int(x) for x in rng.integers(1, 200, 2)) for _ in range(2))
        image = photo(before, seed)
        expected = tensor(image.resize(after[::-1], Image.Resampling.BICUBIC))
        found = resize_crop(tensor(image), size=after, crop=after, interpolation="bicubic")
        assert torch.equal(found, expected), (before, after)


def test_the_order_of_the_passes_is_that_of_the_installed_pillow():
    image = photo((601, 300), 1)
    expected = tensor(image.resize((224, 448), Image.Resampling.BICUBIC))
    whole = {"size": (448, 224), "crop": (448, 224), "interpolation": "bicubic"}
    assert torch.equal(resize_crop(tensor(image), **whole), expected)
    assert not starts_with_columns((600, 300), (448, 224))
