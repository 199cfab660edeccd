"""A convolution with its batch norm and its activation, as one call of oneDNN."""

from __future__ import annotations

from typing import Any

import torch
from timm.layers import Conv2dSame
from timm.layers.padding import get_same_padding
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.fusion import fuse_conv_bn_weights

# oneDNN's word for a layer, its numbers, its algorithm.  A layer that is not here runs by itself.
ACTIVATIONS: dict[type[nn.Module], tuple[str, list[float], str]] = {
    nn.Identity: ("none", [], ""),
    nn.ReLU: ("relu", [], ""),
    nn.ReLU6: ("hardtanh", [0.0, 6.0], ""),
    nn.SiLU: ("swish", [], ""),
    nn.Hardswish: ("hardswish", [], ""),
}


class FusedConv(nn.Module):
    """A convolution, its batch norm and perhaps an activation, for one size of feature map."""

    def __init__(
        self, weight: Tensor, bias: Tensor, where: tuple[Any, ...], act: nn.Module, shape: list[int]
    ):
        super().__init__()
        self.where, self.act, self.dtype = where, ACTIVATIONS[type(act)], weight.dtype
        # Not parameters: the packed layout is oneDNN's own, and nothing is to be trained or saved.
        self.bias = bias
        self.packed = torch._C._nn.mkldnn_reorder_conv2d_weight(weight.to_mkldnn(), *where, shape)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a batch (b, c, h, w)."""
        convolve = torch.ops.mkldnn._convolution_pointwise
        return convolve(x.to(self.dtype), self.packed, self.bias, *self.where, *self.act)


def fold(
    conv: nn.Module,
    norm: nn.Module,
    act: nn.Module,
    shape: list[int],
    *,
    dtype: torch.dtype,
    chunk: int,
) -> FusedConv:
    """Make the fused layer; `shape` is what the convolution saw, `chunk` how many it will see."""
    parts = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
    weight, bias = fuse_conv_bn_weights(conv.weight, conv.bias, *parts)
    padding, taps = padding_of(conv, shape)
    weight = pad(weight.detach(), (taps[1], 0, taps[0], 0))
    weight = weight.to(dtype).contiguous(memory_format=torch.channels_last)
    where = (padding, list(conv.stride), list(conv.dilation), conv.groups)
    return FusedConv(weight, bias.detach().to(dtype), where, act, [chunk, *shape[1:]])


def padding_of(conv: nn.Module, shape: list[int]) -> tuple[list[int], list[int]] | None:
    """Give the padding (both sides alike) and the zero taps before the kernel; None: impossible.

    TensorFlow's "same" pads one pixel more after the image than before it when the total is odd.
    A kernel with a zero in front, on as much before as after, computes the same without copying the
    feature map into a larger one, which would cost more than the convolution.
    """
    if conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        return None
    if not isinstance(conv, Conv2dSame):
        return list(conv.padding), [0, 0]
    sides = zip(shape[2:], conv.kernel_size, conv.stride, conv.dilation, strict=True)
    total = [get_same_padding(*side) for side in sides]
    taps = [t % 2 for t in total]
    if any(tap and step != 1 for tap, step in zip(taps, conv.dilation, strict=True)):
        return None
    return [(t + 1) // 2 for t in total], taps
