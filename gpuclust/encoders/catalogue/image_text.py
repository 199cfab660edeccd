"""Today's encoders trained with texts, and EVA-02, distilled from one."""

from __future__ import annotations

from typing import Any

from ..entry import EncoderEntry
from .alias import PROJECTED, Named, alias

_WEB_TEXT = "No class labels; texts found beside the images."


def _siglip2() -> Named:
    for name, model, shown, dimension in (
        ("vitb16", "ViT-B-16-SigLIP2", "ViT-B/16", 768),
        ("vitl16", "ViT-L-16-SigLIP2-256", "ViT-L/16", 1024),
        ("so400m14", "ViT-SO400M-14-SigLIP2", "ViT-SO400M/14", 1152),
    ):
        yield (
            f"siglip2_{name}",
            alias(
                f"open_clip/{model}/webli",
                architecture=shown,
                pretraining="SigLIP 2",
                data="WebLI",
                family="image-text",
                labels="No class labels; texts found beside the images, and texts about "
                "regions made by a machine.",
                dimension=dimension,
                pooling="attention pool of the image-text model, not normalized",
                licence="Apache-2.0",
                url="https://github.com/google-research/big_vision",
            ),
        )


_LAION = {
    "data": "LAION-2B",
    "labels": f"{_WEB_TEXT[:-1]}, kept if OpenAI's CLIP finds both alike.",
    "licence": "MIT",
    "url": "https://huggingface.co/laion",
}
_DATACOMP = {
    "data": "DataComp-1B",
    "labels": f"{_WEB_TEXT[:-1]}, kept by the score of OpenAI's CLIP and by nearness to images of "
    "ImageNet-1k.",
    "licence": "MIT",
    "url": "https://huggingface.co/laion",
}
_DFN = {
    "labels": f"{_WEB_TEXT[:-1]}, kept by a network trained for it on other pairs.",
    "licence": "Apple Sample Code License",
    "url": "https://huggingface.co/apple",
}
_OPENAI = {
    "data": "WebImageText (400 million pairs)",
    "labels": _WEB_TEXT,
    "licence": "MIT",
    "url": "https://github.com/openai/CLIP",
}


def _clip() -> Named:
    for name, model, shown, dimension, origin in (
        ("clip_vitl14", "ViT-L-14-quickgelu/openai", "L/14", 768, _OPENAI),
        ("clip_vitl14_336", "ViT-L-14-336-quickgelu/openai", "L/14", 768, _OPENAI),
        ("clip_laion_vitb16", "ViT-B-16/laion2b_s34b_b88k", "B/16", 512, _LAION),
        ("clip_laion_vitl14", "ViT-L-14/laion2b_s32b_b82k", "L/14", 768, _LAION),
        ("clip_laion_vith14", "ViT-H-14/laion2b_s32b_b79k", "H/14", 1024, _LAION),
        ("clip_datacomp_vitb16", "ViT-B-16/datacomp_xl_s13b_b90k", "B/16", 512, _DATACOMP),
        ("clip_datacomp_vitl14", "ViT-L-14/datacomp_xl_s13b_b90k", "L/14", 768, _DATACOMP),
        ("clip_dfn_vitb16", "ViT-B-16-quickgelu/dfn2b", "B/16", 512, {"data": "DFN-2B"} | _DFN),
        ("clip_dfn_vitl14", "ViT-L-14-quickgelu/dfn2b", "L/14", 768, {"data": "DFN-2B"} | _DFN),
        ("clip_dfn_vith14", "ViT-H-14-quickgelu/dfn5b", "H/14", 1024, {"data": "DFN-5B"} | _DFN),
    ):
        yield (
            name,
            alias(
                f"open_clip/{model}",
                architecture=f"CLIP ViT-{shown}",
                pretraining="contrastive",
                family="image-text",
                dimension=dimension,
                pooling=PROJECTED,
                **origin,
            ),
        )
    yield (
        "bioclip2",
        alias(
            "open_clip/hf-hub:imageomics/bioclip-2",
            architecture="CLIP ViT-L/14",
            pretraining="BioCLIP 2",
            data="TreeOfLife-200M, from a CLIP of LAION-2B",
            family="image-text",
            labels="Taxon names of all ranks as texts: class labels of organisms.",
            dimension=768,
            pooling=PROJECTED,
            licence="MIT",
            url="https://huggingface.co/imageomics/bioclip-2",
        ),
    )


_PERCEPTION: dict[str, Any] = {
    "licence": "Apache-2.0",
    "url": "https://github.com/facebookresearch/perception_models",
}


def _perception() -> Named:
    for name, model, shown, dimension in (
        ("b16", "PE-Core-B-16", "PE B/16", 1024),
        ("l14_336", "PE-Core-L-14-336", "PE L/14", 1024),
        ("g14_448", "PE-Core-bigG-14-448", "PE G/14", 1280),
    ):
        yield (
            f"pe_core_{name}",
            alias(
                f"open_clip/{model}/meta",
                architecture=shown,
                pretraining="Perception Encoder, core",
                data="5.4 billion image-text pairs, 22 million videos",
                family="image-text",
                labels="No class labels; texts found beside the images, video texts made by a "
                "machine.",
                dimension=dimension,
                pooling=f"attention pool, {PROJECTED}",
                **_PERCEPTION,
            ),
        )
    for size, shown, model, dimension in (
        ("b16", "PE B/16", "base_patch16_512", 768),
        ("l14", "PE L/14", "large_patch14_448", 1024),
    ):
        yield (
            f"pe_spatial_{size}",
            alias(
                f"timm/vit_pe_spatial_{model}.fb?pool=avg_patch",
                architecture=shown,
                pretraining="Perception Encoder, spatial",
                data="from PE core",
                family="distilled",
                labels="No class labels; features of PE core (image-text) and masks of SAM 2.1.",
                dimension=dimension,
                pooling="average over the patch tokens (the authors use the patches one by one)",
                **_PERCEPTION,
            ),
        )


_EVA_TARGETS = "No class labels; the targets are features of EVA-CLIP (image-text)"
_MERGED = "; Merged-38M holds ImageNet-22k and other labelled datasets."
_EVA = {"licence": "MIT", "url": "https://github.com/baaivision/EVA"}


def _eva02() -> Named:
    for letter, size, dimension, data in (
        ("s", "small", 384, "in22k"),
        ("b", "base", 768, "in22k"),
        ("l", "large", 1024, "m38m"),
    ):
        yield (
            f"eva02_vit{letter}14",
            alias(
                f"timm/eva02_{size}_patch14_224.mim_{data}",
                architecture=f"EVA-02 {letter.upper()}/14",
                pretraining="EVA-02, masked images",
                data="ImageNet-22k" if data == "in22k" else "Merged-38M",
                family="distilled",
                labels=_EVA_TARGETS + ("." if data == "in22k" else _MERGED),
                dimension=dimension,
                pooling="average over the patch tokens, then the final norm, as in fine-tuning",
                **_EVA,
            ),
        )
    for name, model, shown, dimension in (
        ("vitb16", "EVA02-B-16/merged2b_s8b_b131k", "EVA-02 B/16", 512),
        ("vitl14", "EVA02-L-14/merged2b_s4b_b131k", "EVA-02 L/14", 768),
    ):
        yield (
            f"eva02_clip_{name}",
            alias(
                f"open_clip/{model}",
                architecture=shown,
                pretraining="EVA-02-CLIP",
                data="Merged-2B (LAION-2B, COYO)",
                family="image-text",
                labels=_WEB_TEXT,
                dimension=dimension,
                pooling=PROJECTED,
                **_EVA,
            ),
        )


def _aimv2() -> Named:
    for name, size, shown, dimension in (
        ("vitl14", "large", "ViT-L/14", 1024),
        ("vith14", "huge", "ViT-H/14", 1536),
    ):
        yield (
            f"aimv2_{name}",
            alias(
                f"timm/aimv2_{size}_patch14_224.apple_pt",
                architecture=shown,
                pretraining="AIMv2",
                data="DFN-2B, COYO and pairs of Apple",
                family="image-text",
                labels="No class labels; texts found beside the images, and texts made by a "
                "machine.",
                dimension=dimension,
                pooling="average over the patch tokens after the final norm (the authors train an "
                "attention pool for every task)",
                licence="Apple Sample Code License",
                url="https://github.com/apple/ml-aim",
            ),
        )


IMAGE_TEXT: dict[str, EncoderEntry] = {}
"""Entries of SigLIP 2, CLIP, BioCLIP 2, Perception Encoder, EVA-02 and AIMv2."""
for _family in (_siglip2, _clip, _perception, _eva02, _aimv2):
    IMAGE_TEXT.update(_family())
