"""Build timm's networks for another image size: the option ``?size=`` of encoder names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import timm
import torch
from torch import Tensor, nn

from ..errors import InputError


def arguments(
    model: str, *, size: str, given: Mapping[str, Any] | None = None, weights: str = "published"
) -> dict[str, Any]:
    """Return the arguments with which `timm.create_model` builds a network for an image size.

    Parameters
    ----------
    model : str
        Name of an architecture, or of weights, in timm.
    size : str
        Height and width in pixels; empty for the network's own size.
    given : mapping, optional
        Arguments that are passed anyway.
    weights : {"published", "file", "none"}
        Weights that will be loaded: of the network's own size, of any size, or random ones.

    Returns
    -------
    dict
        ``img_size`` for a network of fixed size, whose position embedding depends on it.  Empty
        for one that takes any size (but for a file, whose positions may be of a third size), and
        without `size`.

    Raises
    ------
    InputError
        The network cannot take images of this size; the message names the nearest sizes where
        the patch size does not divide it.

    Notes
    -----
    Builds the network and runs one image through it, without memory for weights: below a second
    for ViT-L/14.

    Examples
    --------
    >>> arguments("vit_tiny_patch16_224", size="160")
    {'img_size': 160}
    >>> arguments("resnet18", size="160")
    {}
    """
    if not size:
        return {}
    given = dict(given or {})
    if given:  # values that have no hash
        return _checked(model, int(size), given, weights=weights)
    return dict(_remembered(model, int(size), weights=weights))


@lru_cache(maxsize=256)
def _remembered(model: str, size: int, *, weights: str) -> dict[str, Any]:
    return _checked(model, size, {}, weights=weights)


def _checked(model: str, size: int, given: dict[str, Any], *, weights: str) -> dict[str, Any]:
    network = _empty(model, given)
    _check_patches(network, model, size)
    added = {"img_size": size} if _is_fixed(network, weights) else {}
    try:
        resized = _empty(model, {**given, **added}) if added else network
        _run(resized, size)
        if weights == "published" and added:
            _check_weights(network, model, {**given, **added})
    except (AssertionError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"timm cannot change the image size of {model!r} to {size} x {size} pixels "
            f"({_short(error)}). Its own size is {_own(network)}; leave size={size} "
            "out, or take another size."
        ) from error
    return added


def _empty(model: str, given: Mapping[str, Any]) -> nn.Module:
    """Build a network without memory for weights, where it computes nothing while it is built."""
    try:
        with torch.device("meta"):
            return timm.create_model(model, pretrained=False, num_classes=0, **given).eval()
    except (NotImplementedError, RuntimeError):
        with torch.random.fork_rng(devices=[]):
            return timm.create_model(model, pretrained=False, num_classes=0, **given).eval()


def _check_weights(network: nn.Module, model: str, given: Mapping[str, Any]) -> None:
    """Raise RuntimeError unless timm re-samples the weights of `network`, without their values."""
    try:
        with torch.device("meta"):
            _loaded(network.to("meta").state_dict(), model, given)
    except NotImplementedError:
        return  # some weights are re-sampled by their values; loading checks those


def _loaded(state: Mapping[str, Tensor], model: str, given: Mapping[str, Any]) -> nn.Module:
    """Build a network and load weights of another size as timm loads its own."""
    nowhere = dict.fromkeys(("source", "url", "file", "hf_hub_id"), "")
    overlay = {**nowhere, "state_dict": dict(state)}
    return timm.create_model(
        model, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay, **given
    )


def _run(network: nn.Module, size: int) -> None:
    device = next(network.parameters()).device
    with torch.inference_mode():
        network(torch.zeros(1, 3, size, size, device=device))


def _is_fixed(network: Any, weights: str) -> bool:
    """Return whether the network must be built again for another size."""
    dynamic = weights != "file" and getattr(network, "dynamic_img_size", False)
    return bool(network.pretrained_cfg.get("fixed_input_size", False)) and not dynamic


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(line.strip() for line in lines[:2])[:200].rstrip(".")


def _own(network: Any) -> str:
    height, width = network.pretrained_cfg["input_size"][1:]
    return f"{height} x {width}"


def _check_patches(network: Any, model: str, size: int) -> None:
    """Raise InputError where patches would leave out the last rows and columns of an image."""
    embedding = getattr(network, "patch_embed", None)
    patch = getattr(embedding, "patch_size", None)
    if patch is None or getattr(embedding, "dynamic_img_pad", False):
        return
    edge = max(patch) if isinstance(patch, tuple | list) else int(patch)
    if size % edge == 0:
        return
    below = size // edge * edge
    near = " or ".join(f"size={one}" for one in (below, below + edge) if one)
    raise InputError(
        f"the patches of {model!r} have {edge} x {edge} pixels and do not fill {size} x {size}. "
        f"Write {near}."
    )


def resampled(
    state: Mapping[str, Tensor], *, model: str, given: Mapping[str, Any]
) -> Mapping[str, Tensor]:
    """Re-sample the weights that depend on the image size, as timm does for its own weights.

    Parameters
    ----------
    state : mapping of str to Tensor
        Weights with the names of the network, of another image size.
    model : str
        Architecture.
    given : mapping
        Arguments of the network, with ``img_size``.

    Returns
    -------
    mapping of str to Tensor
        Weights of the network of this size; `state` itself where timm cannot make them.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            made: Mapping[str, Tensor] = _loaded(state, model, given).state_dict()
    except (AssertionError, KeyError, RuntimeError, ValueError):
        return state  # the shapes are reported then
    return made
