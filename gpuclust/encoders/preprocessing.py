"""Image transforms, each with the facts that describe it fully."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchvision.transforms import (
    CenterCrop,
    Compose,
    InterpolationMode,
    Normalize,
    Resize,
    ToTensor,
)

from ..errors import InputError
from .table import Preprocessing

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
STUDY_SIZE = 224


def facts(
    *,
    resize: int | Sequence[int],
    resize_mode: str,
    crop: int | Sequence[int],
    interpolation: str,
    mean: Sequence[float],
    std: Sequence[float],
) -> dict[str, Any]:
    """Describe a transform in JSON values, the same words for every library.

    Parameters
    ----------
    resize, crop : int or sequence of two ints
        Pixels; one number is a square or, in mode ``"shortest"``, the shorter side.
    resize_mode : {"shortest", "longest", "squash"}
        Which side `resize` means; ``"longest"`` pads, ``"squash"`` changes the aspect ratio.
    interpolation : str
        Of PIL, which is always antialiased.
    mean, std : sequence of three floats
        On the scale where white is 1.
    """
    return {
        "resize": list(resize) if isinstance(resize, Sequence) else int(resize),
        "resize_mode": resize_mode,
        "crop": [int(side) for side in crop] if isinstance(crop, Sequence) else [int(crop)] * 2,
        "interpolation": interpolation,
        "antialias": True,
        "mean": [float(value) for value in mean],
        "std": [float(value) for value in std],
    }


def square(*, size: int, mean: Sequence[float], std: Sequence[float]) -> Preprocessing:
    """Resize the shorter side (bilinear, antialiased), crop the centre, normalise."""
    steps = [
        Resize(size, interpolation=InterpolationMode.BILINEAR),
        CenterCrop(size),
        ToTensor(),
        Normalize(mean=list(mean), std=list(std)),
    ]
    return Preprocessing(
        Compose(steps),
        facts(
            resize=size,
            resize_mode="shortest",
            crop=size,
            interpolation="bilinear",
            mean=mean,
            std=std,
        ),
    )


def study(
    *, mean: Sequence[float], std: Sequence[float], fixed_size: Sequence[int] | None
) -> Preprocessing:
    """Give the preprocessing of the study: 224 pixels whatever the encoder was trained on.

    Parameters
    ----------
    mean, std : sequence of three floats
        The encoder's own.
    fixed_size : sequence of two ints or None
        The only size (height, width) the encoder takes, if it is tied to one.

    Raises
    ------
    InputError
        For an encoder that is tied to another size.
    """
    if fixed_size is not None and tuple(fixed_size) != (STUDY_SIZE, STUDY_SIZE):
        height, width = fixed_size
        raise InputError(
            f"the study's preprocessing gives {STUDY_SIZE} x {STUDY_SIZE} pixels and this encoder "
            f"takes {height} x {width} only; use preprocess='own'."
        )
    return square(size=STUDY_SIZE, mean=mean, std=std)
