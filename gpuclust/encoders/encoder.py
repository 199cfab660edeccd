"""An encoder that is ready to be called, and the one function that makes it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import unknown
from .names import EncoderName, check
from .table import SOURCES, Parts

if TYPE_CHECKING:
    from torch import Tensor, nn

PREPROCESSINGS = ("own", "study")


@dataclass(frozen=True, eq=False)
class Encoder:
    """A frozen encoder on the CPU, in evaluation mode, in float32.

    Attributes
    ----------
    name : str
        Canonical name; `load` takes it.
    module : torch.nn.Module
        ``module(batch)``: (b, 3, height, width) float32 -> (b, d) features, not normalised.
    transform : callable
        PIL RGB image -> float32 tensor (3, height, width); can be sent to another process.
    preprocessing : dict
        Full description of `transform` in JSON values; sizes in pixels.
    preprocess : str
        ``"own"`` or ``"study"``.
    pool : str
        Pooling that was asked for; empty for the model's own feature.
    weights_hash : str
        SHA-256 (hex) over the sorted names, shapes, dtypes and bytes of the state dict without
        its classifier; the same in every process.
    source : dict
        Library, version, and where the weights came from, in JSON values.
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
    """Load an encoder by name.

    Parameters
    ----------
    name : str or EncoderName
        See `table.SOURCES` for the forms.
    preprocess : {"own", "study"}
        ``"own"`` is the preprocessing of the encoder's configuration.  ``"study"`` resizes the
        shorter side to 224 (bilinear, antialiased), crops the centre 224 x 224 and normalises
        with the encoder's *own* mean and standard deviation.  Every study encoder but CLIP has
        ImageNet's, and CLIP had its own there too, so this is what the study did;
        ``random/...`` takes ImageNet's, as in the study.  ``raw`` is the same under both.
    image_size : int, optional
        Side of the data set's images in pixels.  Only ``raw`` uses it: it never enlarges.

    Raises
    ------
    UnknownNameError
        For a name or a preprocessing that does not exist.
    WeightsError
        For weights that cannot be fetched or do not fit.
    InputError
        For a pooling or a preprocessing that this encoder cannot take.

    Notes
    -----
    The global random state of torch is left as it was.
    """
    if preprocess not in PREPROCESSINGS:
        raise unknown("preprocessing", preprocess, PREPROCESSINGS)
    parsed = check(name)
    parts = _build(parsed, image_size)
    chosen = parts.own if preprocess == "own" else parts.study()
    return Encoder(
        name=str(parsed),
        module=parts.module,
        transform=chosen.transform,
        preprocessing=chosen.facts,
        preprocess=preprocess,
        pool=parsed.pool,
        weights_hash=hash_weights(parts.backbone.state_dict()),
        source=parts.facts,
    )


def _build(parsed: EncoderName, image_size: int | None) -> Parts:
    import torch

    # Every library first fills a model with random numbers, which the weights then replace.
    with torch.random.fork_rng(devices=[]):
        parts = SOURCES[parsed.source].loader().build(parsed, image_size=image_size)
    # The wrapper may hold the backbone or only its method, so both are put in order.
    for module in (parts.backbone, parts.module):
        module.float().eval().requires_grad_(requires_grad=False)
    return parts


def hash_weights(state: dict[str, Tensor]) -> str:
    """Hash a state dict: SHA-256 over sorted names, dtypes, shapes and bytes."""
    import torch

    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        digest.update(f"{key}|{value.dtype}|{tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
