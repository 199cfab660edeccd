"""Describe an embedding for its metadata: images, encoder, machine and versions."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..device import machine
from .files import hash_json, plain

if TYPE_CHECKING:
    from ..datasets import Dataset
    from .decoding import Sample
    from .inference import Forward


def identity(
    dataset: Dataset, encoder: Any, bad: Sequence[Sample], *, precision: str
) -> dict[str, Any]:
    """Describe images and encoder, with the fingerprint; `bad` are the skipped images."""
    where = dataset.where
    skipped = [{"index": s.index, "where": where(s.index), "reason": s.reason} for s in bad]
    preprocessing = plain(encoder.preprocessing)
    preprocessing_hash = hash_json(preprocessing)
    parts = [encoder.weights_hash, preprocessing_hash, encoder.pool, dataset.fingerprint, precision]
    return {
        "dataset": dataset.name,
        "split": dataset.split,
        "encoder": encoder.name,
        "preprocess": encoder.preprocess,
        "pool": encoder.pool,
        "source": plain(encoder.source),
        "weights_hash": encoder.weights_hash,
        "preprocessing": preprocessing,
        "preprocessing_hash": preprocessing_hash,
        "data_fingerprint": dataset.fingerprint,
        "fingerprint": hash_json([*parts, [s["index"] for s in skipped]]),
        "skipped": skipped,
    }


def circumstances(
    forward: Forward,
    *,
    speed: float,
    seconds: float,
    layers: str,
    batch_size: int,
    workers: int,
) -> dict[str, Any]:
    """Describe speed, device and library versions; none of it is part of the fingerprint.

    `speed` is in images per second of one process, `seconds` the sum over all processes.
    """
    import torch

    device = str(forward.device)
    if forward.device.type == "cuda":
        device = f"{device} ({torch.cuda.get_device_name(forward.device)})"
    return {
        "images_per_second": round(speed, 2),
        "seconds": round(seconds, 3),
        "device": device,
        "precision": forward.precision,
        "layers": layers,
        "batch_size": batch_size,
        "workers": workers,
        "versions": {"python": platform.python_version(), **machine.versions()},
        "created": machine.now(),
    }
