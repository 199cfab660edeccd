"""Stream the images of a data set through an encoder, batch by batch, in order.

Worker processes decode; the batch size halves itself when memory runs out; an image that cannot be
decoded is reported and never breaks the stream.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.utils.data import DataLoader

from ..datasets.image import UNDECODABLE, reason
from ..device import memory, threads
from ..errors import BackendError, BadImagesError, GpuclustError, InputError
from . import fusion

if TYPE_CHECKING:
    from ..datasets import Dataset

LOG = logging.getLogger("gpuclust")
Device = str | torch.device
_SHARED = Path("/dev/shm")
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Sample(NamedTuple):
    """One image after decoding: `image` (c, h, w) float32, or None and the reason why not."""

    index: int
    image: torch.Tensor | None
    label: int | None
    reason: str | None = None


class Batch(NamedTuple):
    """What a worker hands over; `images` (b, c, h, w) are the good ones, in the order of `good`."""

    images: torch.Tensor | None
    good: list[Sample]
    bad: list[Sample]


class _Decoded:
    """The data set as the loader sees it: never raises for a bad image."""

    def __init__(self, dataset: Dataset, transform: Any, start: int = 0):
        self.dataset, self.transform, self.start = dataset, transform, start

    def __len__(self) -> int:
        return len(self.dataset) - self.start

    def __getitem__(self, i: int) -> Sample:
        i += self.start
        try:
            image, label = self.dataset[i]
        except BadImagesError as error:
            why = error.__cause__ or error
            return Sample(i, None, None, reason(why))
        if self.transform is None:
            return Sample(i, None, label)
        try:
            return Sample(i, self.transform(image), label)
        except UNDECODABLE as error:
            return Sample(i, None, None, f"cannot be preprocessed: {reason(error)}")


def _collate(samples: list[Sample]) -> Batch:
    """Stack the good images; runs in the worker, so the main process copies nothing."""
    good = [s for s in samples if s.reason is None]
    bad = [s for s in samples if s.reason is not None]
    images = None
    if good and good[0].image is not None:
        images = torch.stack([s.image for s in good])
        images = images.contiguous(memory_format=torch.channels_last)
    return Batch(images, [s._replace(image=None) for s in good], bad)


def choose_workers(device: torch.device, dataset: Dataset, asked: int | None) -> int:
    """Choose how many processes decode, where the user did not.

    Small images that lie in memory are decoded at 1,150 per second and core, the model does at most
    180 on two cores: no workers on the CPU.  Files can be photographs (12 megapixels: 5 per second
    and core), so they get one process per core, up to eight; so does whatever feeds a GPU.
    Containers come with little shared memory, through which the batches go: 128 MiB per process.
    """
    if dataset.sequential:
        return 0
    if asked is not None:
        return asked
    if device.type == "cpu" and dataset.image_size is not None:
        return 0
    shared = shutil.disk_usage(_SHARED).free // 2**27 if _SHARED.exists() else 8
    return min(8, threads.cores(), shared)


_PR_SET_PDEATHSIG = 1


def _start_loader(number: int) -> None:
    """Let a process that decodes die with the one that started it, also when that is killed.

    By themselves they may wait for one another for ever, with what a killed process had in memory:
    each holds an end of the pipe that the other writes to.
    """
    gc.freeze()  # what was copied with the fork stays shared
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def batches(
    dataset: Dataset,
    transform: Any,
    *,
    batch_size: int,
    workers: int,
    start: int = 0,
    pin_memory: bool = False,
) -> Iterator[Batch]:
    """Yield all images from `start` on, in order; without a transform they are only decoded.

    The worker processes end with the generator, whatever ends it.

    Raises
    ------
    GpuclustError
        A worker died, or memory ran out while decoding.
    """
    loader = DataLoader(
        _Decoded(dataset, transform, start),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=pin_memory,
        worker_init_fn=_start_loader,
    )
    iterator = None
    try:
        iterator = iter(loader)
        for _ in range(len(loader)):
            yield next(iterator)
    except (RuntimeError, MemoryError, OSError) as error:
        raise GpuclustError(_loading_failed(error, workers)) from error
    finally:
        # They would end with the last reference, but a traceback that is kept holds one.
        getattr(iterator, "_shutdown_workers", bool)()


def _loading_failed(error: BaseException, workers: int) -> str:
    said = str(error).strip() or type(error).__name__
    message = f"the images could not be loaded with {workers} worker(s): {said}"
    if "Bus error" in said or "shared memory" in said:
        return f"{message} Give the container more with --shm-size=8g, or use --workers 0."
    if "exited unexpectedly" in said or "killed by signal" in said:
        return f"{message} Usually the machine ran out of memory: use fewer --workers."
    return f"{message} Try --workers 0, or a smaller --batch-size."


class Forward:
    """Run the module on batches that fit: halves `limit` when memory runs out, and stays there.

    Attributes
    ----------
    limit : int
        The largest batch that is tried.
    precision : str
        ``float32``, ``bfloat16`` or ``float16``: what the layers compute in; results are float32.
    layers : str
        ``fused`` or ``as built``, see `fusion`.  Known after the first batch: the CPU fuses what
        gives the same features.
    """

    def __init__(
        self, module: torch.nn.Module, *, device: Device, batch_size: int, dtype: str | None
    ):
        self.device = resolve_device(device)
        self.precision = _precision(self.device, dtype)
        self.limit = batch_size
        self.layers = fusion.AS_BUILT
        self._fast: tuple[torch.Size, fusion.Layers] | None = None
        try:
            self.module = module.eval().to(self.device, memory_format=torch.channels_last)
        except (MemoryError, RuntimeError) as error:
            if not memory.is_out_of_memory(error):
                raise
            raise GpuclustError(
                f"the encoder itself does not fit on {self.device}: {error}. Choose a smaller one, "
                f"free the device, or use --device cpu."
            ) from error

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features (b, d) float32 of images (b, c, h, w), on the module's device."""
        rows, start = [], 0
        while start < len(images):
            part = images[start : start + self.limit]
            features = self._attempt(part)
            if features is None:
                self._halve(len(part))
                continue
            rows.append(features)
            start += len(part)
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def _attempt(self, images: torch.Tensor) -> torch.Tensor | None:
        """Return the features, or None when memory ran out.

        The error is dropped here, because its traceback would keep the activations alive.
        """
        try:
            module, chunk = self._runner(images)
            with torch.inference_mode(), self._autocast():
                images = images.to(self.device, non_blocking=True)
                rows = [_features(module, part) for part in images.split(chunk)]
                return rows[0] if len(rows) == 1 else torch.cat(rows)
        except (MemoryError, RuntimeError) as error:
            if not memory.is_out_of_memory(error):
                raise
        return None

    def _runner(self, images: torch.Tensor) -> tuple[torch.nn.Module, int]:
        """Give what encodes these images, and how many of them at once.

        Chosen on the first batch, because it depends on the images' size and is compared on them.
        """
        if self.device.type != "cpu":
            return self.module, len(images)
        if self._fast is None:
            with self._autocast():
                dtype = PRECISIONS[self.precision]
                self._fast = images.shape[1:], fusion.prepare(self.module, images, dtype=dtype)
            self.layers = self._fast[1].kind
        shape, fast = self._fast
        if images.shape[1:] != shape:
            return self.module, len(images)
        return fast.module, fast.chunk or len(images)

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

    def _autocast(self) -> contextlib.AbstractContextManager:
        dtype = PRECISIONS[self.precision]
        if dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=dtype)


def resolve_device(device: Device) -> torch.device:
    """Return the torch device; `BackendError` when this machine does not have it."""
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


def _features(module: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    features = module(images)
    _check_shape(features, len(images))
    # A copy: a compiled module may use the memory of its result again.
    return features.to(torch.float32, copy=True)


def _check_shape(features: Any, n: int) -> None:
    if not isinstance(features, torch.Tensor) or features.ndim != 2 or len(features) != n:
        shape = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features)
        raise GpuclustError(
            f"the encoder returned {shape} for {n} images; it must return one vector per image, "
            f"shape ({n}, d). Check its pooling."
        )
