"""Encoders ``open_clip/<model>/<pretrained>``: image towers of CLIP models.

``<pretrained>`` is a tag of open_clip or the path of a checkpoint of the whole CLIP model.
``open_clip/hf-hub:<owner>/<repository>`` is a repository of the Hugging Face hub in its layout.
The feature is the projected one of ``encode_image``, without normalization.
"""

from __future__ import annotations

import logging
import re
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import open_clip
from huggingface_hub import constants
from open_clip.pretrained import (
    download_pretrained,
    download_pretrained_from_hf,
    get_pretrained_cfg,
)
from open_clip.transform import PreprocessCfg, image_transform_v2
from torch import Tensor, nn

from ...errors import InputError, WeightsError, unknown
from ...files.paths import expand
from .. import hub
from ..checkpoint import check_file
from ..entry import Parts, Preprocessing
from ..names import EncoderName
from ..pooling import refuse_pool
from ..preprocessing import facts, study

HUB = "hf-hub:"
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


class ImageTower(nn.Module):
    """Image tower of a CLIP model: (b, 3, height, width) -> (b, d)."""

    def __init__(self, visual: nn.Module):
        super().__init__()
        self.visual = visual

    def forward(self, images: Tensor) -> Tensor:
        """Encode a batch."""
        features = self.visual(images)
        # CoCa's tower returns (feature, tokens).
        return features[0] if isinstance(features, tuple) else features


def names() -> list[str]:
    """List the pairs ``model/tag``."""
    return ["/".join(pair) for pair in open_clip.list_pretrained()]


def check(name: EncoderName) -> None:
    """Check model and tag, model and checkpoint file, or the name of a repository of the hub."""
    refuse_pool(str(name), name.pool, instead="a CLIP model of timm, 'timm/<name>?pool=...'")
    if name.model.startswith(HUB):
        if not REPOSITORY.fullmatch(name.model.removeprefix(HUB)):
            raise InputError(
                f"{str(name)!r} names no repository of the hub; "
                f"write 'open_clip/{HUB}<owner>/<repository>'."
            )
        return
    model, slash, pretrained = name.model.partition("/")
    pairs = names()
    hint = "`gpuclust list encoders open_clip` shows them."
    if model not in open_clip.list_models():
        raise unknown("open_clip model", model, {pair.split("/")[0] for pair in pairs}, hint)
    if not slash or not pretrained:
        raise InputError(f"{str(name)!r} lacks its weights: 'open_clip/{model}/<tag or file>'.")
    if get_pretrained_cfg(model, pretrained):
        pass
    elif "/" in pretrained or Path(pretrained).suffix:
        check_file(Path(pretrained))
    else:
        raise unknown("open_clip model and weights", name.model, pairs, hint)


def build(name: EncoderName, *, image_size: int | None) -> Parts:
    """Fetch the weights and keep the image tower, without the memory of the text tower."""
    del image_size
    if name.model.startswith(HUB):
        repository = name.model.removeprefix(HUB)
        origin = f"{constants.ENDPOINT}/{repository}"
        with hub.fetching(str(name), origin=origin, repository=repository):
            download_pretrained_from_hf(repository)
        visual = _create(str(name), name.model, None, quick=False)
        return _parts(visual, {"hf_hub": repository})
    model, _, pretrained = name.model.partition("/")
    config = get_pretrained_cfg(model, pretrained)
    path = _fetch(name, config)
    # OpenAI's weights need another activation than the model of the same name has by default.
    quick = bool(config.get("quick_gelu"))
    visual = _create(str(name), model, pretrained if config else path, quick=quick)
    origin_facts = {key: config[key] for key in ("hf_hub", "url") if config.get(key)}
    return _parts(visual, {"model": model, "weights": pretrained, **origin_facts})


def _fetch(name: EncoderName, config: dict[str, Any]) -> str:
    """Return the path of the weights, after a download if they are not cached."""
    model, _, pretrained = name.model.partition("/")
    on_hub = config.get("hf_hub")
    origin = f"{constants.ENDPOINT}/{on_hub}" if on_hub else str(config.get("url"))
    repository = on_hub.rpartition("/")[0] if on_hub else None
    instead = f"open_clip/{model}/<path>"
    # Fetched before the model is built: create_model logs failures through the root logger.
    with hub.fetching(str(name), origin=origin, instead=instead, repository=repository):
        return str(download_pretrained(config) if config else expand(pretrained))


def _parts(visual: Any, source: dict[str, Any]) -> Parts:
    preprocess = PreprocessCfg(**visual.preprocess_cfg)
    height, width = preprocess.input_size[1:]
    return Parts(
        backbone=visual,
        module=ImageTower(visual),
        own=_own(preprocess),
        study=partial(study, mean=preprocess.mean, std=preprocess.std, fixed_size=(height, width)),
        facts={"library": "open_clip", "version": version("open_clip_torch"), **source},
    )


def _create(name: str, model: str, pretrained: str | None, *, quick: bool) -> Any:
    # open_clip logs through the functions of the logging module, which add a handler to a root
    # logger without one.
    silent = logging.NullHandler()
    logging.getLogger().addHandler(silent)
    try:
        clip: Any = open_clip.create_model(
            model,
            pretrained=pretrained,
            force_quick_gelu=quick,
            weights_only=True,
            require_pretrained=True,
        )
    except (*hub.FETCH_ERRORS, ImportError, LookupError) as error:
        raise WeightsError(f"open_clip cannot load {name!r}: {hub.reason(error)}.") from error
    finally:
        logging.getLogger().removeHandler(silent)
    return clip.visual


def _own(config: PreprocessCfg) -> Preprocessing:
    size: Any = config.size if isinstance(config.size, int) else tuple(config.size)
    square = isinstance(size, int) or size[0] == size[1]
    shorter = size if isinstance(size, int) else size[0]
    described = facts(
        resize=shorter if config.resize_mode == "shortest" and square else config.input_size[1:],
        resize_mode=config.resize_mode,
        crop=config.input_size[1:],
        interpolation=config.interpolation,
        mean=config.mean,
        std=config.std,
    )
    return Preprocessing(image_transform_v2(config, is_train=False), described)
