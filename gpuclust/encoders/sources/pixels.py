"""Encoder ``raw``: pixels as features, as in the study."""

from __future__ import annotations

from ...errors import InputError
from ..entry import Parts
from ..names import EncoderName

SIZE = 32


def build(name: EncoderName, *, image_size: int | None) -> Parts:
    """Flatten (3, s, s) ImageNet-normalized pixels to 3 s^2, s = min(32, image_size)."""
    from torch import nn

    from ..preprocessing import IMAGENET_MEAN, IMAGENET_STD, square

    del name
    if image_size is not None and image_size < 1:
        raise InputError(f"image_size must be at least 1 pixel; got {image_size}.")
    size = min(SIZE, image_size or SIZE)
    preprocessing = square(size=size, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    flatten = nn.Flatten()
    return Parts(
        backbone=flatten,
        module=flatten,
        own=preprocessing,
        study=lambda: preprocessing,
        facts={"library": "gpuclust", "image_size": size},
    )
