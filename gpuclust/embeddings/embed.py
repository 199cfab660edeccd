"""Compute the embedding of a dataset once and store it; read it back with `load`.

An embedding has three files: the vectors (.npy), one row per vector (.parquet: index, label,
class_name, where, image), and the metadata (.json), written last.  Without the metadata file there
is no embedding.  Until then the vectors are kept in parts (see `parts`): an interrupted run goes on
where it ended.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..store.store import EmbeddingFiles
from . import parts
from .files import Embedding, EmbeddingMeta, load, load_meta, verify
from .parts import DamagedPart
from .vector_files import read_vectors

if TYPE_CHECKING:
    from ..datasets import Dataset
    from .encode import Share
    from .headers import Known
    from .job import Job, Note, Progress

__all__ = [
    "Embedding",
    "EmbeddingMeta",
    "embed",
    "help_embed",
    "load",
    "load_meta",
    "read_vectors",
    "verify",
]

LOG = logging.getLogger("gpuclust")
BATCH_SIZE = 64


def embed(
    dataset: Dataset,
    encoder: Any,
    files: EmbeddingFiles,
    *,
    device: Any = "cpu",
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
    dtype: str | None = None,
    keep: bool = False,
    compile: bool = False,
    reuse: bool = False,
    note: Note = LOG.info,
) -> Embedding:
    """Encode all images of a dataset and store the vectors, replacing an earlier embedding.

    The headers of all image files are checked first.  Vectors are written in parts of about five
    seconds, so memory does not grow with n, and an interrupted call goes on where it ended, with
    the same vectors bit for bit.  On a GPU this is one device-to-host copy of 4 n d bytes, even if
    the vectors also stay on the device.  The module is moved to `device` and stays there.

    Only one process at a time may call this for the same files; others can help it with
    `help_embed`.

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
    reuse : bool
        Take over vectors of the replaced embedding, and of unfinished ones, for images that have
        not changed, if weights, preprocessing and precision are the same.
    note : callable, optional
        Receives messages on vectors from before; by default the logger ``gpuclust``.

    Returns
    -------
    Embedding
        `X` (n, d) float32, a CuPy array with `keep` on a GPU, else read from the file on access;
        `y` (n,) int64 or None; `meta`.

    Raises
    ------
    BadImagesError
        Without `skip_bad`: images that cannot be decoded, all of them in `paths`.  What was encoded
        before such an image was found is kept.
    InputError
        The dataset has no images, or an option is invalid.
    StorageError
        The disk is full, or has less free space than twice the vectors need: once in parts, once
        in the finished file.
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
    from . import encode, planning

    how = {"device": device, "dtype": dtype, "compile": compile}
    job = make_job(dataset, encoder, batch_size=batch_size, workers=workers, **how)
    job = job._replace(skip_bad=skip_bad, progress=progress, note=note)
    with nothing_empty(files):
        plan = planning.prepare(files, job, batch_size=batch_size, reuse_rows=reuse)
        share = encode.Share(job, plan, keep=keep)
        meta = finish(files, share)
    stored = load(files, meta)
    kept = share.kept(meta.n)
    return stored if kept is None else stored._replace(X=kept)


@contextlib.contextmanager
def nothing_empty(files: EmbeddingFiles) -> Iterator[None]:
    """Remove a plan without a vector after an error in the block."""
    try:
        yield
    except BaseException:
        remove_empty(files)
        raise


def remove_empty(files: EmbeddingFiles) -> None:
    """Remove a plan without a vector: there is nothing to go on with."""
    if not any(parts.home(files).glob("*/*.part")):
        parts.remove(parts.home(files))


def finish(files: EmbeddingFiles, share: Share) -> EmbeddingMeta:
    """Encode the missing images, write the files and remove the parts.

    Damaged parts are encoded again.
    """
    from . import convoy
    from .assemble import assemble

    while True:
        convoy.complete(share)
        try:
            meta = assemble(files, share.job, share.parts)
        except DamagedPart as error:
            share.job.note(f"{error} Its images are embedded again.")
            share.parts.forget(error.part)
        else:
            break
    parts.remove(share.plan.folder)
    parts.remove(parts.home(files))
    return meta


def help_embed(
    dataset: Dataset,
    encoder: Any,
    files: EmbeddingFiles,
    *,
    device: Any = "cpu",
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
    dtype: str | None = None,
    compile: bool = False,
    note: Note = LOG.info,
) -> int:
    """Encode a share of the images of another process's `embed`.

    Parameters
    ----------
    dataset, encoder, files, device, batch_size, workers, skip_bad, progress, dtype, compile, note
        See `embed`.

    Returns
    -------
    int
        Number of images this process encoded: 0 when there is nothing to help with.

    Raises
    ------
    GpuclustError
        As for `embed`.  The share is encoded by another process then.

    Examples
    --------
    >>> from gpuclust import datasets, encoders
    >>> from gpuclust.store.store import EmbeddingFiles
    >>> names = ("X.npy", "y.parquet", "m.json")
    >>> files = EmbeddingFiles(*(tmp_path / name for name in names))
    >>> raw = encoders.load("raw", image_size=8)
    >>> help_embed(datasets.load("digits"), raw, files)  # no process embeds these files
    0
    """
    from . import convoy, encode, planning

    if dataset.sequential or not parts.home(files).is_dir():
        return 0
    how = {"device": device, "dtype": dtype, "compile": compile}
    job = make_job(dataset, encoder, batch_size=batch_size, workers=workers, **how)
    job = job._replace(skip_bad=skip_bad, progress=progress, note=note)
    plan = planning.find_plan(files, job)
    if plan is None:
        return 0
    share = encode.Share(job, plan, examines=False)
    convoy.work(share)
    return share.encoded


def make_job(
    dataset: Dataset,
    encoder: Any,
    *,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    known: Known | None = None,
    device: Any = "cpu",
    dtype: str | None = None,
    compile: bool = False,
) -> Job:
    """Move an encoder to its device, and choose the number of decoding processes.

    A transform that can be split ends at pixels of 8 bits; they are normalized on the device.
    """
    from ..encoders import geometry
    from . import decoding, device_batches, headers, inference, planning
    from .job import Job

    _check_options(dataset, batch_size, workers)
    split = geometry.split(encoder.transform)
    transform, normalize = (encoder.transform, None) if split is None else split[:2]
    forward = inference.Forward(
        encoder.module,
        device=device,
        batch_size=batch_size,
        dtype=dtype,
        compile=compile,
        normalize=normalize,
    )
    transform = device_batches.on(transform, forward.device)
    step = planning.decoded_at_once(forward.device, encoder, batch_size)
    size = (4 if split is None else 1) * step * planning.input_values(encoder)
    workers = decoding.choose_workers(forward.device, dataset, workers, batch_bytes=size)
    known = headers.Known(dataset) if known is None else known
    return Job(dataset, encoder, forward, workers, transform, known)


def _check_options(dataset: Dataset, batch_size: int, workers: int | None) -> None:
    if not len(dataset):
        raise InputError(f"{dataset.name}, split {dataset.split!r}, has no images.")
    if batch_size < 1:
        raise InputError(f"batch size {batch_size}: it must be at least 1.")
    if workers is not None and workers < 0:
        raise InputError(f"workers {workers}: it must be 0 (decode in this process) or more.")
