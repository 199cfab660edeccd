"""Encoders of the zero-shot clustering study (arXiv 2406.02465), from published checkpoints.

Addresses are those of the study's code.  SHA-256 hashes are None where neither the authors nor
anybody else states them; those of torchvision begin with the digits in its file names.
"""

from __future__ import annotations

from typing import Any

from ..entry import EncoderEntry

_SOURCES = "gpuclust.encoders.sources"
_FILES = "https://dl.fbaipublicfiles.com"
_TORCHVISION = "https://download.pytorch.org/models"
# torchvision: "may have their own licenses or terms and conditions derived from the dataset".
_OWN_TERMS = "not stated"

_RESNET: dict[str, Any] = {
    "architecture": "ResNet-50",
    "dimension": 2048,
    "pooling": "average over the feature map",
}
_VIT: dict[str, Any] = {
    "architecture": "ViT-B/16",
    "dimension": 768,
    "pooling": "class token after the final norm",
}
_PATCHES = "average over the patch tokens, then a norm"

_SUPERVISED: dict[str, Any] = {
    "family": "supervised",
    "labels": "All class labels of ImageNet-1k.",
}
_SELF_SUPERVISED: dict[str, Any] = {
    "family": "self-supervised",
    "labels": "No labels; the images of ImageNet-1k were collected and balanced by class.",
}
_TUNED: dict[str, Any] = {
    "family": "supervised",
    "labels": "No labels in pretraining, all class labels of ImageNet-1k in fine-tuning.",
}
_DINO = {"licence": "Apache-2.0", "url": "https://github.com/facebookresearch/dino"}
_MOCO = {"licence": "CC-BY-NC-4.0", "url": "https://github.com/facebookresearch/moco-v3"}
_MAE = {"licence": "CC-BY-NC-4.0", "url": "https://github.com/facebookresearch/mae"}
_VICREG = {"licence": "MIT", "url": "https://github.com/facebookresearch/vicreg"}
_STUDY = {"licence": "not released", "url": "https://github.com/scottclowe/zs-ssl-clustering"}


def _published(study: str, summary: str, **fields: Any) -> EncoderEntry:
    return EncoderEntry(
        summary=summary,
        target=f"{_SOURCES}.published:build",
        data="ImageNet-1k",
        gated=False,
        study=study,
        **fields,
    )


def _unreleased(study: str, method: str, **fields: Any) -> EncoderEntry:
    summary = f"{fields['architecture']}, {method}, fine-tuned by the study; never released"
    return _published(
        study,
        summary,
        pretraining=f"{method}, then classification",
        released=False,
        **(_TUNED | _STUDY | fields),
    )


def _random(study: str, **fields: Any) -> EncoderEntry:
    return EncoderEntry(
        summary=f"{fields['architecture']} with seeded random weights of torchvision (a baseline)",
        target=f"{_SOURCES}.torchvision_random:build",
        options={"seed": "0"},
        pretraining="none",
        data="none",
        family="none",
        labels="None: the weights are random.",
        licence="none needed",
        gated=False,
        study=study,
        **fields,
    )


def _clip(study: str, stands_for: str, architecture: str, dimension: int) -> EncoderEntry:
    return EncoderEntry(
        summary=f"{architecture} of OpenAI, image tower",
        target=f"{_SOURCES}.alias:build",
        check=f"{_SOURCES}.alias:check",
        stands_for=stands_for,
        architecture=architecture,
        pretraining="contrastive",
        data="WebImageText (400 million pairs)",
        family="image-text",
        labels="No class labels; texts found beside the images.",
        dimension=dimension,
        pooling="feature of encode_image, not normalized",
        licence="MIT",
        gated=False,
        url="https://github.com/openai/CLIP",
        study=study,
    )


STUDY: dict[str, EncoderEntry] = {
    "random_resnet50": _random("random_resnet50", **_RESNET),
    "resnet50": _published(
        "resnet50",
        "ResNet-50, supervised, second weights of torchvision",
        pretraining="classification",
        licence=_OWN_TERMS,
        url="https://pytorch.org/vision/stable/models/generated/torchvision.models.resnet50.html",
        weights=f"{_TORCHVISION}/resnet50-11ad3fa6.pth",
        sha256="11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca",
        **_RESNET,
        **_SUPERVISED,
    ),
    "mocov3_resnet50": _published(
        "mocov3_resnet50",
        "ResNet-50, MoCo-v3, 1000 epochs",
        pretraining="MoCo-v3",
        weights=f"{_FILES}/moco-v3/r-50-1000ep/r-50-1000ep.pth.tar",
        **_RESNET,
        **_SELF_SUPERVISED,
        **_MOCO,
    ),
    "dino_resnet50": _published(
        "dino_resnet50",
        "ResNet-50, DINO",
        pretraining="DINO",
        weights=f"{_FILES}/dino/dino_resnet50_pretrain/dino_resnet50_pretrain.pth",
        **_RESNET,
        **_SELF_SUPERVISED,
        **_DINO,
    ),
    "vicreg_resnet50": _published(
        "vicreg_resnet50",
        "ResNet-50, VICReg",
        pretraining="VICReg",
        weights=f"{_FILES}/vicreg/resnet50.pth",
        sha256="c843e7652491ff2f712734619fd74d85e5e92ac902615665ad3fd50dc6ada591",
        **_RESNET,
        **_SELF_SUPERVISED,
        **_VICREG,
    ),
    # OpenAI trained with QuickGELU, which open_clip applies only under these model names.
    "clip_RN50": _clip("clip_RN50", "open_clip/RN50-quickgelu/openai", "CLIP ResNet-50", 1024),
    "random_vitb16": _random("random_vitb16", **_VIT),
    "vitb16": _published(
        "vitb16",
        "ViT-B/16, supervised, weights of torchvision",
        pretraining="classification",
        licence=_OWN_TERMS,
        url="https://pytorch.org/vision/stable/models/generated/torchvision.models.vit_b_16.html",
        weights=f"{_TORCHVISION}/vit_b_16-c867db91.pth",
        sha256="c867db91d3e12c6cbadabb610d73c24a546bf82d8c03a9fea34f43a712ddb0e9",
        **_VIT,
        **_SUPERVISED,
    ),
    "mocov3_vit_base": _published(
        "mocov3_vit_base",
        "ViT-B/16, MoCo-v3, 300 epochs",
        pretraining="MoCo-v3",
        weights=f"{_FILES}/moco-v3/vit-b-300ep/vit-b-300ep.pth.tar",
        **_VIT,
        **_SELF_SUPERVISED,
        **_MOCO,
    ),
    "dino_vitb16": _published(
        "dino_vitb16",
        "ViT-B/16, DINO",
        pretraining="DINO",
        weights=f"{_FILES}/dino/dino_vitbase16_pretrain/dino_vitbase16_pretrain.pth",
        **_VIT,
        **_SELF_SUPERVISED,
        **_DINO,
    ),
    "mae_pretrain_vit_base": _published(
        "timm_vit_base_patch16_224.mae",
        "ViT-B/16, MAE, class token",
        pretraining="MAE",
        weights=f"{_FILES}/mae/pretrain/mae_pretrain_vit_base.pth",
        **_VIT,
        **_SELF_SUPERVISED,
        **_MAE,
    ),
    "mae_pretrain_vit_base_global": _published(
        "mae_pretrain_vit_base_global",
        "ViT-B/16, MAE, average of the patches through an untrained norm",
        pretraining="MAE",
        weights=f"{_FILES}/mae/pretrain/mae_pretrain_vit_base.pth",
        **(_VIT | {"pooling": f"{_PATCHES} without learned weights"}),
        **_SELF_SUPERVISED,
        **_MAE,
    ),
    "clip_vitb16": _clip(
        "clip_vitb16", "open_clip/ViT-B-16-quickgelu/openai", "CLIP ViT-B/16", 512
    ),
    "ft_mocov3_resnet50": _unreleased("ft_mocov3_resnet50", "MoCo-v3", **_RESNET),
    "ft_dino_resnet50": _unreleased("ft_dino_resnet50", "DINO", **_RESNET),
    "ft_vicreg_resnet50": _unreleased("ft_vicreg_resnet50", "VICReg", **_RESNET),
    "ft_mocov3_vit_base": _unreleased("ft_mocov3_vit_base", "MoCo-v3", **_VIT),
    "ft_dino_vitb16": _unreleased("ft_dino_vitb16", "DINO", **_VIT),
    "mae_finetuned_vit_base_global": _published(
        "mae_finetuned_vit_base_global",
        "ViT-B/16, MAE, fine-tuned by its authors, average of the patches",
        pretraining="MAE, then classification",
        weights=f"{_FILES}/mae/finetune/mae_finetuned_vit_base.pth",
        **(_VIT | {"pooling": f"{_PATCHES} learned in fine-tuning"}),
        **_TUNED,
        **_MAE,
    ),
}
