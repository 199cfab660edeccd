"""Make the plan of an embedding, or go on with an unfinished one."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from . import inference, reuse
from .files import hash_json, plain
from .job import Job, refuse_bad
from .parts import Parts, Plan, home, read_plan, remove, write_plan

if TYPE_CHECKING:
    from ..store.store import EmbeddingFiles

# Images decoded at a time on a CPU; at least one forward pass.
_DECODED = 16
# Height and width of the images of an encoder that does not say its own.
_CROP = [224, 224]


def input_values(encoder: Any) -> int:
    """Return the number of values of one preprocessed image, to size batches with.

    Examples
    --------
    >>> from gpuclust import encoders
    >>> input_values(encoders.load("raw", image_size=8))
    192
    """
    return 3 * math.prod(encoder.preprocessing.get("crop", _CROP))


def _chunk(device: torch.device, encoder: Any, batch_size: int) -> int:
    """Return the number of images of a forward pass."""
    size = inference.chunk_size(device, input_values(encoder))
    return batch_size if size is None else min(size, batch_size)


def decoded_at_once(device: torch.device, encoder: Any, batch_size: int) -> int:
    """Return the number of images of a batch from a loader: whole forward passes.

    On a CPU these are few, so that little is lost with a process, and little shared memory needed.
    """
    chunk = _chunk(device, encoder, batch_size)
    return chunk * max(1, min(batch_size, _DECODED) // chunk)


def identity(job: Job, images: np.ndarray) -> dict[str, Any]:
    """List the facts behind the vectors, except settings for their last digits."""
    forward, encoder = job.forward, job.encoder
    return {
        "weights_hash": encoder.weights_hash,
        "preprocessing_hash": hash_json(plain(encoder.preprocessing)),
        "pool": encoder.pool,
        "precision": forward.precision,
        "device": forward.device.type,
        "compiled": forward.layers == inference.COMPILED,
        "images": hashlib.sha256(images.tobytes()).hexdigest(),
    }


def prepare(files: EmbeddingFiles, job: Job, *, batch_size: int, reuse_rows: bool) -> Plan:
    """Return the unfinished plan of these images and this encoder, or write a new one.

    The caller has claimed the unit.  Other plans of the embedding are removed after their vectors
    are taken over.

    Raises
    ------
    BadImagesError
        Without `skip_bad`: images with a bad header, all of them in `paths`.  Nothing is encoded.
    StorageError
        When the plan cannot be written.
    """
    images = job.known.images
    who = identity(job, images)
    folder = home(files) / hash_json(who)[:16]
    plan = read_plan(folder)
    if plan is not None and (reuse_rows or plan.fresh == len(plan.order)):
        _say_resumed(plan, job)
    else:
        rows = reuse.find(files, who) if reuse_rows else []
        facts = {
            "identity": who,
            "chunk": _chunk(job.forward.device, job.encoder, batch_size),
            "step": decoded_at_once(job.forward.device, job.encoder, batch_size),
        }
        plan = _new_plan(folder, job, images, facts, rows)
    if plan.bad and not job.skip_bad:
        raise refuse_bad(job.dataset, plan.bad)
    for other in sorted(home(files).iterdir()):
        if other != folder and other.is_dir():  # a file manager may put a file here
            remove(other)
    return plan


def find_plan(files: EmbeddingFiles, job: Job) -> Plan | None:
    """Return the unfinished plan of these images and this encoder, made by another process."""
    who = identity(job, job.known.images)
    plan = read_plan(home(files) / hash_json(who)[:16])
    # Another kind of CPU rounds differently.
    return plan if plan is None or plan.facts["cpu"] == _cpu() else None


def _new_plan(
    folder: Path, job: Job, images: np.ndarray, facts: dict[str, Any], rows: list[reuse.Rows]
) -> Plan:
    carried = reuse.match(rows, images)
    taken = carried.indices()
    new = np.setdiff1d(np.arange(len(images)), taken)
    bad = job.known.bad(new)
    if bad and not job.skip_bad:
        raise refuse_bad(job.dataset, bad)
    new = np.setdiff1d(new, np.fromiter(bad, np.int64, len(bad)))
    facts |= {"bad": sorted(bad.items()), "threads": torch.get_num_threads(), "cpu": _cpu()}
    remove(folder)  # a damaged plan
    plan = Plan(folder, facts, images, np.concatenate([new, taken]), len(new))
    carried.write(plan)
    write_plan(plan)
    if len(taken):
        _say_carried(plan, job, len(new))
    return plan


def _cpu() -> str:
    return torch.backends.cpu.get_cpu_capability()


def _say_carried(plan: Plan, job: Job, new: int) -> None:
    total = len(job.dataset)
    verb = "is new and is" if new == 1 else "are new and are"
    job.note(
        f"{new:,} of {total:,} images {verb} embedded; {len(plan.order) - new:,} are taken from "
        f"before"
    )


def _say_resumed(plan: Plan, job: Job) -> None:
    parts = Parts(plan)
    parts.scan()
    if parts.done.any():
        done, total = int(parts.done.sum()), len(job.dataset)
        job.note(f"{done:,} of {total:,} images were embedded before")
