"""Check and wrap timm models, for all sources based on timm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache, partial
from importlib.metadata import version
from typing import Any

import timm
import torch
from timm.data import create_transform, resolve_data_config

from ..errors import unknown
from .entry import Parts, Preprocessing
from .pooling import check_pool, pooled
from .preprocessing import STUDY_SIZE, facts, study

_ADVICE = (
    f"To give it {STUDY_SIZE} x {STUDY_SIZE}, add ?size={STUDY_SIZE} to its name (&size="
    f"{STUDY_SIZE} after other options), or use preprocess='own'."
)


@lru_cache(maxsize=1)
def pretrained_names() -> tuple[str, ...]:
    """List the names of models with published weights, as ``architecture.tag``."""
    return tuple(timm.list_models(pretrained=True))


@lru_cache(maxsize=1)
def architectures() -> tuple[str, ...]:
    """List the names of architectures, without tags."""
    return tuple(timm.list_models())


def check_pretrained(model: str) -> None:
    """Raise UnknownNameError unless timm has weights for this name; the tag is optional."""
    names = pretrained_names()
    if model in names or (model in architectures() and timm.is_model_pretrained(model)):
        return
    hint = "`gpuclust list encoders <pattern>` searches timm's names."
    if model in architectures():
        hint = f"timm has no weights for it; 'random/{model}' and 'file:<path>?arch={model}' work."
    raise unknown("timm model with weights", model, names, hint)


def check_architecture(model: str) -> None:
    """Raise UnknownNameError unless timm can build this architecture; a tag is accepted."""
    if model not in architectures() and model not in pretrained_names():
        hint = "`gpuclust list encoders <pattern>` searches timm's names."
        raise unknown("timm architecture", model, architectures(), hint)


def check_pool_of(model: str, *, pool: str) -> None:
    """Raise InputError if the architecture has no such pooling; allocates no weights."""
    if pool in ("", "avg"):
        return
    try:
        with torch.device("meta"):
            backbone = timm.create_model(model, pretrained=False, num_classes=0)
    except (NotImplementedError, RuntimeError):
        return  # a few models compute while they are built; `build` checks those
    check_pool(backbone, pool=pool)


def make_parts(
    backbone: Any,
    *,
    pool: str,
    source: dict[str, Any],
    size: str = "",
    study_stats: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Parts:
    """Make the parts of an encoder from a timm model without classifier.

    Parameters
    ----------
    size : str
        Height and width of the images in pixels, if it was requested; empty for the model's own.
    study_stats : pair of sequences, optional
        Mean and standard deviation for the study's preprocessing; the model's own by default.
    """
    requested = {"input_size": (3, int(size), int(size))} if size else {}
    config = resolve_data_config(requested, model=backbone)
    mean, std = study_stats or (config["mean"], config["std"])
    # A size in the name holds for every preprocessing.
    fixed = bool(size) or backbone.pretrained_cfg.get("fixed_input_size", False)
    return Parts(
        backbone=backbone,
        module=pooled(backbone, pool=pool),
        own=own(config),
        study=partial(
            study,
            mean=mean,
            std=std,
            fixed_size=config["input_size"][1:] if fixed else None,
            advice=_ADVICE,
        ),
        facts={
            "library": "timm",
            "version": version("timm"),
            **source,
            **({"size": int(size)} if size else {}),
        },
    )


def own(config: dict[str, Any]) -> Preprocessing:
    """Return timm's evaluation transform for a data configuration, with its description.

    The transform is made by ``timm.data.create_transform``; the size before the crop is computed
    from ``crop_pct`` as timm does.
    """
    height, width = config["input_size"][1:]
    scaled = [math.floor(edge / config["crop_pct"]) for edge in (height, width)]
    modes = {"center": "shortest", "border": "longest", "squash": "squash"}
    mode = modes[config["crop_mode"]]
    described = facts(
        resize=scaled[0] if mode == "shortest" and height == width else scaled,
        resize_mode=mode,
        crop=(height, width),
        interpolation=config["interpolation"],
        mean=config["mean"],
        std=config["std"],
    )
    return Preprocessing(create_transform(**config, is_training=False), described)


def weights_source(backbone: Any) -> dict[str, Any]:
    """Return the origin of timm's weights: model with tag, hub id, address, licence."""
    config = backbone.pretrained_cfg
    tag = config.get("tag")
    model = config.get("architecture", "")
    named = {
        "model": f"{model}.{tag}" if tag else model,
        "hf_hub_id": config.get("hf_hub_id"),
        "url": config.get("url"),
        "license": config.get("license"),
    }
    return {key: value for key, value in named.items() if value}
