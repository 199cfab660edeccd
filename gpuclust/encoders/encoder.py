"""Encoders, ready to embed images, and the function to load one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import unknown
from ..registry import load_target
from .entry import Parts
from .names import EncoderName, check
from .table import ENCODERS
from .thin import ThinSafe

if TYPE_CHECKING:
    from torch import Tensor, nn

PREPROCESSINGS = ("own", "study", "own-device", "study-device")


@dataclass(frozen=True, eq=False)
class Encoder:
    """Frozen encoder on the CPU, in evaluation mode, in float32.

    Attributes
    ----------
    name : str
        Canonical name; `load` takes it.
    module : torch.nn.Module
        ``module(batch)``: (b, 3, height, width) float32 -> (b, d) features, not normalized.
    transform : callable
        PIL RGB image -> float32 tensor (3, height, width); picklable, for worker processes.
    preprocessing : dict
        Full description of `transform` as JSON values; sizes in pixels.
    preprocess : str
        One of `PREPROCESSINGS`.
    pool : str
        Requested pooling; empty for the model's own feature.
    weights_hash : str
        SHA-256 (hex) over the sorted names, shapes, dtypes and bytes of the state dict without
        its classifier; the same in every process.
    source : dict
        Library, version and origin of the weights, as JSON values.
    """

    name: str
    module: nn.Module
    transform: Callable[[Any], Tensor]
    preprocessing: dict[str, Any]
    preprocess: str
    pool: str
    weights_hash: str
    source: dict[str, Any]


def load(
    name: str | EncoderName, *, preprocess: str = "own", image_size: int | None = None
) -> Encoder:
    """Load an encoder by name, downloading its weights when they are not cached.

    Parameters
    ----------
    name : str or EncoderName
        A name of `available`, such as ``"timm/resnet50.a1_in1k"``.
    preprocess : {"own", "study", "own-device", "study-device"}
        ``"own"`` is the preprocessing of the encoder's configuration.  ``"study"`` resizes the
        shorter side of an image to 224 (bilinear, antialiased), crops the center 224 x 224 and
        normalizes with the mean and standard deviation of the encoder, as the study did: these
        are ImageNet's for every encoder of the study but CLIP.  ``random/...`` uses ImageNet's.
        ``raw`` is the same under both.  With ``-device``, JPEG files are decoded and all images
        resized on the device of the encoder, see `device_geometry`.
    image_size : int, optional
        Height and width of the dataset's images in pixels.  Only ``raw`` uses it, to avoid
        enlarging images.

    Returns
    -------
    Encoder
        On the CPU.

    Raises
    ------
    UnknownNameError
        For an unknown name or preprocessing.
    WeightsError
        For weights that cannot be downloaded or do not fit the architecture.
    InputError
        For a pooling or a preprocessing that this encoder cannot take.

    Notes
    -----
    The global random state of torch does not change.

    Examples
    --------
    >>> encoder = load("raw", image_size=8)
    >>> encoder.preprocessing["crop"]
    [8, 8]
    """
    if preprocess not in PREPROCESSINGS:
        raise unknown("preprocessing", preprocess, PREPROCESSINGS)
    parsed = check(name)
    parts = _build(parsed, image_size)
    chosen = parts.own if preprocess.startswith("own") else parts.study()
    transform: Callable[[Any], Tensor] = ThinSafe(chosen.transform, chosen.facts)
    if preprocess.endswith("-device"):
        from .device_geometry import on_device

        chosen = on_device(chosen, str(parsed))
        transform = chosen.transform
    return Encoder(
        name=str(parsed),
        module=parts.module,
        transform=transform,
        preprocessing=chosen.facts,
        preprocess=preprocess,
        pool=parsed.pool,
        weights_hash=hash_weights(parts.backbone.state_dict()),
        source=parts.facts,
    )


def _build(parsed: EncoderName, image_size: int | None) -> Parts:
    import torch

    entry = ENCODERS[parsed.source]
    # Libraries fill a new model with random numbers before they load its weights.
    with torch.random.fork_rng(devices=[]):
        parts: Parts = load_target(entry.target, entry.extra)(parsed, image_size=image_size)
    # The wrapper need not contain the backbone as a submodule, so both are converted.
    for module in (parts.backbone, parts.module):
        module.float().eval().requires_grad_(requires_grad=False)
    return parts


def hash_weights(state: dict[str, Tensor]) -> str:
    """Hash a state dict: SHA-256 (hex) over sorted names, dtypes, shapes and bytes.

    Examples
    --------
    >>> import torch
    >>> hash_weights({"w": torch.zeros(2)})[:8]
    '3c4534d6'
    """
    import torch

    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        digest.update(f"{key}|{value.dtype}|{tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
