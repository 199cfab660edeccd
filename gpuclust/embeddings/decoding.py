"""Decode the images of a dataset batch by batch, in order, in this process or in workers.

An image that cannot be decoded is reported and does not end the stream.
"""

from __future__ import annotations

import atexit
import ctypes
import errno
import functools
import gc
import itertools
import logging
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data import Dataset as TorchDataset

from ..datasets.image import UNDECODABLE, reason
from ..device import threads
from ..encoders.device_geometry import DeviceGeometry
from ..errors import BadImagesError, GpuclustError
from . import device_batches
from .device_batches import Packed

if TYPE_CHECKING:
    from ..datasets import Dataset

LOG = logging.getLogger("gpuclust")
_SHARED = Path("/dev/shm")
# Batches of one worker in shared memory: two decoded ahead, and one being encoded.
_BATCHES_PER_WORKER = 3


@dataclass(frozen=True, slots=True)
class Sample:
    """One image after decoding.

    Attributes
    ----------
    index : int
        Position in the dataset.
    image : Tensor or None
        (c, h, w) float32 or uint8; None when it was not decoded or has been stacked into a batch.
    label : int or None
        Class, if known.
    reason : str or None
        Why the image could not be decoded.
    """

    index: int
    image: torch.Tensor | None
    label: int | None
    reason: str | None = None


class Batch(NamedTuple):
    """Images decoded by one worker: `images` (b, c, h, w) in the order of `good`.

    For a geometry on a device they arrive `packed`, as files, and are decoded by `batches`.
    """

    images: torch.Tensor | None
    good: list[Sample]
    bad: list[Sample]
    packed: Packed | None = None


class _Decoded(TorchDataset[Sample]):
    """Adapter from our dataset to torch's; never raises for a bad image."""

    def __init__(self, dataset: Dataset, transform: Any):
        self.dataset, self.transform = dataset, transform

    def __getitem__(self, i: int) -> Sample:
        try:
            if isinstance(self.transform, DeviceGeometry):
                return Sample(i, *self.transform.read(self.dataset, i))
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


def _collate(samples: list[Sample], *, on_device: bool = False) -> Batch:
    """Stack the good images; runs in the worker, so the main process copies nothing."""
    good = [s for s in samples if s.reason is None]
    bad = [s for s in samples if s.reason is not None]
    pixels = [s.image for s in good if s.image is not None]
    images, packed = None, None
    if pixels:
        packed = Packed.of(pixels) if on_device else None
        images = None if on_device else _stack(pixels)
        if get_worker_info() is not None:
            # Here a lack of shared memory is an error of this batch.  Later, in the thread that
            # sends the batch, it would be lost, and the main process would wait forever.
            (packed.data if packed else images).share_memory_()  # type: ignore[union-attr]
    return Batch(images, [replace(s, image=None) for s in good], bad, packed)


def _finished(batch: Batch, geometry: Any) -> Batch:
    """Decode and resize a packed batch on the device of the encoder."""
    if batch.packed is None:
        return batch
    images, failed = device_batches.finish(batch.packed, geometry)
    bad = [replace(batch.good[i], reason=why) for i, why in failed.items()]
    good = [sample for i, sample in enumerate(batch.good) if i not in failed]
    return Batch(images, good, [*batch.bad, *bad])


def _stack(pixels: list[torch.Tensor]) -> torch.Tensor:
    """Stack images, channels last; pixels of 8 bits come from PIL in this order already."""
    if all(image.dtype == torch.uint8 and image.ndim == 3 for image in pixels):
        return torch.stack([image.permute(1, 2, 0) for image in pixels]).permute(0, 3, 1, 2)
    return torch.stack(pixels).contiguous(memory_format=torch.channels_last)


def choose_workers(
    device: torch.device, dataset: Dataset, asked: int | None, *, batch_bytes: int = 2**25
) -> int:
    """Choose the number of decoding processes; `asked` is the user's choice.

    - CPU, small images in memory: 0.  They decode at 1,150 images/s per core, faster than any
      encoder runs on a CPU.
    - Image files, or a GPU: one process per core, at most 8.  A photograph of 12 megapixels decodes
      at 5 images/s per core.
    - A dataset that can only be read in order: 0.

    Batches of `batch_bytes` pass through shared memory, which containers limit.  Each process needs
    room for three batches; with less shared memory there are fewer processes, even than `asked`.
    """
    if dataset.sequential:
        return 0
    if asked is None and device.type == "cpu" and dataset.image_size is not None:
        return 0
    chosen = min(8, threads.cores()) if asked is None else asked
    if not _SHARED.exists():
        return chosen
    free = shutil.disk_usage(_SHARED).free
    fits = free // (_BATCHES_PER_WORKER * batch_bytes)
    if fits < chosen:
        LOG.warning(
            "%d of %d processes decode images, because %s has only %d MiB free (for a container: "
            "--shm-size=8g)",
            fits,
            chosen,
            _SHARED,
            free >> 20,
        )
    return min(chosen, fits)


_PR_SET_PDEATHSIG = 1


def _start_loader(number: int) -> None:
    """Make a decoding process end with its parent, even if the parent is killed.

    Otherwise the processes can wait for each other forever and keep their memory: each holds one
    end of a pipe another one writes to.
    """
    gc.freeze()  # pages inherited from the parent stay shared
    # Ctrl-C in a terminal reaches all processes; only the parent may react, and keep its vectors.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Dask's workers start new interpreters; at their end a library of triton reports leaks.
    atexit.register(os._exit, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _Issued:
    """Lists of indices for a loader; remembers the lists without a batch."""

    def __init__(self, source: Iterable[list[int]]):
        self.source = iter(source)
        self.waiting: deque[list[int]] = deque()

    def __iter__(self) -> Iterator[list[int]]:
        for indices in self.source:
            self.waiting.append(indices)
            yield indices

    def rest(self) -> Iterator[list[int]]:
        """Return all lists without a batch."""
        return itertools.chain(list(self.waiting), self.source)


def batches(
    dataset: Dataset,
    transform: Any,
    *,
    indices: Iterable[list[int]],
    workers: int,
    pin_memory: bool = False,
) -> Generator[Batch]:
    """Yield one batch per list of indices, in order.  Without a transform they are only decoded.

    `indices` is read in this process, a few lists ahead of the batches.  Worker processes end when
    the generator ends or is closed.  When shared memory runs out, this process decodes the rest,
    with a warning of the logger ``gpuclust``.

    Raises
    ------
    GpuclustError
        A worker died, or memory ran out while decoding.
    """
    issued = _Issued(indices)
    try:
        yield from _loaded(dataset, transform, issued, workers=workers, pin_memory=pin_memory)
        return
    except (RuntimeError, MemoryError, OSError) as error:
        if not workers or not _lacks_shared_memory(error):
            raise GpuclustError(_loading_failed(error, workers)) from error
    LOG.warning(
        "%s is full: this process decodes the other images, which is slower (for a container: "
        "--shm-size=8g)",
        _SHARED,
    )
    rest = _Issued(issued.rest())
    try:
        yield from _loaded(dataset, transform, rest, workers=0, pin_memory=pin_memory)
    except (RuntimeError, MemoryError, OSError) as error:
        raise GpuclustError(_loading_failed(error, 0)) from error


def _loaded(
    dataset: Dataset, transform: Any, issued: _Issued, *, workers: int, pin_memory: bool
) -> Generator[Batch]:
    loader: DataLoader[Batch] = DataLoader(
        cast("Any", _Decoded(dataset, transform)),  # _collate turns samples into a Batch
        batch_sampler=cast("Any", issued),
        num_workers=workers,
        collate_fn=functools.partial(_collate, on_device=isinstance(transform, DeviceGeometry)),
        pin_memory=pin_memory,
        worker_init_fn=_start_loader,
    )
    iterator: Any = None
    try:
        iterator = iter(loader)
        for batch in iterator:
            issued.waiting.popleft()
            yield _finished(batch, transform)
    finally:
        # Dropping the last reference ends the workers too, but a stored traceback keeps one.
        if workers and iterator is not None:
            iterator._shutdown_workers()


def _lacks_shared_memory(error: BaseException) -> bool:
    """Return whether shared memory ran out, in a worker or when workers were started."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.ENOSYS)
    return full or "shared memory" in str(error) or "Bus error" in str(error)


def _loading_failed(error: BaseException, workers: int) -> str:
    # An error of a worker ends with its message, after a traceback.
    lines = str(error).strip().splitlines() or [type(error).__name__]
    said = lines[-1].strip() if "Original Traceback" in str(error) else " ".join(lines)
    message = f"the images could not be loaded with {workers} worker(s): {said.rstrip('.')}."
    if _lacks_shared_memory(error):
        return f"{message} Give the container more with --shm-size=8g, or use --loaders 0."
    if "exited unexpectedly" in said or "killed by signal" in said:
        return f"{message} Usually the machine ran out of memory: use fewer --loaders."
    return f"{message} Try --loaders 0, or a smaller --batch-size."
