"""Embed a data set once, and read the result back: `embed`, `load_meta`, `load`, `verify`.

An embedding is three files: the vectors (.npy), one line per vector (.parquet: index, label,
class_name, where), and a side-car (.json) that is written last.  No side-car, no embedding: a run
that was cut off at any point is simply not there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..device import dlpack
from ..errors import BadImagesError, GpuclustError, InputError
from ..store.store import EmbeddingFiles, atomic
from . import provenance
from .files import (
    Embedding,
    EmbeddingMeta,
    check_space,
    load,
    load_meta,
    npy_header,
    sha256,
    verify,
    write_labels,
)
from .vector_files import read_vectors

if TYPE_CHECKING:
    from ..datasets import Dataset
    from .inference import Batch, Forward, Sample

__all__ = [
    "Embedded",
    "Embedding",
    "EmbeddingMeta",
    "embed",
    "load",
    "load_meta",
    "read_vectors",
    "verify",
]

Progress = Callable[[int, int], None]


class Embedded(NamedTuple):
    """What `embed` made: the side-car, and `X` (n, d) float32 on the GPU if it was kept there."""

    meta: EmbeddingMeta
    X: Any | None


@dataclass
class _Run:
    """What a run has seen so far: the images that were embedded and those that cannot be."""

    dataset: Dataset
    progress: Progress | None
    kept: dlpack.Rows | None
    good: list[Sample] = dataclasses.field(default_factory=list)
    bad: list[Sample] = dataclasses.field(default_factory=list)
    decoded: int = 0
    d: int = 0
    seconds: float = 0.0

    def note(self, batch: Batch) -> None:
        """Count a batch, before its vectors are computed."""
        self.bad += batch.bad
        self.decoded += len(batch.good) + len(batch.bad)

    def tell(self) -> None:
        """Report how far it is."""
        if self.progress is not None:
            self.progress(self.decoded, len(self.dataset))


def embed(
    dataset: Dataset,
    encoder: Any,
    files: EmbeddingFiles,
    *,
    device: Any = "cpu",
    batch_size: int = 64,
    workers: int | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
    dtype: str | None = None,
    keep: bool = False,
) -> Embedded:
    """Encode every image and write the embedding; what was there before is replaced.

    Vectors go to the disk batch by batch, so memory does not grow with n.  From a GPU that is one
    copy of n d 4 bytes, also when they are kept there: the file is what outlives the run.  The
    module is moved to `device` and stays there.

    Parameters
    ----------
    dataset : Dataset
        The images.
    encoder : Encoder
        See `gpuclust.encoders`.
    files : EmbeddingFiles
        Paths `array`, `labels` and `meta`.
    device : str or torch.device
        Where the module runs.
    batch_size : int
        Halves itself when memory runs out; says so through ``logging.getLogger("gpuclust")``.
    workers : int, optional
        Processes that decode; for the default see `inference.choose_workers`.
    skip_bad : bool
        Leave out images that cannot be decoded instead of refusing.
    progress : callable, optional
        Called with (images done, images in all) after each batch.
    dtype : {"float32", "bfloat16", "float16"}, optional
        What the layers compute in.  The default is float32 on the CPU, and on a GPU bfloat16 where
        it has that, else float16.  The vectors that are written are float32.
    keep : bool
        Also return the vectors as a CuPy array, when they were made on a GPU that has room for them
        (see `handover.Rows`).  Needs CuPy.

    Returns
    -------
    Embedded
        `meta`, what the side-car says, and `X`, None unless it was kept.

    Raises
    ------
    BadImagesError
        Images that cannot be decoded, all of them in `paths`, without `skip_bad`.
    InputError
        No images, or an option that cannot be.
    StorageError
        The disk is full or will be.
    GpuclustError
        Not enough memory for one image, a dead worker, or vectors with NaN or inf.
    """
    from . import inference

    _check_options(dataset, batch_size, workers)
    forward = inference.Forward(encoder.module, device=device, batch_size=batch_size, dtype=dtype)
    workers = inference.choose_workers(forward.device, dataset, workers)
    run = _Run(dataset, progress, dlpack.Rows(len(dataset)) if keep else None)
    with atomic(files.array) as path:
        _write_vectors(path, run, encoder, forward, workers=workers, skip_bad=skip_bad)
        digest = sha256(path)
        files.meta.unlink(missing_ok=True)  # the old side-car must not vouch for the new vectors
    with atomic(files.labels) as path:
        n_classes = write_labels(path, dataset, run.good)
        labels_digest = sha256(path)
    meta = EmbeddingMeta(
        **provenance.identity(dataset, encoder, run.bad, precision=forward.precision),
        **provenance.circumstances(forward, run.decoded, run.seconds, workers=workers),
        n=len(run.good),
        d=run.d,
        dtype="float32",
        n_classes=n_classes,
        class_names=None if dataset.class_names is None else list(dataset.class_names),
        sha256=digest,
        labels_sha256=labels_digest,
    )
    with atomic(files.meta) as path:
        path.write_text(json.dumps(dataclasses.asdict(meta), indent=1), encoding="utf-8")
    return Embedded(meta, run.kept.array() if run.kept else None)


def _check_options(dataset: Dataset, batch_size: int, workers: int | None) -> None:
    if not len(dataset):
        raise InputError(f"{dataset.name}, split {dataset.split!r}, has no images.")
    if batch_size < 1:
        raise InputError(f"batch size {batch_size}: it must be at least 1.")
    if workers is not None and workers < 0:
        raise InputError(f"workers {workers}: it must be 0 (decode in this process) or more.")


def _write_vectors(
    path: Path, run: _Run, encoder: Any, forward: Forward, *, workers: int, skip_bad: bool
) -> None:
    """Write the vectors of all good images to `path` as an .npy file.

    They are appended with `write` and not through a memory map: on a full disk a map does not
    raise, it kills the process (SIGBUS).  The header gets the true n at the end; numpy pads it so
    that its length does not depend on n.
    """
    began = time.perf_counter()
    stream = _vectors(run, encoder, forward, workers=workers, skip_bad=skip_bad)
    with path.open("wb") as file, contextlib.closing(stream):
        for rows in stream:
            if not run.d:
                run.d = rows.shape[1]
                check_space(path.parent, len(run.dataset) * run.d * 4)
                file.write(npy_header(len(run.dataset), run.d))
            file.write(rows.data)
            run.tell()
        if not run.good:
            raise _bad_images(run, f"none of the {len(run.dataset)} images can be decoded")
        file.seek(0)
        file.write(npy_header(len(run.good), run.d))
    run.seconds = time.perf_counter() - began


def _vectors(
    run: _Run, encoder: Any, forward: Forward, *, workers: int, skip_bad: bool
) -> Iterator[np.ndarray]:
    """Yield (b, d) float32 C-ordered vectors of the good images, in order."""
    from . import inference

    stream = inference.batches(
        run.dataset,
        encoder.transform,
        batch_size=forward.limit,
        workers=workers,
        pin_memory=forward.device.type == "cuda",
    )
    with contextlib.closing(stream):
        for batch in stream:
            run.note(batch)
            if run.bad and not skip_bad:
                break
            if batch.good:
                features = forward(batch.images)
                rows = np.ascontiguousarray(features.cpu().numpy())
                _check_vectors(rows, batch.good, run, forward.precision)
                run.good += batch.good
                if run.kept:
                    run.kept.add(features)
                yield rows
    if run.bad and not skip_bad:
        _find_all_bad(run, batch_size=forward.limit, workers=workers)


def _find_all_bad(run: _Run, *, batch_size: int, workers: int) -> None:
    """Decode what is left, without the model, and raise one error with every bad image."""
    from . import inference

    stream = inference.batches(
        run.dataset, None, batch_size=batch_size, workers=workers, start=run.decoded
    )
    with contextlib.closing(stream):
        for batch in stream:
            run.note(batch)
            run.tell()
    what = f"{len(run.bad)} of {len(run.dataset)} images cannot be decoded; nothing was written. "
    raise _bad_images(run, f"{what}Delete them, or use --skip-bad")


def _bad_images(run: _Run, what: str) -> BadImagesError:
    paths = [run.dataset.where(sample.index) for sample in run.bad]
    shown = [f"  {at}: {s.reason}" for at, s in zip(paths[:20], run.bad[:20], strict=True)]
    if len(paths) > 20:
        shown.append(f"  ... and {len(paths) - 20} more")
    return BadImagesError("\n".join([f"{what}:", *shown]), paths)


def _check_vectors(rows: np.ndarray, samples: list[Sample], run: _Run, precision: str) -> None:
    if run.d and rows.shape[1] != run.d:
        raise GpuclustError(f"the encoder returned {rows.shape[1]} features after {run.d} before.")
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        where = run.dataset.where(samples[int(np.argmin(finite))].index)
        hint = "Check the weights." if precision == "float32" else "Try dtype float32."
        raise GpuclustError(
            f"the encoder returned NaN or inf, first for {where}, computing in {precision}. {hint}"
        )
