"""Encoders ``random/<timm name>``: untrained networks, the baseline of pretrained ones.

Weights follow timm's initialization; the study used torchvision's for ResNet-50 and ViT-B/16.
"""

from __future__ import annotations

import timm
import torch

from .. import image_size as image_size_of
from .. import timm_model
from ..entry import Parts
from ..names import EncoderName
from ..preprocessing import IMAGENET_MEAN, IMAGENET_STD


def check(name: EncoderName) -> None:
    """Check architecture, pooling and size."""
    timm_model.check_architecture(name.model)
    timm_model.check_pool_of(name.model, pool=name.pool)
    image_size_of.arguments(name.model, size=name.option("size"), weights="none")


def build(name: EncoderName, *, image_size: int | None) -> Parts:
    """Draw the weights; a seed gives the same weights in every process."""
    del image_size
    seed, size = int(name.option("seed")), name.option("size")
    arguments = image_size_of.arguments(name.model, size=size, weights="none")
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also seed the GPUs, and fork_rng does not restore those.
        torch.default_generator.manual_seed(seed)
        backbone = timm.create_model(name.model, pretrained=False, num_classes=0, **arguments)
    return timm_model.make_parts(
        backbone,
        pool=name.pool,
        source={"model": name.model, "seed": seed},
        size=size,
        study_stats=(IMAGENET_MEAN, IMAGENET_STD),
    )
