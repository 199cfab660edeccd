"""Decode and resize images on the device of the encoder.

Worker processes only read the files.  Plain JPEG images are decoded by torchvision: by
libjpeg-turbo on a CPU, with the pixels of Pillow, and by nvJPEG on a GPU, whose pixels may differ.
Other images are decoded by Pillow in the workers.  All are resized with the bits of Pillow, see
`exact_resize`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import functional

from ..device import memory
from ..errors import InputError
from .entry import Preprocessing
from .exact_resize import FILTERS, resize_crop, scaled_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..datasets import Dataset


@dataclass(frozen=True)
class DeviceGeometry:
    """Geometry of a preprocessing, computed on a device; picklable, for worker processes.

    Attributes
    ----------
    edge : int
        Length of the shorter edge after scaling, in pixels.
    crop : tuple of two ints
        Height and width of the center crop.
    interpolation : {"bilinear", "bicubic"}
        Filter, antialiased.
    device : str
        Device of torch.

    Examples
    --------
    >>> from PIL import Image
    >>> geometry = DeviceGeometry(224, (224, 224), "bilinear")
    >>> tuple(geometry(Image.new("RGB", (300, 400))).shape)
    (3, 224, 224)
    """

    edge: int
    crop: tuple[int, int]
    interpolation: str
    device: str = "cpu"

    @classmethod
    def of(cls, facts: dict[str, Any], name: str) -> DeviceGeometry:
        """Return the geometry of a preprocessing, described as `preprocessing.facts` does.

        Raises
        ------
        InputError
            The preprocessing scales in another way, such as padding to a square.
        """
        plain = facts["resize_mode"] == "shortest" and isinstance(facts["resize"], int)
        if not plain or facts["interpolation"] not in FILTERS:
            raise InputError(
                f"{name} cannot be preprocessed on a device: it resizes by {facts['resize_mode']}, "
                f"{facts['interpolation']}; possible is the shorter edge, with "
                f"{' or '.join(FILTERS)}. Use preprocess 'own'."
            )
        height, width = facts["crop"]
        return cls(facts["resize"], (height, width), facts["interpolation"])

    def read(self, dataset: Dataset, i: int) -> tuple[Tensor, int | None]:
        """Read image `i` in a worker: the bytes of a plain JPEG (n,), else pixels (3, h, w) uint8.

        Raises
        ------
        BadImagesError
            The image cannot be decoded.
        """
        from ..datasets.image import UNDECODABLE
        from ..datasets.photo.plain import plain_jpeg

        path, labels = dataset.path(i), dataset.labels
        if path is not None and labels is not None:
            try:
                found = plain_jpeg(path)
            except UNDECODABLE:
                found = None  # the dataset has the better message
            if found is not None:
                label = int(labels[i])
                return torch.frombuffer(bytearray(found), dtype=torch.uint8), _known(label)
        image, label_ = dataset[i]
        return functional.pil_to_tensor(image), label_

    def finish(self, images: Sequence[Tensor]) -> list[Tensor | str]:
        """Decode and resize on the device: pixels (3, h', w') uint8, or the reason of a failure."""
        device = torch.device(self.device)
        decoded = _decoded(images, device)
        return [one if isinstance(one, str) else self._one(one.to(device)) for one in decoded]

    def __call__(self, image: Any) -> Tensor:
        """Resize and crop a PIL image of mode RGB: pixels (3, h', w') uint8, on the CPU."""
        return self._one(functional.pil_to_tensor(image))

    def _one(self, image: Tensor) -> Tensor:
        size = scaled_size((image.shape[1], image.shape[2]), self.edge)
        return resize_crop(image, size=size, crop=self.crop, interpolation=self.interpolation)


@dataclass(frozen=True)
class DeviceTransform:
    """Transform of an encoder with a geometry on a device.

    Called with one image it computes on the CPU; see `geometry.split` for its parts.

    Examples
    --------
    >>> from PIL import Image
    >>> from gpuclust import encoders
    >>> transform = encoders.load("raw", preprocess="own-device").transform
    >>> tuple(transform(Image.new("RGB", (300, 400))).shape)
    (3, 32, 32)
    """

    geometry: DeviceGeometry
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, image: Any) -> Tensor:
        """Transform a PIL image of mode RGB: (3, h', w') float32, on the CPU."""
        pixels = self.geometry(image).to(torch.float32) / 255
        return functional.normalize(pixels, list(self.mean), list(self.std))


def on_device(chosen: Preprocessing, name: str) -> Preprocessing:
    """Return the same preprocessing on the device of the encoder.

    Raises
    ------
    InputError
        As `DeviceGeometry.of`, with the `name` of the encoder.
    """
    shape = DeviceGeometry.of(chosen.facts, name)
    transform = DeviceTransform(shape, tuple(chosen.facts["mean"]), tuple(chosen.facts["std"]))
    return Preprocessing(transform, {**chosen.facts, "decoder": "torchvision, on the device"})


def _known(label: int) -> int | None:
    return label if label >= 0 else None


def _decoded(images: Sequence[Tensor], device: torch.device) -> list[Tensor | str]:
    """Decode the JPEG files among images, all in one call; the reason for a damaged one."""
    files = [image for image in images if image.ndim == 1]
    try:
        decoded: list[Tensor | str] = [*_decode(files, device)]
    except RuntimeError as error:
        if memory.is_out_of_memory(error):
            raise
        decoded = [_or_reason(file, device) for file in files]
    waiting = iter(decoded)
    return [next(waiting) if image.ndim == 1 else image for image in images]


def _decode(files: list[Tensor], device: torch.device) -> list[Tensor]:
    if not files:
        return []
    with warnings.catch_warnings():
        # Deprecated by torchvision 0.29 for torchcodec, which is no dependency of this project yet.
        warnings.simplefilter("ignore", DeprecationWarning)
        pixels = decode_jpeg(files, mode=ImageReadMode.RGB, device=device)
    return pixels if isinstance(pixels, list) else [pixels]


def _or_reason(file: Tensor, device: torch.device) -> Tensor | str:
    try:
        return _decode([file], device)[0]
    except RuntimeError as error:
        if memory.is_out_of_memory(error):
            raise
        return str(error).splitlines()[0]
