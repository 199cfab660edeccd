"""Convolution, batch norm and activation as one call of oneDNN: what makes encoders fast on a CPU.

In evaluation mode a batch norm is a scale and a shift, which can be folded into the weights of the
convolution before it, and oneDNN applies an activation while it writes the result: three passes
over the feature maps become one.  Which layers follow each other is not read off the module's
structure but seen in a run of it, so it works for whatever Python its `forward` is; what comes out
is compared with the module as it was built, which is kept where the two differ.
"""

from __future__ import annotations

import copy
import logging
from collections import Counter
from typing import Any, NamedTuple

import torch
from timm.layers import BatchNormAct2d, Conv2dSame
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from ..device import memory
from .fused_conv import ACTIVATIONS, fold, padding_of

LOG = logging.getLogger("gpuclust")
AS_BUILT, FUSED = "as built", "fused"
TOLERANCE = 1e-3  # of float32 features, relative to the largest of the image
# Bfloat16 has its own distance to float32, measured as 1 - cosine.  Fused layers may be as far, or
# this far: they round elsewhere, so to be equally far off would be chance.
_FAR = 1e-3
# Feature maps that are larger come from the system anew for each layer, and to have it clear the
# pages takes longer than the arithmetic; smaller ones are used again, and stay in the cache.
# Measured on two cores: EfficientNet-Lite0 and both libraries' ResNet-50 are within 4 % of their
# best at 18 MiB; at 25 one of them is 8 % slower.
_MAP_BYTES = 20 * 2**20
_PROBES = 2
# Subclasses may compute something else, so only these types are understood.
_CONVOLUTIONS = (nn.Conv2d, Conv2dSame)
_NORMS = (nn.BatchNorm2d, BatchNormAct2d)


class Layers(NamedTuple):
    """What runs an encoder.

    Attributes
    ----------
    module : torch.nn.Module
        The module that was given, or a fused copy of it, which holds for one size of image only.
    chunk : int or None
        How many images at once are fastest; None: as many as there are.
    kind : str
        `AS_BUILT` or `FUSED`.
    """

    module: nn.Module
    chunk: int | None
    kind: str


class _Seen:
    """What a run of a module showed: who takes whose result, and how large the results are.

    A result carries its maker and its version, so that one that was changed in place since (the
    sum of a residual block) does not pass for what its maker returned.
    """

    def __init__(self) -> None:
        self.calls: Counter[nn.Module] = Counter()
        self.takes: dict[nn.Module, set[nn.Module | None]] = {}
        self.shapes: dict[nn.Module, list[int]] = {}
        self.values = 0  # of the largest result, per image

    @staticmethod
    def _made_by(value: Tensor) -> nn.Module | None:
        maker, version = getattr(value, "_gpuclust_made_by", (None, 0))
        return maker if value._version == version else None

    def before(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Note whose result a layer takes."""
        if inputs and isinstance(inputs[0], Tensor):
            self.takes.setdefault(module, set()).add(self._made_by(inputs[0]))
            self.shapes[module] = list(inputs[0].shape)

    def after(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Sign a result, unless it is signed: containers hand on what their layers made."""
        self.calls[module] += 1
        if isinstance(output, Tensor) and output.ndim:
            if self._made_by(output) is None:
                output._gpuclust_made_by = (module, output._version)
            self.values = max(self.values, output.numel() // max(len(output), 1))


class _Probe(NamedTuple):
    """A few images, and their features by the module: in float32, and in what is asked for."""

    images: Tensor
    exact: Any
    as_built: Any


def prepare(module: nn.Module, images: Tensor, *, dtype: torch.dtype | None) -> Layers:
    """Choose what runs a module on the CPU on images of this size; `module` stays as it is.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode, on the CPU, float32, channels last.
    images : Tensor
        (b, c, h, w) float32; the first two are encoded, once by the module and once fused.
    dtype : torch.dtype or None
        What the layers are to compute in; None is float32.

    Returns
    -------
    Layers
        The fused module where that gives the same features, else the module as it was built.  A
        module without batch norms is not looked at any further.
    """
    dtype = dtype or torch.float32
    if not any(isinstance(layer, _NORMS) for layer in module.modules()):
        return Layers(module, None, AS_BUILT)
    # Under inference mode, which a caller may be in, tensors have no versions to tell changes by.
    with torch.inference_mode(mode=False), torch.no_grad():
        images = images[:_PROBES].clone()
        with torch.autocast("cpu", enabled=False):
            seen, exact = _watch(module, images)
        as_built = exact if dtype == torch.float32 else module(images)
        largest = max(seen.values * dtype.itemsize, 1)
        chunk = max(_MAP_BYTES // largest, torch.get_num_threads())
        fused, why = None, _unavailable(dtype)
        if not why:
            probe = _Probe(images, exact, as_built)
            fused, why = _try(module, seen, probe, dtype=dtype, chunk=chunk)
    if fused is None:
        LOG.warning("the encoder runs layer by layer, which is slower: %s", why)
        return Layers(module, chunk, AS_BUILT)
    return Layers(fused, chunk, FUSED)


def _watch(module: nn.Module, images: Tensor) -> tuple[_Seen, Tensor]:
    seen, handles = _Seen(), []
    for layer in module.modules():
        handles.append(layer.register_forward_pre_hook(seen.before))
        handles.append(layer.register_forward_hook(seen.after))
    try:
        return seen, module(images)
    finally:
        for handle in handles:
            handle.remove()


def _unavailable(dtype: torch.dtype) -> str:
    """Say why oneDNN cannot be used here, or nothing."""
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled):
        return "this torch has no oneDNN"
    if dtype == torch.float32:
        return ""
    if dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return ""
    return f"oneDNN fuses nothing in {dtype} on this processor"


def _try(
    module: nn.Module, seen: _Seen, probe: _Probe, *, dtype: torch.dtype, chunk: int
) -> tuple[nn.Module | None, str]:
    """Return the fused module, or None and why not.

    oneDNN's fused calls are torch's own business and promised to nobody, so another torch may
    refuse them, and a module's `forward` may ask its layers for what they no longer have.
    """
    try:
        fused = _fuse(module, seen, dtype=dtype, chunk=chunk)
        if fused is None:
            return None, "no batch norm follows a convolution alone"
        why = _difference(fused(probe.images), probe)
    except (RuntimeError, TypeError, AttributeError) as error:
        if memory.is_out_of_memory(error):
            raise
        return None, f"fused, it fails ({type(error).__name__}: {error})"
    return (None, why) if why else (fused, "")


def _difference(got: Any, probe: _Probe) -> str:
    """Say how the features differ, or nothing.  Written so that NaN is different."""
    exact = probe.exact
    if got.shape != exact.shape:
        return f"fused, it returns {tuple(got.shape)} and not {tuple(exact.shape)}"
    if probe.as_built is exact:
        size = exact.abs().flatten(1).amax(1).clamp_min(1e-30)  # features may all be zero
        off = ((got - exact).abs().flatten(1).amax(1) / size).max()
        return "" if off <= TOLERANCE else f"fused, its features are {off:.1g} off"
    far, allowed = _far(got, exact), max(_FAR, 2 * _far(probe.as_built, exact))
    return "" if far <= allowed else f"fused, its features have 1 - cosine {far:.1g}"


def _far(got: Tensor, exact: Tensor) -> float:
    return 1 - float(cosine_similarity(got.flatten(1).float(), exact.flatten(1)).min())


def _fuse(module: nn.Module, seen: _Seen, *, dtype: torch.dtype, chunk: int) -> nn.Module | None:
    """Copy the module (its weights are shared) and put fused layers where they are possible."""
    makers = {norm: _maker(norm, seen) for norm in seen.calls if type(norm) in _NORMS}
    makers = {norm: conv for norm, conv in makers.items() if conv is not None}
    after = _activations(seen, makers)
    names = {layer: name for name, layer in module.named_modules()}
    exact = _in_float32(list(makers.values()))
    new: dict[str, nn.Module] = {}
    for norm, conv in makers.items():
        act, rest = _activation(norm, after.get(norm))
        kind = torch.float32 if conv in exact else dtype
        new[names[conv]] = fold(conv, norm, act, seen.shapes[conv], dtype=kind, chunk=chunk)
        new[names[norm]] = rest
        if norm in after:
            new[names[after[norm]]] = nn.Identity()
    if not new:
        return None
    shared = {id(t): t for t in (*module.parameters(), *module.buffers())}
    fused = copy.deepcopy(module, shared)
    for name, layer in new.items():
        fused.set_submodule(name, layer)
    return fused


def _in_float32(convolutions: list[Any]) -> set[Any]:
    """Choose which of the convolutions, in order of their calls, are never rounded to halves.

    Those up to the first that is depthwise: its sums of nine products average no rounding out, and
    all that follows sees it.  EfficientNet-Lite0 in bfloat16: the features of 32 images have a mean
    cosine of 0.9987 to float32's, with these two layers in float32 0.9996 (benchmarks/LOG.md).
    """
    depthwise = [i for i, conv in enumerate(convolutions) if 1 < conv.groups == conv.in_channels]
    return set(convolutions[: depthwise[0] + 1]) if depthwise else set()


def _maker(norm: nn.Module, seen: _Seen) -> nn.Module | None:
    """Give the convolution that a batch norm can be folded into."""
    conv, *others = seen.takes.get(norm, {None})
    once = not others and seen.calls[norm] == 1 and seen.calls[conv] == 1
    if not once or type(conv) not in _CONVOLUTIONS or norm.running_mean is None:
        return None
    if not isinstance(getattr(norm, "drop", None), nn.Identity | None):
        return None
    return conv if padding_of(conv, seen.shapes[conv]) else None


def _activations(seen: _Seen, folded: dict[nn.Module, Any]) -> dict[nn.Module, nn.Module]:
    """Map each batch norm to the layer that does nothing but activate its result.

    An activation that is also called on something else (one module for a whole residual block, as
    torchvision has) must stay.
    """
    found = {}
    for layer, makers in seen.takes.items():
        if type(layer) not in ACTIVATIONS or isinstance(layer, nn.Identity):
            continue
        if all(type(norm) is nn.BatchNorm2d and norm in folded for norm in makers):
            found.update(dict.fromkeys(makers, layer))
    return found


def _activation(norm: nn.Module, after: nn.Module | None) -> tuple[nn.Module, nn.Module]:
    """Give the activation that goes into the convolution, and what takes the place of the norm."""
    if not isinstance(norm, BatchNormAct2d):
        return after or nn.Identity(), nn.Identity()
    if type(norm.act) in ACTIVATIONS:
        return norm.act, nn.Identity()
    return nn.Identity(), norm.act
