"""Image transforms with a full description of each, as JSON values."""

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
from .entry import Preprocessing

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
    """Describe a transform as JSON values, with the same keys for every library.

    Parameters
    ----------
    resize, crop : int or sequence of two ints
        Pixels: height and width, or one number for a square; in mode ``"shortest"`` one number is
        the length of the shorter edge.
    resize_mode : {"shortest", "longest", "squash"}
        Edge that `resize` refers to; ``"longest"`` pads, ``"squash"`` changes the aspect ratio.
    interpolation : str
        Interpolation of PIL, always antialiased.
    mean, std : sequence of three floats
        Per channel, for pixel values from 0 to 1.
    """
    return {
        "resize": list(resize) if isinstance(resize, Sequence) else int(resize),
        "resize_mode": resize_mode,
        "crop": [int(edge) for edge in crop] if isinstance(crop, Sequence) else [int(crop)] * 2,
        "interpolation": interpolation,
        "antialias": True,
        "mean": [float(value) for value in mean],
        "std": [float(value) for value in std],
    }


def square(*, size: int, mean: Sequence[float], std: Sequence[float]) -> Preprocessing:
    """Resize the shorter edge to `size` (bilinear, antialiased), crop the center, normalize."""
    return cropped(resize=size, size=size, mean=mean, std=std)


def cropped(
    *,
    resize: int,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
) -> Preprocessing:
    """Resize the shorter edge to `resize` (antialiased), crop the center of `size`, normalize."""
    steps = [
        Resize(resize, interpolation=interpolation),
        CenterCrop(size),
        ToTensor(),
        Normalize(mean=list(mean), std=list(std)),
    ]
    return Preprocessing(
        Compose(steps),
        facts(
            resize=resize,
            resize_mode="shortest",
            crop=size,
            interpolation=interpolation.value,
            mean=mean,
            std=std,
        ),
    )


def study(
    *,
    mean: Sequence[float],
    std: Sequence[float],
    fixed_size: Sequence[int] | None,
    advice: str = "Use preprocess='own'.",
) -> Preprocessing:
    """Return the preprocessing of the study: 224 x 224 pixels for every encoder.

    Parameters
    ----------
    mean, std : sequence of three floats
        Values of the encoder's own preprocessing.
    fixed_size : sequence of two ints or None
        Height and width in pixels, if the encoder accepts only one size.
    advice : str
        What to do otherwise, for the message.

    Raises
    ------
    InputError
        The encoder accepts only another size.
    """
    if fixed_size is not None and tuple(fixed_size) != (STUDY_SIZE, STUDY_SIZE):
        height, width = fixed_size
        raise InputError(
            f"the study's preprocessing gives {STUDY_SIZE} x {STUDY_SIZE} pixels and this encoder "
            f"accepts only {height} x {width}. {advice}"
        )
    return square(size=STUDY_SIZE, mean=mean, std=std)
