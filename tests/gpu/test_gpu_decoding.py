"""JPEG decoded and resized on the GPU gives nearly the features of Pillow."""

from __future__ import annotations

import io

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from gpuclust import encoders
from gpuclust.encoders.device_geometry import DeviceGeometry
from gpuclust.encoders.exact_resize import resize_crop

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]


def files():
    """Return JPEG files of photographs: sizes, qualities, gray and color."""
    found = []
    for i, pixels in enumerate(load_sample_images().images):
        for size in ((640, 427), (2000, 1300), (300, 700), (40, 32)):
            for quality in (60, 90):
                image = Image.fromarray(pixels).resize(size)
                file = io.BytesIO()
                (image.convert("L") if i and quality == 60 else image).save(
                    file, "jpeg", quality=quality
                )
                found.append(file)
    return found


def test_features_are_within_cosine_0_999_of_pillow(record_property):
    encoder = encoders.load("efficientnet_lite0", preprocess="study")
    geometry = DeviceGeometry.of(encoder.preprocessing, encoder.name)
    on_gpu = DeviceGeometry(geometry.edge, geometry.crop, geometry.interpolation, device="cuda")
    given = files()
    bytes_ = [torch.frombuffer(bytearray(one.getvalue()), dtype=torch.uint8) for one in given]
    expected = torch.stack([geometry(Image.open(one).convert("RGB")) for one in given])
    found = torch.stack([one.cpu() for one in on_gpu.finish(bytes_)])
    largest = int((found.int() - expected.int()).abs().max())
    features = [encoder.module((x / 255 - 0.5) / 0.5) for x in (expected, found)]
    cosine = torch.nn.functional.cosine_similarity(*features).min().item()
    record_property("least_cosine", cosine)
    record_property("largest_difference", largest)
    assert cosine >= 0.999


def test_resizing_has_the_bits_of_the_cpu():
    image = torch.from_numpy(load_sample_images().images[0].copy()).permute(2, 0, 1)
    how = {"size": (224, 335), "crop": (224, 224)}
    for name in ("bilinear", "bicubic"):
        expected = resize_crop(image, interpolation=name, **how)
        assert torch.equal(resize_crop(image.cuda(), interpolation=name, **how).cpu(), expected)
