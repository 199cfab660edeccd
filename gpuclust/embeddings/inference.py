"""Encode images in batches sized to the available memory."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import torch

from ..device import memory
from ..errors import BackendError, GpuclustError, InputError
from .fold import fold_batch_norms

LOG = logging.getLogger("gpuclust")
Device = str | torch.device
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
AS_BUILT, COMPILED, FOLDED = "as built", "compiled", "folded"
_COMPILER = ("torch._dynamo", "torch._inductor")  # modules of the errors of torch.compile
# Input values per chunk on a CPU: 4 images of 3 x 224 x 224.  The feature maps of a chunk stay in
# the cache and torch reuses their memory.  For 64 images the system maps and clears new pages for
# every layer, which takes longer than the arithmetic.  Two cores, chunks of 4 and of 64:
# EfficientNet-Lite0 84 and 45 images/s, ResNet-50 19 and 15
# (benchmarks/results/inference-cpu-2026-11-21.json, channels last).
_CHUNK_VALUES = 4 * 3 * 224 * 224


class Forward:
    """Encoder on a device; halves its batches when memory runs out.

    On a CPU a batch is encoded in chunks of 4 images of 224 x 224 (more if they are smaller, and at
    least one image per thread), channels last.

    Parameters
    ----------
    module : torch.nn.Module
        Encoder; set to evaluation mode and moved to `device`.
    device : str or torch.device
        ``"cpu"``, ``"cuda"`` or ``"cuda:<number>"``.
    batch_size : int
        Initial `limit`.
    dtype : {"float32", "bfloat16", "float16"} or None
        Precision of the layers.  None: float32 on a CPU; on a GPU bfloat16 if supported, else
        float16.
    compile : bool
        Run the module through ``torch.compile``, which needs a C++ compiler on a CPU and takes
        from seconds to minutes for the first batch.
    normalize : callable, optional
        Applied to each chunk on the device: images (b, c, h, w) as they come -> input of `module`.

    Attributes
    ----------
    chunk : int or None
        Images to encode at once, to repeat an earlier run bit for bit; None: see `chunk_size`.
    limit : int
        Largest batch to try; halved when memory runs out, and not increased again.
    precision : str
        ``"float32"``, ``"bfloat16"`` or ``"float16"``, used by the layers.  Features are float32.
    layers : {"as built", "compiled", "folded"}
        ``"compiled"`` with `compile`; ``"folded"`` after the first batch on a CPU in float32, if
        batch norms were folded into convolutions, see `fold`.

    Examples
    --------
    >>> import torch
    >>> forward = Forward(torch.nn.Flatten(), device="cpu", batch_size=64, dtype=None)
    >>> forward(torch.zeros(5, 3, 8, 8)).shape
    torch.Size([5, 192])
    """

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        device: Device,
        batch_size: int,
        dtype: str | None,
        compile: bool = False,
        normalize: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ):
        self.normalize = normalize
        self.device = resolve_device(device)
        self.precision = _precision(self.device, dtype)
        self.limit = batch_size
        self.chunk: int | None = None
        self.layers = COMPILED if compile else AS_BUILT
        try:
            moved = module.eval().to(self.device)
            self.module: Any = moved.to(memory_format=torch.channels_last)
        except (MemoryError, RuntimeError) as error:
            if not memory.is_out_of_memory(error):
                raise
            raise GpuclustError(
                f"the encoder itself does not fit on {self.device}: {error}. Choose a smaller one, "
                f"free the device, or use --device cpu."
            ) from error
        self._may_fold = self.device.type == "cpu" and self.precision == "float32" and not compile
        if compile:
            # Frozen weights let the compiler fold batch norms into the convolutions before them.
            self.module = torch.compile(moved, dynamic=False, options={"freezing": True})

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features (b, d) float32 of images (b, c, h, w), on the module's device."""
        if self._may_fold and len(images):
            self._fold(images[:1].shape)
        rows: list[torch.Tensor] = []
        start = 0
        while start < len(images):
            size = min(self.limit, self._chunk(images))
            part = images[start : start + size]
            features = self._attempt(part, size)
            if features is None:
                self._halve(len(part))
                continue
            rows.append(features)
            start += len(part)
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def _fold(self, shape: torch.Size) -> None:
        """Fold batch norms; noise as test image gives the same choice in every run.

        With the first image of a run, a run that goes on elsewhere could choose otherwise.
        """
        self._may_fold = False
        images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        try:
            with torch.inference_mode():
                folded = fold_batch_norms(self.module, images)
        except (MemoryError, RuntimeError) as error:
            if not memory.is_out_of_memory(error):
                raise
            return  # a copy of the weights does not fit: run the module as it is
        if folded is not None:
            self.module, self.layers = folded, FOLDED

    def _chunk(self, images: torch.Tensor) -> int:
        """Return the largest number of images to encode at once."""
        if self.chunk is not None:
            return self.chunk
        return chunk_size(self.device, images[0].numel()) or self.limit

    def _attempt(self, images: torch.Tensor, size: int) -> torch.Tensor | None:
        """Return the features, or None when memory ran out.

        The error is dropped here because its traceback would keep the activations in memory.
        """
        try:
            with torch.inference_mode(), self._autocast():
                images = images.to(self.device, non_blocking=True)
                if self.normalize is not None:
                    images = self.normalize(images)
                return self._features(images, size)
        except (MemoryError, RuntimeError) as error:
            if memory.is_out_of_memory(error):
                return None
            if self.layers != COMPILED or not type(error).__module__.startswith(_COMPILER):
                raise
            raise GpuclustError(
                f"torch.compile failed for this encoder: {_summary(error)}. It needs a C++ "
                "compiler on a CPU (g++, or the one named by CXX) and Triton on a GPU; without "
                "them use compile=False."
            ) from error

    def _features(self, images: torch.Tensor, size: int) -> torch.Tensor:
        n = len(images)
        if self.layers == COMPILED and n < size:
            # Compiled code is for one shape: repeat the last image instead of compiling again.
            images = torch.cat([images, images[-1:].expand(size - n, -1, -1, -1)])
        features = self.module(images)
        _check_shape(features, len(images))
        # A copy: a compiled module may reuse the memory of its result.
        return features[:n].to(torch.float32, copy=True)

    def _halve(self, tried: int) -> None:
        if self.device.type == "cuda":
            memory.release()
        if tried <= 1:
            raise GpuclustError(
                f"out of memory on {self.device} with a single image. Choose a smaller encoder or "
                f"image size, free the device, or use --device cpu."
            )
        self.limit = tried // 2
        LOG.warning("batch size halved to %d after running out of memory", self.limit)

    def _autocast(self) -> contextlib.AbstractContextManager[None]:
        dtype = PRECISIONS[self.precision]
        if dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=dtype)


def chunk_size(device: torch.device, values: int) -> int | None:
    """Return the number of images to encode at once on a CPU, with `values` input values each.

    None on a GPU: a whole batch.  Depends on the number of threads.

    Examples
    --------
    >>> import torch
    >>> chunk_size(torch.device("cuda"), 3 * 224 * 224) is None
    True
    """
    if device.type != "cpu":
        return None
    return max(_CHUNK_VALUES // max(values, 1), torch.get_num_threads())


def resolve_device(device: Device) -> torch.device:
    """Return the torch device; raise `BackendError` when this machine does not have it."""
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"unknown device {device!r}. Use cpu, cuda, or cuda:<number>.") from error
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise BackendError(
            f"device {device!r}: torch sees {torch.cuda.device_count()} CUDA device(s) here. "
            f"Use cpu, or check nvidia-smi and that torch is a CUDA build."
        )
    return resolved


def _precision(device: torch.device, dtype: str | None) -> str:
    if dtype is not None:
        if dtype not in PRECISIONS:
            raise InputError(f"dtype {dtype!r}: allowed are {', '.join(PRECISIONS)}, or none.")
        return dtype
    if device.type != "cuda":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"


def _summary(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(line.strip() for line in lines[:2])[:300].rstrip(".")  # two: "raised:", reason


def _check_shape(features: Any, n: int) -> None:
    if not isinstance(features, torch.Tensor) or features.ndim != 2 or len(features) != n:
        shape = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features)
        raise GpuclustError(
            f"the encoder returned {shape} for {n} images; expected one vector per image, "
            f"shape ({n}, d). Check its pooling."
        )
