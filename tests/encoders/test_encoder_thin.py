"""Thin and huge images: bounded memory, and the same pixels as the encoder's own transform."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from gpuclust import encoders
from gpuclust.encoders import thin


def noise(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def raw():
    return encoders.load("raw")


@pytest.mark.parametrize("size", [(32, 32), (33, 70), (640, 480), (1, 1), (5, 900), (1300, 3)])
def test_the_transform_of_an_ordinary_image_is_the_encoders_own(raw, size):
    image = noise(*size)
    assert torch.equal(raw.transform(image), raw.transform.transform(image))


@pytest.mark.parametrize("mode", [InterpolationMode.BILINEAR, InterpolationMode.BICUBIC])
@pytest.mark.parametrize(
    ("size", "edge", "crop"),
    [((900, 2), 256, 224), ((3, 1111), 248, 235), ((701, 7), 224, 224), ((1, 640), 288, 288)],
)
def test_a_crop_scaled_alone_equals_the_crop_of_the_scaled_image(size, edge, crop, mode):
    image = noise(*size)
    expected = CenterCrop(crop)(Resize(edge, interpolation=mode)(image))
    got = thin.crop_scaled(image, (edge, edge), (crop, crop), thin._FILTERS[mode.value])
    difference = np.asarray(expected).astype(int) - np.asarray(got)
    assert got.size == (crop, crop)
    assert np.abs(difference).max() <= 1


def test_both_ways_agree_at_the_limit_where_they_are_exchanged(raw, monkeypatch):
    image = noise(3000, 2)
    own = raw.transform(image)
    monkeypatch.setattr(thin, "MOST", 1)
    step = 1 / 255 / 0.22
    torch.testing.assert_close(raw.transform(image), own, rtol=0, atol=step)


def test_a_strip_is_read_where_the_longer_edge_decides():
    facts = {"resize": 32, "resize_mode": "longest", "crop": [32, 32]}
    seen = []
    thin.ThinSafe(seen.append, facts)(noise(9000, 1))
    assert seen[0].size == (9000, 282)
    assert round(282 * 32 / 9000) == 1
    thin.ThinSafe(seen.append, facts)(noise(90, 30))
    assert seen[1].size == (90, 30)


STRIP = """
import resource, sys
from PIL import Image
from gpuclust import encoders
transform = encoders.load("raw").transform
from gpuclust.encoders import preprocessing, thin
mean = (0.5, 0.5, 0.5)
large = preprocessing.square(size=256, mean=mean, std=mean)
transform = thin.ThinSafe(large.transform, large.facts)
transform(Image.new("RGB", (300, 300)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for size in ((65_500, 1), (1, 65_500), (268_000, 3)):
    assert tuple(transform(Image.new("RGB", size)).shape) == (3, 256, 256)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_strips_take_little_memory():
    done = subprocess.run([sys.executable, "-c", STRIP], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100  # MiB; 4 to 17 GB without the crop
