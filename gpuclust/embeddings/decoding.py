"""Decode the images of a dataset batch by batch, in order, in this process or in workers.

An image that cannot be decoded is reported and does not end the stream.
"""

from __future__ import annotations

import ctypes
import gc
import shutil
import signal
import sys
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from ..datasets.image import UNDECODABLE, reason
from ..device import threads
from ..errors import BadImagesError, GpuclustError

if TYPE_CHECKING:
    from ..datasets import Dataset

_SHARED = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Sample:
    """One image after decoding.

    Attributes
    ----------
    index : int
        Position in the dataset.
    image : Tensor or None
        (c, h, w) float32; None when it was not decoded or has been stacked into a batch.
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
    """Images decoded by one worker: `images` (b, c, h, w) in the order of `good`."""

    images: torch.Tensor | None
    good: list[Sample]
    bad: list[Sample]


class _Decoded(TorchDataset[Sample]):
    """Adapter from our dataset to torch's; never raises for a bad image."""

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
    pixels = [s.image for s in good if s.image is not None]
    images = None
    if pixels:
        images = torch.stack(pixels).contiguous(memory_format=torch.channels_last)
    return Batch(images, [replace(s, image=None) for s in good], bad)


def choose_workers(device: torch.device, dataset: Dataset, asked: int | None) -> int:
    """Choose the number of decoding processes; `asked` is the user's choice.

    - CPU, small images in memory: 0.  They decode at 1,150 images/s per core, faster than any
      encoder runs on a CPU.
    - Image files, or a GPU: one process per core, at most 8.  A photograph of 12 megapixels decodes
      at 5 images/s per core.
    - A dataset that can only be read in order: 0.

    Batches pass through shared memory, which containers limit: at most one process per 128 MiB.
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
    """Make a decoding process end with its parent, even if the parent is killed.

    Otherwise the processes can wait for each other forever and keep their memory: each holds one
    end of a pipe another one writes to.
    """
    gc.freeze()  # pages inherited from the parent stay shared
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
) -> Generator[Batch]:
    """Yield all images from `start` on, in order.  Without a transform they are only decoded.

    Worker processes end when the generator ends or is closed.

    Raises
    ------
    GpuclustError
        A worker died, or memory ran out while decoding.
    """
    loader: DataLoader[Batch] = DataLoader(
        cast("Any", _Decoded(dataset, transform, start)),  # _collate turns samples into a Batch
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=pin_memory,
        worker_init_fn=_start_loader,
    )
    iterator: Any = None
    try:
        iterator = iter(loader)
        for _ in range(len(loader)):
            yield next(iterator)
    except (RuntimeError, MemoryError, OSError) as error:
        raise GpuclustError(_loading_failed(error, workers)) from error
    finally:
        # Dropping the last reference ends the workers too, but a stored traceback keeps one.
        if workers and iterator is not None:
            iterator._shutdown_workers()


def _loading_failed(error: BaseException, workers: int) -> str:
    said = str(error).strip() or type(error).__name__
    message = f"the images could not be loaded with {workers} worker(s): {said}"
    if "Bus error" in said or "shared memory" in said:
        return f"{message} Give the container more with --shm-size=8g, or use --loaders 0."
    if "exited unexpectedly" in said or "killed by signal" in said:
        return f"{message} Usually the machine ran out of memory: use fewer --loaders."
    return f"{message} Try --loaders 0, or a smaller --batch-size."
