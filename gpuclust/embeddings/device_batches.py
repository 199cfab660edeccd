"""Batches of images decoded and resized on the device of the encoder.

A worker packs the files of a batch into one tensor, because every tensor that passes between
processes needs an open file.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..encoders.device_geometry import DeviceGeometry


class Packed(NamedTuple):
    """Files and pixels of several images: uint8 values one after another, and their shapes.

    Examples
    --------
    >>> import torch
    >>> packed = Packed.of([torch.zeros(5, dtype=torch.uint8), torch.ones(3, 2, 2).byte()])
    >>> packed.data.shape[0], [tuple(one.shape) for one in packed.images()]
    (17, [(5,), (3, 2, 2)])
    """

    data: Tensor
    shapes: list[tuple[int, ...]]

    @classmethod
    def of(cls, images: Sequence[Tensor]) -> Packed:
        """Copy the images into one tensor."""
        return cls(torch.cat([one.flatten() for one in images]), [tuple(i.shape) for i in images])

    def images(self) -> list[Tensor]:
        """Return the images as views."""
        parts = self.data.split([math.prod(shape) for shape in self.shapes])
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]


def on(transform: Any, device: torch.device) -> Any:
    """Give a geometry on a device its device; any other transform is returned as it is."""
    if isinstance(transform, DeviceGeometry):
        return dataclasses.replace(transform, device=str(device))
    return transform


def finish(packed: Packed, geometry: DeviceGeometry) -> tuple[Tensor | None, dict[int, str]]:
    """Decode and resize the images of a batch.

    Returns
    -------
    Tensor (b, 3, h, w) uint8 or None
        The decodable images, on the device, channels last; None when there is none.
    dict of int to str
        Reasons by position of the others.
    """
    found = geometry.finish(packed.images())
    bad = {i: one for i, one in enumerate(found) if isinstance(one, str)}
    pixels = [one for one in found if isinstance(one, Tensor)]
    if not pixels:
        return None, bad
    return torch.stack(pixels).contiguous(memory_format=torch.channels_last), bad
