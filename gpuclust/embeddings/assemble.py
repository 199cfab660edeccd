"""Put the parts of an embedding together: vectors, labels, then metadata."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..store.store import EmbeddingFiles, atomic
from . import provenance
from .decoding import Sample
from .files import EmbeddingMeta, npy_header, sha256
from .job import Job, bad_images
from .label_table import write_labels
from .parts import Part, Parts

if TYPE_CHECKING:
    from ..datasets import Dataset


def assemble(files: EmbeddingFiles, job: Job, parts: Parts) -> EmbeddingMeta:
    """Write the three files of an embedding from its parts, one part in memory at a time.

    Raises
    ------
    BadImagesError
        When no image could be decoded.
    DamagedPart
        When a part is damaged; see `Parts.forget`.
    StorageError
        When a file cannot be written.  The parts are kept.
    """
    dataset, bad = job.dataset, parts.bad()
    good = np.ones(len(dataset), bool)
    good[list(bad)] = False
    if not good.any():
        raise bad_images(dataset, bad, f"none of the {len(dataset)} images can be decoded")
    with atomic(files.array) as path:
        labels = _write_vectors(path, parts, good)
        digest = sha256(path)
        files.meta.unlink(missing_ok=True)  # the old metadata do not describe the new vectors
    samples = [Sample(i, None, _label(dataset, i, labels)) for i in np.flatnonzero(good).tolist()]
    with atomic(files.labels) as path:
        n_classes = write_labels(path, dataset, samples, parts.plan.images)
        labels_digest = sha256(path)
    skipped = [Sample(i, None, None, bad[i]) for i in sorted(bad)]
    meta = EmbeddingMeta(
        **provenance.identity(dataset, job.encoder, skipped, precision=job.forward.precision),
        **provenance.circumstances(job.forward, **_circumstances(parts), workers=job.workers),
        n=len(samples),
        d=parts.d,
        dtype="float32",
        n_classes=n_classes,
        class_names=None if dataset.class_names is None else list(dataset.class_names),
        sha256=digest,
        labels_sha256=labels_digest,
    )
    with atomic(files.meta) as path:
        path.write_text(json.dumps(dataclasses.asdict(meta), indent=1), encoding="utf-8")
    return meta


def _write_vectors(path: Path, parts: Parts, good: np.ndarray) -> dict[int, int | None]:
    """Write the rows of all parts at their place; return the labels found while decoding.

    With `write`: on a full disk a memory map would kill the process (SIGBUS) instead of raising.
    """
    header = npy_header(int(good.sum()), parts.d)
    row_of = np.cumsum(good) - 1
    labels: dict[int, int | None] = {}
    with path.open("wb") as file:
        file.write(header)
        for part in parts.found.values():
            indices = parts.plan.order[part.positions()]
            labels |= zip(indices.tolist(), part.labels, strict=True)
            # Two processes may have encoded an image, and only one could decode it.
            kept = good[indices]
            rows, at = part.rows()[kept], row_of[indices[kept]]
            for run in np.split(np.arange(len(at)), np.flatnonzero(np.diff(at) != 1) + 1):
                if len(run):
                    file.seek(len(header) + 4 * parts.d * int(at[run[0]]))
                    file.write(rows[run[0] : run[-1] + 1].data)
    return labels


def _label(dataset: Dataset, index: int, decoded: dict[int, int | None]) -> int | None:
    """Return the label of an image, from the dataset where it knows the labels of all images.

    A label from before may be out of date: a new folder of a class shifts the numbers.
    """
    if dataset.labels is not None:
        label = int(dataset.labels[index])
        return label if label >= 0 else None
    return decoded[int(index)]


def _circumstances(parts: Parts) -> dict[str, Any]:
    """Sum up speed and settings of the parts; of carried ones when nothing was encoded."""
    found = list(parts.found.values())
    fresh: list[Part] = [part for part in found if not part.used.get("carried")]
    images = sum(b - a for part in fresh for a, b in part.ranges)
    seconds = sum(part.seconds for part in fresh)
    used = [part.used for part in fresh or found]
    speed = images / max(seconds, 1e-9) if fresh else next(u.get("speed", 0.0) for u in used)
    return {
        "speed": speed,
        "seconds": seconds,
        "layers": used[0]["layers"],
        "batch_size": min(one["limit"] for one in used),
    }
