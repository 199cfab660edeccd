"""Encoders of the study from the files that their authors published, such as ``dino_vitb16``.

A file is found in, or downloaded into, the folder of `weights_file`.  Its keys must be those of
its format.  The features are those that the study computed, from the tokens or the feature map of
the last layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import timm
import torchvision
from torch import nn
from torchvision.transforms import InterpolationMode

from ...errors import WeightsError
from .. import checkpoint, weights_file
from ..catalogue.study import STUDY
from ..entry import EncoderEntry, Parts
from ..fitting import Keys, fit
from ..names import EncoderName
from ..preprocessing import IMAGENET_MEAN, IMAGENET_STD, cropped, study
from ..weights_file import WeightsFile


def resnet50() -> nn.Module:
    """Build ResNet-50 of torchvision without its last layer: (b, 3, h, w) -> (b, 2048).

    VICReg's ResNet-50 pads the image by one pixel and then two in the first convolution; that is
    torchvision's padding of three.
    """
    model = torchvision.models.resnet50(weights=None)
    model.fc = nn.Identity()
    return model


def vit_b_16() -> nn.Module:
    """Build ViT-B/16 of torchvision without its head: (b, 3, 224, 224) -> (b, 768)."""
    model = torchvision.models.vit_b_16(weights=None)
    model.heads = nn.Identity()
    return model


def vit_base() -> nn.Module:
    """Build ViT-B/16 of timm: (b, 3, 224, 224) -> (b, 768), class token after the final norm.

    The networks of MoCo-v3, DINO and MAE are this one (bias in qkv, norms with eps 1e-6); their
    fixed position embeddings are in their files.
    """
    return _vit()


def vit_base_patches() -> nn.Module:
    """Build ViT-B/16 of timm with the average over the patch tokens, then a norm."""
    return _vit(global_pool="avg")


def _vit(**more: Any) -> nn.Module:
    # Every weight but an untrained norm is read from a file, so none is drawn.
    name = "vit_base_patch16_224"
    return timm.create_model(name, pretrained=False, num_classes=0, weight_init="skip", **more)


@dataclass(frozen=True, kw_only=True)
class Format:
    """Published file: network, place of the state dict, keys, own preprocessing.

    Attributes
    ----------
    network : callable () -> torch.nn.Module
        Builder of the network that gives the feature.
    under : str or None
        Key of the state dict in the file; empty: the file is the state dict; None: any usual one.
    keys : Keys
        Keys of the state dict.
    resize : int
        Length of the shorter edge in pixels before the crop of 224, in the authors' evaluation.
    bicubic : bool
        Interpolation of that evaluation; bilinear otherwise.
    stem : str
        File name without suffix, where it is not the encoder's name.
    md5 : str
        First digits of the MD5 sum that the authors state.
    """

    network: Callable[[], nn.Module]
    under: str | None = ""
    keys: Keys = field(default_factory=Keys)
    resize: int = 256
    bicubic: bool = False
    stem: str = ""
    md5: str = ""


def _moco(network: Callable[[], nn.Module], head: str) -> Format:
    base = "module.base_encoder."
    left_out = (f"{base}{head}.", "module.momentum_encoder.", "module.predictor.")
    return Format(
        network=network, under="state_dict", keys=Keys(prefixes=(base,), left_out=left_out)
    )


def _mae(network: Callable[[], nn.Module], keys: Keys, stem: str, md5: str) -> Format:
    return Format(network=network, under="model", keys=keys, bicubic=True, stem=stem, md5=md5)


def _tuned(network: Callable[[], nn.Module], *, bicubic: bool = False) -> Format:
    """Describe what fine-tuning saves: the network in a usual place, VICReg's as a sequence."""
    prefixes = ("", "0.", "module.", "module.0.", "module.base_encoder.")
    heads = ("fc.", "head.", "1.")
    left_out = tuple(prefix + head for prefix in ("", *prefixes[2:]) for head in heads)
    return Format(
        network=network,
        under=None,
        keys=Keys(prefixes=prefixes, left_out=(*left_out, "0.fc.", "0.head.")),
        bicubic=bicubic,
    )


_DECODER = ("decoder_", "mask_token")
_PRETRAINED = ("mae_pretrain_vit_base", "8cad7c")

FORMATS: dict[str, Format] = {
    "resnet50": Format(network=resnet50, keys=Keys(left_out=("fc.",)), resize=232),
    "mocov3_resnet50": _moco(resnet50, "fc"),
    # The authors load it without checking keys, so a classifier may be in it.
    "dino_resnet50": Format(network=resnet50, keys=Keys(left_out=("fc.",)), bicubic=True),
    "vicreg_resnet50": Format(network=resnet50),
    "vitb16": Format(
        network=vit_b_16,
        keys=Keys(
            left_out=("heads.",),
            # The file is older than torchvision's names of these layers.
            renamed=((".mlp.linear_1.", ".mlp.0."), (".mlp.linear_2.", ".mlp.3.")),
        ),
    ),
    "mocov3_vit_base": _moco(vit_base, "head"),
    "dino_vitb16": Format(network=vit_base, bicubic=True),
    "mae_pretrain_vit_base": _mae(vit_base, Keys(left_out=_DECODER), *_PRETRAINED),
    # The study loaded this file into a network that normalizes after the average.  The file has no
    # such norm: its own, trained before the average, is left out.
    "mae_pretrain_vit_base_global": _mae(
        vit_base_patches,
        Keys(left_out=("norm.", *_DECODER), untrained=("fc_norm.weight", "fc_norm.bias")),
        *_PRETRAINED,
    ),
    "mae_finetuned_vit_base_global": _mae(
        vit_base_patches, Keys(left_out=("head.",)), "mae_finetuned_vit_base", "1b25e9"
    ),
    "ft_mocov3_resnet50": _tuned(resnet50),
    "ft_dino_resnet50": _tuned(resnet50, bicubic=True),
    "ft_vicreg_resnet50": _tuned(resnet50),
    "ft_mocov3_vit_base": _tuned(vit_base),
    "ft_dino_vitb16": _tuned(vit_base, bicubic=True),
}

_NEVER = (
    "The study fine-tuned it on ImageNet-1k with labels (defaults of its code: 50 epochs, AdamW, "
    "learning rate 1e-3 x batch / 256, weight decay 0.05, RandAugment, label smoothing 0.1; the "
    "values of the published run are not known) and never released the checkpoint."
)


def file_of(source: str) -> WeightsFile:
    """Describe the weights file of an encoder of the study.

    Examples
    --------
    >>> file_of("mae_pretrain_vit_base_global").name
    'mae_pretrain_vit_base.pth'
    """
    entry, form = STUDY[source], FORMATS[source]
    return WeightsFile(
        encoder=source,
        stem=form.stem or source,
        url=entry.weights,
        page=entry.url,
        sha256=entry.sha256 or "",
        md5=form.md5,
    )


def build(name: EncoderName, *, image_size: int | None) -> Parts:
    """Find or download the file, check it, and load every key of the network from it.

    Raises
    ------
    WeightsError
        The file is missing, has another hash or other keys, or was never released.
    """
    del image_size
    entry, form = STUDY[name.source], FORMATS[name.source]
    file = file_of(name.source)
    if not entry.released and weights_file.find(file) is None:
        raise _unreleased(file)
    path = weights_file.get(file)
    state = checkpoint.read(path, under=form.under)
    backbone = form.network()
    left_out = fit(state, backbone, path=str(path), arch=entry.architecture, keys=form.keys)
    return _parts(backbone, entry, form, _source(path, backbone, entry, left_out))


def _parts(backbone: nn.Module, entry: EncoderEntry, form: Format, source: dict[str, Any]) -> Parts:
    normalization = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    mode = InterpolationMode.BICUBIC if form.bicubic else InterpolationMode.BILINEAR
    fixed = (224, 224) if entry.dimension == 768 else None
    return Parts(
        backbone=backbone,
        module=backbone,
        own=cropped(resize=form.resize, size=224, interpolation=mode, **normalization),
        study=partial(study, mean=IMAGENET_MEAN, std=IMAGENET_STD, fixed_size=fixed),
        facts=source,
    )


def _source(
    path: Path, backbone: nn.Module, entry: EncoderEntry, left_out: list[str]
) -> dict[str, Any]:
    library = type(backbone).__module__.partition(".")[0]
    return {
        "library": library,
        "version": version(library),
        "model": entry.architecture,
        "file": path.name,
        "sha256": weights_file.hash_of(path),
        "url": entry.weights,
        "license": entry.licence,
        "left_out": left_out,
    }


def _unreleased(file: WeightsFile) -> WeightsError:
    path = weights_file.folder() / file.name
    return WeightsError(
        f"there are no weights of {file.encoder!r}. {_NEVER} If you have the checkpoint, put it "
        f"into the folder as {path} ({weights_file.VARIABLE} names another folder)."
    )
