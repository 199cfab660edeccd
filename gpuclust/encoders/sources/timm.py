"""Encoders ``timm/<name>``: models of timm with their published weights."""

from __future__ import annotations

from typing import Any

import timm
from huggingface_hub import constants

from .. import hub, timm_model
from ..entry import Parts
from ..names import EncoderName


def names() -> list[str]:
    """List the models with published weights."""
    return list(timm_model.pretrained_names())


def check(name: EncoderName) -> None:
    """Check model and pooling."""
    timm_model.check_pretrained(name.model)
    timm_model.check_pool_of(name.model, pool=name.pool)


def build(name: EncoderName, *, image_size: int | None) -> Parts:
    """Build the model with its weights, from the local cache or else from the hub."""
    del image_size
    config: Any = timm.get_pretrained_cfg(name.model)  # not None after `check`
    repository = config.hf_hub_id
    origin = f"{constants.ENDPOINT}/{repository}" if repository else str(config.url)
    instead = f"file:<path>?arch={config.architecture}"
    with hub.fetching(str(name), origin=origin, instead=instead, repository=repository):
        backbone = timm.create_model(name.model, pretrained=True, num_classes=0)
    source = timm_model.weights_source(backbone)
    return timm_model.make_parts(backbone, pool=name.pool, source=source)
