"""How an embedding came about, as its side-car tells: what was embedded, by what, where."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..device import machine
from .files import hash_json, plain

if TYPE_CHECKING:
    from ..datasets import Dataset
    from .inference import Forward, Sample


def identity(
    dataset: Dataset, encoder: Any, bad: Sequence[Sample], *, precision: str
) -> dict[str, Any]:
    """Say what was embedded by what, and hash it; `bad` are the images that were left out."""
    where = dataset.where
    skipped = [{"index": i, "where": where(i), "reason": why} for i, _, _, why in bad]
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


def circumstances(forward: Forward, images: int, seconds: float, *, workers: int) -> dict[str, Any]:
    """Say how fast, where and with which versions."""
    import torch

    device = str(forward.device)
    if forward.device.type == "cuda":
        device = f"{device} ({torch.cuda.get_device_name(forward.device)})"
    return {
        "images_per_second": round(images / max(seconds, 1e-9), 2),
        "seconds": round(seconds, 3),
        "device": device,
        "precision": forward.precision,
        "layers": forward.layers,
        "batch_size": forward.limit,
        "workers": workers,
        "versions": {"python": platform.python_version(), **machine.versions()},
        "created": machine.now(),
    }
