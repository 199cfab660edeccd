"""``timm/<name>``: a model of timm with its published weights."""

from __future__ import annotations

import timm
from huggingface_hub import constants

from .. import hub, timm_model
from ..names import EncoderName
from ..table import Parts


def names() -> list[str]:
    """List the models with published weights."""
    return list(timm_model.pretrained_names())


def check(name: EncoderName) -> None:
    """Check model and pooling."""
    timm_model.check_pretrained(name.model)
    timm_model.check_pool_of(name.model, pool=name.pool)


def build(name: EncoderName, *, image_size: int | None) -> Parts:
    """Fetch the weights (from the local cache if they are there) and build the model."""
    del image_size
    config = timm.get_pretrained_cfg(name.model)
    origin = f"{constants.ENDPOINT}/{config.hf_hub_id}" if config.hf_hub_id else config.url
    instead = f"file:<path>?arch={config.architecture}"
    with hub.fetching(str(name), origin=str(origin), instead=instead):
        backbone = timm.create_model(name.model, pretrained=True, num_classes=0)
    source = timm_model.weights_source(backbone)
    return timm_model.make_parts(backbone, pool=name.pool, source=source)
