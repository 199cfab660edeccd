"""Encoders ``timm/<name>``: models of timm with their published weights.

``timm/hf-hub:<owner>/<repository>`` is a repository of the Hugging Face hub in timm's layout.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import timm
import torch
from huggingface_hub import constants
from timm.layers import SwiGLUPacked
from torch import nn

from ...errors import InputError
from .. import hub, timm_model
from .. import image_size as image_size_of
from ..entry import Parts
from ..names import EncoderName
from ..pooling import check_pool

HUB = "hf-hub:"
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")


class Network(NamedTuple):
    """Architecture of a repository and the arguments of its model card."""

    architecture: str
    arguments: Mapping[str, Any]


# Their configurations on the hub do not hold these arguments.
NETWORKS = {
    "MahmoodLab/UNI": Network(
        "vit_large_patch16_224", {"init_values": 1e-5, "dynamic_img_size": True}
    ),
    "MahmoodLab/UNI2-h": Network(
        "vit_giant_patch14_224",
        {
            "img_size": 224,
            "patch_size": 14,
            "depth": 24,
            "num_heads": 24,
            "init_values": 1e-5,
            "embed_dim": 1536,
            "mlp_ratio": 2.66667 * 2,
            "no_embed_class": True,
            "mlp_layer": SwiGLUPacked,
            "act_layer": nn.SiLU,
            "reg_tokens": 8,
            "dynamic_img_size": True,
        },
    ),
}
"""Repositories of the hub with arguments of their own."""


def names() -> list[str]:
    """List the models with published weights."""
    return list(timm_model.pretrained_names())


def check(name: EncoderName) -> None:
    """Check model, pooling and size; a repository of the hub by its name, if it is not known."""
    repository = _repository(name)
    if repository is None:
        timm_model.check_pretrained(name.model)
        timm_model.check_pool_of(name.model, pool=name.pool)
        image_size_of.arguments(name.model, size=name.option("size"))
    elif not REPOSITORY.fullmatch(repository):
        raise InputError(
            f"{str(name)!r} names no repository of the hub; write 'timm/{HUB}<owner>/<repository>'."
        )
    elif repository in NETWORKS:
        if name.pool:
            check_pool(empty(repository), pool=name.pool)
        network = NETWORKS[repository]
        size = name.option("size")
        image_size_of.arguments(network.architecture, size=size, given=network.arguments)


def build(name: EncoderName, *, image_size: int | None) -> Parts:
    """Build the model with its weights, from the local cache or else from the hub."""
    del image_size
    repository = _repository(name)
    if repository is not None:
        return _from_hub(name, repository)
    config: Any = timm.get_pretrained_cfg(name.model)  # not None after `check`
    on_hub = config.hf_hub_id
    origin = f"{constants.ENDPOINT}/{on_hub}" if on_hub else str(config.url)
    size = name.option("size")
    instead = f"file:<path>?arch={config.architecture}{f'&size={size}' if size else ''}"
    arguments = image_size_of.arguments(name.model, size=size)
    with hub.fetching(str(name), origin=origin, instead=instead, repository=on_hub):
        backbone = timm.create_model(name.model, pretrained=True, num_classes=0, **arguments)
    source = timm_model.weights_source(backbone)
    return timm_model.make_parts(backbone, pool=name.pool, source=source, size=size)


def empty(repository: str) -> nn.Module:
    """Build the network of a known repository without memory for weights."""
    architecture, arguments = NETWORKS[repository]
    with torch.device("meta"):
        return timm.create_model(architecture, pretrained=False, num_classes=0, **arguments)


def _from_hub(name: EncoderName, repository: str) -> Parts:
    arguments = dict(NETWORKS[repository].arguments) if repository in NETWORKS else {}
    size = name.option("size")
    owner_and_name = repository.partition("@")[0]
    origin = f"{constants.ENDPOINT}/{owner_and_name}"
    if size:  # the configuration comes first
        with hub.fetching(str(name), origin=origin, repository=owner_and_name):
            timm.models.load_model_config_from_hf(repository)
    arguments |= image_size_of.arguments(name.model, size=size, given=arguments)
    with hub.fetching(str(name), origin=origin, repository=owner_and_name):
        backbone = timm.create_model(name.model, pretrained=True, num_classes=0, **arguments)
    source = {**timm_model.weights_source(backbone), "hf_hub_id": repository}
    return timm_model.make_parts(backbone, pool=name.pool, source=source, size=size)


def _repository(name: EncoderName) -> str | None:
    return name.model.removeprefix(HUB) if name.model.startswith(HUB) else None
