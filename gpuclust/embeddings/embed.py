"""Compute the embedding of a dataset once and store it; read it back with `load`.

An embedding has three files: the vectors (.npy), one row per vector (.parquet: index, label,
class_name, where), and the metadata (.json), written last.  Without the metadata file there is no
embedding, so an interrupted run leaves none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from .decoding import Batch, Sample
    from .inference import Forward

__all__ = [
    "Embedding",
    "EmbeddingMeta",
    "embed",
    "load",
    "load_meta",
    "read_vectors",
    "verify",
]

Progress = Callable[[int, int], None]


@dataclass
class _Run:
    """State of a run: decoded images, split into embedded ones and bad ones."""

    dataset: Dataset
    progress: Progress | None
    kept: dlpack.Rows | None
    good: list[Sample] = dataclasses.field(default_factory=list)
    bad: list[Sample] = dataclasses.field(default_factory=list)
    decoded: int = 0
    d: int = 0
    seconds: float = 0.0

    def count(self, batch: Batch) -> None:
        """Count a decoded batch."""
        self.bad += batch.bad
        self.decoded += len(batch.good) + len(batch.bad)

    def report(self) -> None:
        """Report progress to the caller."""
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
    compile: bool = False,
) -> Embedding:
    """Encode all images of a dataset and store the vectors, replacing an earlier embedding.

    Vectors are written batch by batch, so memory does not grow with n.  On a GPU this is one
    device-to-host copy of 4 n d bytes, even if the vectors also stay on the device.  The module is
    moved to `device` and stays there.

    Parameters
    ----------
    dataset : Dataset
        The images.
    encoder : Encoder
        See `gpuclust.encoders`.
    files : EmbeddingFiles
        Paths `array`, `labels` and `meta`.
    device : str or torch.device
        Device of the module.
    batch_size : int
        Number of images per batch; halved, with a warning of the logger ``gpuclust``, when memory
        runs out.
    workers : int, optional
        Number of decoding processes; for the default see `decoding.choose_workers`.
    skip_bad : bool
        Leave out images that cannot be decoded instead of raising.
    progress : callable, optional
        Called with (images done, total number of images) after each batch.
    dtype : {"float32", "bfloat16", "float16"}, optional
        Precision of the layers.  Default: float32 on a CPU; on a GPU bfloat16 if supported, else
        float16.  The stored vectors are float32.
    keep : bool
        Return the vectors as a CuPy array if they were computed on a GPU with enough free memory
        (see `dlpack.Rows`).  Needs CuPy.
    compile : bool
        Run the encoder through ``torch.compile``; see `inference.Forward`.

    Returns
    -------
    Embedding
        `X` (n, d) float32, a CuPy array with `keep` on a GPU, else read from the file on access;
        `y` (n,) int64 or None; `meta`.

    Raises
    ------
    BadImagesError
        Without `skip_bad`: images that cannot be decoded, all of them in `paths`.
    InputError
        The dataset has no images, or an option is invalid.
    StorageError
        The disk is full, or has less free space than the vectors need.
    GpuclustError
        Not enough memory for one image, a dead worker, vectors with NaN or inf, or no compiler for
        `compile`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from gpuclust import datasets, encoders
    >>> from gpuclust.store.store import EmbeddingFiles
    >>> dataset = datasets.load("digits")
    >>> encoder = encoders.load("raw", image_size=dataset.image_size)
    >>> with tempfile.TemporaryDirectory() as root:
    ...     files = EmbeddingFiles(*(Path(root, name) for name in ("X.npy", "y.parquet", "m.json")))
    ...     X, y, meta = embed(dataset, encoder, files)
    >>> meta.n, meta.d, meta.n_classes
    (1797, 192, 10)
    """
    from . import decoding, inference

    _check_options(dataset, batch_size, workers)
    forward = inference.Forward(
        encoder.module, device=device, batch_size=batch_size, dtype=dtype, compile=compile
    )
    workers = decoding.choose_workers(forward.device, dataset, workers)
    run = _Run(dataset, progress, dlpack.Rows(len(dataset)) if keep else None)
    with atomic(files.array) as path:
        _write_vectors(path, run, encoder, forward, workers=workers, skip_bad=skip_bad)
        digest = sha256(path)
        files.meta.unlink(missing_ok=True)  # the old metadata do not describe the new vectors
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
    stored = load(files, meta)
    kept = run.kept.array() if run.kept else None
    return stored if kept is None else stored._replace(X=kept)


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

    Vectors are appended with `write`: on a full disk a memory map would kill the process (SIGBUS)
    instead of raising.  The header gets the true n at the end; NumPy pads it to a length that does
    not depend on n.
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
            run.report()
        if not run.good:
            raise _bad_images(run, f"none of the {len(run.dataset)} images can be decoded")
        file.seek(0)
        file.write(npy_header(len(run.good), run.d))
    run.seconds = time.perf_counter() - began


def _vectors(
    run: _Run, encoder: Any, forward: Forward, *, workers: int, skip_bad: bool
) -> Generator[np.ndarray]:
    """Yield (b, d) float32 C-ordered vectors of the good images, in order."""
    from . import decoding

    stream = decoding.batches(
        run.dataset,
        encoder.transform,
        batch_size=forward.limit,
        workers=workers,
        pin_memory=forward.device.type == "cuda",
    )
    with contextlib.closing(stream):
        for batch in stream:
            run.count(batch)
            if run.bad and not skip_bad:
                break
            if batch.images is not None:
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
    """Decode the remaining images without the model and raise one error with all bad images."""
    from . import decoding

    stream = decoding.batches(
        run.dataset, None, batch_size=batch_size, workers=workers, start=run.decoded
    )
    with contextlib.closing(stream):
        for batch in stream:
            run.count(batch)
            run.report()
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
        raise GpuclustError(
            f"the encoder returned {run.d} features per image, then {rows.shape[1]}."
        )
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        where = run.dataset.where(samples[int(np.argmin(finite))].index)
        hint = "Check the weights." if precision == "float32" else "Try dtype float32."
        raise GpuclustError(
            f"the encoder returned NaN or inf, first for {where}, computing in {precision}. {hint}"
        )
