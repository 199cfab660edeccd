"""Geometry and normalization of transforms: together the bits of the whole transform."""

import copy

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from sklearn.datasets import load_sample_images
from timm.data import create_transform
from torchvision import transforms
from torchvision.models import get_model_weights

from gpuclust import encoders
from gpuclust.embeddings import decoding
from gpuclust.encoders import geometry, preprocessing, timm_model
from gpuclust.encoders.thin import ThinSafe

CLIP = {"mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711)}
HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def photos():
    """Real photographs: as they are, upright, small, in gray, and a strip."""
    first, second = map(Image.fromarray, load_sample_images().images)
    return [
        first,
        second.transpose(Image.Transpose.ROTATE_90),
        first.crop((100, 40, 130, 90)),
        second.convert("L").convert("RGB"),
        first.resize((3000, 2)),
    ]


def of_timm(**changes):
    config = {"input_size": (3, 64, 64), "interpolation": "bicubic", "crop_pct": 0.9}
    config |= {"crop_mode": "center", **HALF, **changes}
    return lambda: timm_model.own(config)


def of_open_clip(**changes):
    def build():
        config = PreprocessCfg(size=64, **CLIP | changes)
        shape = {"resize": 64, "resize_mode": config.resize_mode, "crop": 64}
        facts = preprocessing.facts(**shape, interpolation=config.interpolation, **CLIP)
        return preprocessing.Preprocessing(image_transform_v2(config, is_train=False), facts)

    return build


def of_torchvision():
    from gpuclust.encoders.sources import torchvision

    return torchvision._own(get_model_weights("resnet50").IMAGENET1K_V2.transforms())


KINDS = {
    "timm": of_timm(),
    "timm bilinear": of_timm(interpolation="bilinear", crop_pct=1.0),
    "timm squash": of_timm(crop_mode="squash"),
    "timm pad": of_timm(crop_mode="border", **CLIP),
    "timm not square": of_timm(input_size=(3, 48, 64)),
    "open_clip": of_open_clip(),
    "open_clip squash": of_open_clip(resize_mode="squash", interpolation="bilinear"),
    "open_clip pad": of_open_clip(resize_mode="longest"),
    "torchvision": of_torchvision,
    "study": lambda: preprocessing.study(**CLIP, fixed_size=None),
    "raw": lambda: preprocessing.square(size=32, **CLIP),
}


@pytest.mark.parametrize("kind", KINDS)
def test_geometry_and_normalization_give_the_bits_of_the_transform(kind, monkeypatch):
    made = KINDS[kind]()
    whole = ThinSafe(made.transform, made.facts)
    monkeypatch.setattr("gpuclust.encoders.thin.MOST", 2**18)  # the strip is thin already
    found = copy.deepcopy(geometry.split(whole))  # as for workers
    images = photos()
    pixels = [found.geometry(image) for image in images]
    assert {one.dtype for one in pixels} == {torch.uint8}
    got = found.normalize(decoding._stack(pixels))
    assert torch.equal(got, torch.stack([whole(image) for image in images]))
    assert got.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("stats", [CLIP, HALF])
def test_all_values_of_a_pixel_are_normalized_as_torchvision_does(stats):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    steps = [transforms.ToTensor(), transforms.Normalize(**stats)]
    expected = transforms.Compose(steps)(Image.fromarray(values))
    pixels = torch.from_numpy(values).permute(2, 0, 1)[None]
    assert torch.equal(geometry.Normalization(**stats)(pixels)[0], expected)


@pytest.mark.gpu
def test_a_gpu_normalizes_with_the_bits_of_a_cpu():
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).repeat(1, 3, 1, 1)
    for stats in (CLIP, HALF):
        normalize = geometry.Normalization(**stats)
        assert torch.equal(normalize(pixels.cuda()).cpu(), normalize(pixels))


def key(kind):
    made = kind()
    return geometry.split(ThinSafe(made.transform, made.facts)).key


def test_the_key_is_the_same_for_other_statistics_only():
    same = {key(of_timm()), key(of_timm(**CLIP))}
    others = [of_timm(crop_mode="squash"), of_timm(interpolation="bilinear"), of_timm(crop_pct=1.0)]
    others += [of_timm(input_size=(3, 48, 64)), of_timm(input_size=(3, 32, 32))]
    assert len(same) == 1
    assert len({*same, *map(key, others)}) == 1 + len(others)


def test_a_border_filled_with_the_mean_is_a_geometry_of_its_own():
    pads = [of_timm(crop_mode="border"), of_timm(crop_mode="border", **CLIP)]
    assert len(set(map(key, pads))) == 2


@pytest.mark.parametrize(
    "transform",
    [
        transforms.Compose([transforms.Resize(8), transforms.ToTensor()]),
        transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize(**HALF), transforms.Resize(8)]
        ),
        create_transform((3, 8, 8), is_training=False, use_prefetcher=True),  # not divided by 255
        np.asarray,
    ],
)
def test_other_transforms_are_not_split(transform):
    assert geometry.split(transform) is None


def test_a_thin_image_with_other_statistics_is_not_split():
    made = preprocessing.square(size=8, **HALF)
    assert geometry.split(ThinSafe(made.transform, made.facts | CLIP)) is None


def test_every_encoder_of_the_tests_can_be_split():
    for name in ("raw", "random/test_vit", "random/test_resnet"):
        assert geometry.split(encoders.load(name).transform) is not None


def test_an_image_in_another_mode_is_refused():
    found = geometry.split(encoders.load("raw").transform)
    with pytest.raises(ValueError, match="mode L, not RGB"):
        found.geometry(Image.new("L", (40, 40)))
