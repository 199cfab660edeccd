"""Today's encoders by one name each; timm or open_clip loads all but I-JEPA.

Licences are those on the model cards.  The feature is that of the authors for frozen networks,
where they name one; docs/encoders.md says where it is another.
"""

from __future__ import annotations

from typing import Any

from ..entry import EncoderEntry
from .alias import CLASS_TOKEN, PATCHES, Named, alias
from .image_text import IMAGE_TEXT

_LVD = (
    "No labels in training; LVD-142M was gathered by retrieval around images of ImageNet-22k, "
    "ImageNet-1k, Google Landmarks and fine-grained datasets."
)


def _dinov2() -> Named:
    sizes = (("s", "small", 384), ("b", "base", 768), ("l", "large", 1024), ("g", "giant", 1536))
    for letter, size, dimension in sizes:
        for suffix, registers in (("", ""), ("_reg", "_reg4")):
            yield (
                f"dinov2_vit{letter}14{suffix}",
                alias(
                    f"timm/vit_{size}_patch14{registers}_dinov2.lvd142m?pool=cls&size=224",
                    architecture=f"ViT-{letter}/14"
                    if letter == "g"
                    else f"ViT-{letter.upper()}/14",
                    pretraining="DINOv2 with registers" if suffix else "DINOv2",
                    data="LVD-142M",
                    family="self-supervised",
                    labels=_LVD,
                    dimension=dimension,
                    pooling=CLASS_TOKEN,
                    licence="Apache-2.0",
                    url="https://github.com/facebookresearch/dinov2",
                ),
            )


_DINOV3: dict[str, Any] = {
    "pretraining": "DINOv3",
    "data": "LVD-1689M",
    "family": "self-supervised",
    "labels": "No labels in training; LVD-1689M holds ImageNet-1k and ImageNet-22k, images "
    "retrieved around further datasets, and web images balanced by clusters.",
    "licence": "DINOv3 License",
    "url": "https://github.com/facebookresearch/dinov3",
}


def _dinov3() -> Named:
    vits = (
        ("s", "small", "S", 384),
        ("b", "base", "B", 768),
        ("l", "large", "L", 1024),
        ("hplus", "huge_plus", "H+", 1280),
    )
    for letter, size, shown, dimension in vits:
        yield (
            f"dinov3_vit{letter}16",
            alias(
                f"timm/vit_{size}_patch16_dinov3.lvd1689m?pool=cls",
                architecture=f"ViT-{shown}/16",
                dimension=dimension,
                pooling=CLASS_TOKEN,
                **_DINOV3,
            ),
        )
    for size, dimension in (("tiny", 768), ("small", 768), ("base", 1024), ("large", 1536)):
        yield (
            f"dinov3_convnext_{size}",
            alias(
                f"timm/convnext_{size}.dinov3_lvd1689m",
                architecture=f"ConvNeXt {size}",
                dimension=dimension,
                pooling="average over the feature map, then the final norm",
                **_DINOV3,
            ),
        )


def _ijepa() -> Named:
    for name, file, data in (
        ("ijepa_vith14_in1k", "IN1K-vit.h.14-300e", "ImageNet-1k"),
        ("ijepa_vith14_in22k", "IN22K-vit.h.14-900e", "ImageNet-22k"),
    ):
        yield (
            name,
            EncoderEntry(
                summary="ViT-H/14, I-JEPA, target encoder",
                target="gpuclust.encoders.sources.ijepa:build",
                check="gpuclust.encoders.sources.ijepa:check",
                options={"pool": "", "size": ""},
                architecture="ViT-H/14",
                pretraining="I-JEPA",
                data=data,
                family="self-supervised",
                labels=f"No labels; the images of {data} were collected by class.",
                dimension=1280,
                pooling=f"{PATCHES}, target encoder",
                licence="CC-BY-NC-4.0",
                gated=False,
                weights=f"https://dl.fbaipublicfiles.com/ijepa/{file}.pth.tar",
                url="https://github.com/facebookresearch/ijepa",
            ),
        )


def _radio() -> Named:
    v3 = "the features of an image-text model, of DINOv2 and of SAM are its targets"
    v4 = "the features of SigLIP 2, DINOv3 and SAM 3 are its targets"
    for name, model, shown, dimension, targets in (
        ("cradio_v3_vitb16", "base_patch16_radio_v3", "ViT-B/16", 768, v3),
        ("cradio_v3_vitl16", "large_patch16_radio_v3", "ViT-L/16", 1024, v3),
        ("cradio_v3_vith16", "huge_patch16_radio_v3", "ViT-H/16", 1280, v3),
        ("cradio_v4_so400m16", "so400m_patch16_radio_v4", "ViT-SO400M/16", 1152, v4),
        ("cradio_v4_vith16", "huge_patch16_radio_v4", "ViT-H/16", 1280, v4),
    ):
        yield (
            name,
            alias(
                f"timm/vit_{model}.c_radio?pool=cls",
                architecture=shown,
                pretraining=f"C-RADIO v{name[8]}",
                data="web images, not published",
                family="distilled",
                labels=f"No labels of its own; {targets}.",
                dimension=dimension,
                pooling="first class token, no norm (the authors' summary joins those of several "
                "teachers)",
                licence="NVIDIA Open Model License",
                url="https://github.com/NVlabs/RADIO",
            ),
        )


def _pathology() -> Named:
    for name, repository, shown, data, dimension in (
        ("uni", "UNI", "ViT-L/16", "Mass-100K (100 million tiles)", 1024),
        ("uni2_h", "UNI2-h", "ViT-H/14", "200 million tiles of pathology", 1536),
    ):
        yield (
            name,
            alias(
                f"timm/hf-hub:MahmoodLab/{repository}?pool=cls",
                architecture=shown,
                pretraining=f"{repository} (DINOv2 on pathology)",
                data=data,
                family="self-supervised",
                labels="No labels; tiles of stained tissue.",
                dimension=dimension,
                pooling=CLASS_TOKEN,
                licence="CC-BY-NC-ND-4.0",
                gated=True,
                url=f"https://huggingface.co/MahmoodLab/{repository}",
            ),
        )


def _supervised() -> Named:
    for letter, size, dimension in (("s", "small", 384), ("b", "base", 768), ("l", "large", 1024)):
        yield (
            f"augreg_vit{letter}16",
            alias(
                f"timm/vit_{size}_patch16_224.augreg_in21k?pool=cls",
                architecture=f"ViT-{letter.upper()}/16",
                pretraining="classification, AugReg",
                data="ImageNet-21k",
                family="supervised",
                labels="All class labels of ImageNet-21k.",
                dimension=dimension,
                pooling=CLASS_TOKEN,
                licence="Apache-2.0",
                url="https://github.com/google-research/vision_transformer",
            ),
        )
    for size, dimension in (("base", 1024), ("large", 1536)):
        yield (
            f"convnextv2_{size}",
            alias(
                f"timm/convnextv2_{size}.fcmae_ft_in22k_in1k",
                architecture=f"ConvNeXt V2 {size}",
                pretraining="FCMAE, then classification",
                data="ImageNet-1k, ImageNet-22k",
                family="supervised",
                labels="No labels in pretraining, all class labels of ImageNet-22k and "
                "ImageNet-1k in fine-tuning.",
                dimension=dimension,
                pooling="average over the feature map, then the final norm",
                licence="CC-BY-NC-4.0",
                url="https://github.com/facebookresearch/ConvNeXt-V2",
            ),
        )


def _entries() -> Named:
    yield from _dinov2()
    yield from _dinov3()
    yield from IMAGE_TEXT.items()
    for family in (_ijepa, _radio, _pathology, _supervised):
        yield from family()


TODAY: dict[str, EncoderEntry] = dict(_entries())
"""Entries of encoders since the study."""
