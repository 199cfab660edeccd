"""Sources of many encoders, which take the rest of a name, and the pixels themselves."""

from __future__ import annotations

from ..entry import EncoderEntry

_SOURCES = "gpuclust.encoders.sources"
_VARIES = "varies"

SOURCES: dict[str, EncoderEntry] = {
    "timm": EncoderEntry(
        summary="any pretrained model of timm, weights from the Hugging Face hub",
        target=f"{_SOURCES}.timm:build",
        check=f"{_SOURCES}.timm:check",
        names=f"{_SOURCES}.timm:names",
        rest="/<name>",
        options={"pool": ""},
        architecture=_VARIES,
        pretraining=_VARIES,
        data=_VARIES,
        licence=_VARIES,
        url="https://huggingface.co/timm",
    ),
    "open_clip": EncoderEntry(
        summary="image tower of any CLIP model of open_clip",
        target=f"{_SOURCES}.open_clip:build",
        check=f"{_SOURCES}.open_clip:check",
        names=f"{_SOURCES}.open_clip:names",
        rest="/<model>/<pretrained tag or file>",
        options={"pool": ""},
        architecture="CLIP",
        pretraining="contrastive",
        data=_VARIES,
        family="image-text",
        licence=_VARIES,
        url="https://github.com/mlfoundations/open_clip",
    ),
    "torchvision": EncoderEntry(
        summary="any classification model of torchvision without its last layer",
        target=f"{_SOURCES}.torchvision:build",
        check=f"{_SOURCES}.torchvision:check",
        names=f"{_SOURCES}.torchvision:names",
        rest="/<weights>",
        options={"pool": ""},
        architecture=_VARIES,
        pretraining="classification",
        data="ImageNet-1k",
        family="supervised",
        licence=_VARIES,
        gated=False,
        url="https://pytorch.org/vision/stable/models.html",
    ),
    "random": EncoderEntry(
        summary="a timm architecture with seeded random weights (a baseline)",
        target=f"{_SOURCES}.random:build",
        check=f"{_SOURCES}.random:check",
        rest="/<timm name>",
        options={"pool": "", "seed": "0"},
        architecture=_VARIES,
        pretraining="none",
        data="none",
        family="none",
        licence="none needed",
        gated=False,
    ),
    "file": EncoderEntry(
        summary="a checkpoint on this machine (.safetensors, .pth, .pt, .bin)",
        target=f"{_SOURCES}.file:build",
        check=f"{_SOURCES}.file:check",
        rest=":<path>?arch=<timm name>",
        options={"arch": "", "pool": ""},
        architecture=_VARIES,
        licence="yours",
        gated=False,
    ),
    "raw": EncoderEntry(
        summary="the pixels themselves, at most 32 x 32, flattened (a baseline)",
        target=f"{_SOURCES}.pixels:build",
        architecture="pixels",
        pretraining="none",
        data="none",
        family="none",
        labels="None: nothing is trained.",
        pooling="none: 3 channels x height x width",
        licence="none needed",
        gated=False,
        study="none",
        images_per_second=2000.0,  # a cautious guess
    ),
}
