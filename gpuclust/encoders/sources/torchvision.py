"""Encoders ``torchvision/<weights>``: classification models without their last layer."""

from __future__ import annotations

from functools import lru_cache, partial
from importlib.metadata import version
from typing import Any

import torchvision
from torch import nn
from torchvision.models import WeightsEnum, get_model, get_model_weights, list_models

from ...errors import WeightsError, unknown
from .. import hub
from ..entry import Parts, Preprocessing
from ..names import EncoderName
from ..pooling import refuse_pool
from ..preprocessing import facts, study


@lru_cache(maxsize=1)
def _builders() -> dict[str, tuple[str, WeightsEnum]]:
    """Map names such as ``ResNet50_Weights.IMAGENET1K_V2`` to model name and weights."""
    found = {}
    for model in list_models(module=torchvision.models):
        if model.startswith("squeezenet"):
            continue  # its classifier is a convolution, so there is no linear layer to remove
        found.update({str(weights): (model, weights) for weights in get_model_weights(model)})
    return found


def names() -> list[str]:
    """List the weights of classification models."""
    return sorted(_builders())


def check(name: EncoderName) -> None:
    """Check the weights; refuse any pooling, because feature layouts differ."""
    if name.model not in _builders():
        hint = "`gpuclust list encoders torchvision` shows them."
        raise unknown("torchvision weights", name.model, _builders(), hint)
    refuse_pool(str(name), name.pool, instead="the same architecture as 'timm/<name>?pool=...'")


def build(name: EncoderName, *, image_size: int | None) -> Parts:
    """Fetch the weights, check their hash, build the model and remove its last layer.

    torchvision's own builder loads the weights, because it also sets the input size, renames keys
    and sets the input scaling of Inception.
    """
    del image_size
    model, weights = _builders()[name.model]
    instead = "file:<path>?arch=<timm name>"
    with hub.fetching(str(name), origin=weights.url, instead=instead):
        # The builder would unpickle: load once without, which downloads, and refuses code.
        weights.get_state_dict(check_hash=True, weights_only=True)
        backbone = get_model(model, weights=weights)
    _remove_head(backbone, str(name))
    preset = weights.transforms()
    size = getattr(backbone, "image_size", None)  # ViTs accept only this size
    return Parts(
        backbone=backbone,
        module=backbone,
        own=_own(preset),
        study=partial(
            study, mean=preset.mean, std=preset.std, fixed_size=(size, size) if size else None
        ),
        facts={
            "library": "torchvision",
            "version": version("torchvision"),
            "model": model,
            "url": weights.url,
        },
    )


def _remove_head(model: nn.Module, name: str) -> None:
    linear = [key for key, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise WeightsError(f"{name!r} has no final linear layer, so its feature is unknown.")
    parent, _, child = linear[-1].rpartition(".")
    setattr(model.get_submodule(parent), child, nn.Identity())


def _own(preset: Any) -> Preprocessing:
    described = facts(
        resize=preset.resize_size[0],
        resize_mode="shortest",
        crop=preset.crop_size[0],
        interpolation=preset.interpolation.value,
        mean=preset.mean,
        std=preset.std,
    )
    return Preprocessing(preset, described)
