"""Entry of an encoder, and the parts that its loader builds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..registry import UNKNOWN, Resource

if TYPE_CHECKING:
    from torch import nn

POOLS = ("cls", "avg", "avg_patch", "cls_avg_patch")
# Label information in pretraining.
FAMILIES = ("supervised", "self-supervised", "image-text", "distilled", "none", "varies")


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
    architecture : str
        Architecture.
    family : str
        Kind of pretraining, one of `FAMILIES`.  Distilled: from several pretrained networks.
    pretraining : str
        Pretraining method.
    data : str
        Pretraining dataset.
    labels : str
        Label information that pretraining saw, in one sentence, with teachers and curated data.
    dimension : int or None
        Dimension of the feature; None when it depends on the rest of the name or on the images.
    pooling : str
        Pooling that the authors use, in words.
    gated : bool or None
        Whether the weights can be downloaded only after accepting terms; None when it varies.
    weights : str
        Address of the weights file, for an entry of one published file.
    sha256 : str or None
        Hash (hex) of the weights file, or its first digits; None when it is not known.
    released : bool
        Whether the weights were ever published.
    study : str
        Name of the encoder in the code of the zero-shot clustering study; empty if not in it.
    stands_for : str
        Name of the same encoder in another source, such as ``"timm/<name>"``, which loads it.
    images_per_second : float or None
        Typical speed on two cores, for estimates.  None: unknown, no estimate before the first
        embedding.
    """

    names: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    architecture: str = UNKNOWN
    family: str = "varies"
    pretraining: str = UNKNOWN
    data: str = UNKNOWN
    labels: str = "varies"
    dimension: int | None = None
    pooling: str = ""
    gated: bool | None = None
    weights: str = ""
    sha256: str | None = None
    released: bool = True
    study: str = ""
    stands_for: str = ""
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
