"""Read and write the three files of an embedding: vectors, labels and metadata."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import DamagedFileError, StorageError

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..store.store import EmbeddingFiles
    from .decoding import Sample


@dataclass(frozen=True)
class EmbeddingMeta:
    """Metadata of an embedding, as stored in its .json file.

    Attributes
    ----------
    n, d : int
        Shape of the vectors.
    fingerprint : str
        Part of every result key: SHA-256 over weights, preprocessing, pooling, precision, data and
        the indices of skipped images.  The vectors are not hashed: their last digits differ between
        machines.
    n_classes : int or None
        Number of distinct labels; None if no image has one, and in older files also if any image
        has none.
    sha256, labels_sha256 : str
        Hashes of the other two files.
    skipped : list of dict
        ``{"index", "where", "reason"}`` of each skipped image.
    layers : str
        How the layers were run: ``"as built"``, ``"folded"`` or ``"compiled"``; ``"fused"`` in
        files of version 0.1.0.
    """

    dataset: str
    split: str
    encoder: str
    preprocess: str
    pool: str | None
    n: int
    d: int
    dtype: str
    n_classes: int | None
    class_names: list[str] | None
    weights_hash: str
    preprocessing: dict[str, Any]
    preprocessing_hash: str
    data_fingerprint: str
    fingerprint: str
    sha256: str
    labels_sha256: str
    images_per_second: float
    seconds: float
    device: str
    precision: str
    batch_size: int
    workers: int
    source: dict[str, Any]
    versions: dict[str, str]
    skipped: list[dict[str, Any]]
    created: str
    layers: str = "as built"  # the oldest files lack the field


class Embedding(NamedTuple):
    """Stored vectors `X` (n, d) float32, labels `y` (n,) int64 or None, and their metadata.

    `y` is None if any sample has no label; `samples.stored_labels` reads the others.  `X` is read from the disk on access, or is a CuPy array straight from the encoder.
    """

    X: Any
    y: np.ndarray | None
    meta: EmbeddingMeta


def npy_header(n: int, d: int) -> bytes:
    """Return the .npy header of a C-ordered float32 array (n, d); its length is fixed."""
    header = io.BytesIO()
    description = {"descr": "<f4", "fortran_order": False, "shape": (n, d)}
    np.lib.format.write_array_header_1_0(header, description)
    return header.getvalue()


def check_space(folder: Path, needed: int) -> None:
    """Raise `StorageError` if `needed` bytes do not fit on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"the embedding needs {needed / 2**20:,.0f} MiB and {folder} has "
            f"{free / 2**20:,.0f} MiB free. Free some disk space or choose another --root."
        )


def write_labels(path: Path, dataset: Dataset, samples: list[Sample]) -> int | None:
    """Write one row per vector; return the number of classes, None without any label."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = dataset.class_names or ()
    labels = [sample.label for sample in samples]
    named = [names[k] if k is not None and k < len(names) else None for k in labels]
    columns = {
        "index": pa.array([sample.index for sample in samples], pa.int64()),
        "label": pa.array(labels, pa.int64()),
        "class_name": pa.array(named, pa.string()),
        "where": pa.array([dataset.where(s.index) for s in samples], pa.string()),
    }
    pq.write_table(pa.table(columns), path)
    return len(set(labels) - {None}) or None


def load_meta(files: EmbeddingFiles) -> EmbeddingMeta | None:
    """Read the metadata of an embedding; None if it does not exist or was never finished.

    Reads one small file; the cost does not depend on n.

    Parameters
    ----------
    files : EmbeddingFiles
        Paths of the embedding; only `meta` is read.

    Raises
    ------
    DamagedFileError
        The file cannot be read, or lacks fields.

    Examples
    --------
    >>> from pathlib import Path
    >>> from gpuclust.store.store import EmbeddingFiles
    >>> files = EmbeddingFiles(Path("none.npy"), Path("none.parquet"), Path("none.json"))
    >>> load_meta(files) is None  # nothing is stored there
    True
    """
    try:
        content = json.loads(files.meta.read_bytes())
        names = [f.name for f in dataclasses.fields(EmbeddingMeta) if f.name != "layers"]
        known = {name: content[name] for name in names}
        return EmbeddingMeta(**known, layers=content.get("layers", EmbeddingMeta.layers))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(files.meta, f"{type(error).__name__}: {error}") from error


def load(files: EmbeddingFiles, meta: EmbeddingMeta | None = None) -> Embedding:
    """Open a stored embedding.  Vectors stay on the disk until they are accessed.

    Parameters
    ----------
    files : EmbeddingFiles
        Paths of the embedding.
    meta : EmbeddingMeta, optional
        Metadata from `load_meta`; read from `files` by default.

    Returns
    -------
    Embedding
        `X` (n, d) float32 memory map, `y` (n,) int64 or None, `meta`.  O(n) time and memory, for
        the labels.

    Raises
    ------
    DamagedFileError
        A file is missing, or vectors, labels and metadata do not fit together.  The content is not
        hashed; see `verify`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from gpuclust import datasets, encoders
    >>> from gpuclust.embeddings.embed import embed
    >>> from gpuclust.store.store import EmbeddingFiles
    >>> with tempfile.TemporaryDirectory() as root:
    ...     files = EmbeddingFiles(*(Path(root, name) for name in ("X.npy", "y.parquet", "m.json")))
    ...     _ = embed(datasets.load("digits"), encoders.load("raw", image_size=8), files)
    ...     X, y, meta = load(files)
    >>> X.shape, y.shape, meta.encoder
    ((1797, 192), (1797,), 'raw')
    """
    meta = meta or load_meta(files)
    if meta is None:
        raise _damaged(files.meta, "it does not exist")
    X = _vectors(files.array)
    if X.shape != (meta.n, meta.d) or X.dtype != np.float32:
        raise _damaged(files.array, f"{X.dtype} {X.shape}, not float32 {(meta.n, meta.d)}")
    expected = len(npy_header(meta.n, meta.d)) + X.nbytes
    if files.array.stat().st_size != expected:
        raise _damaged(files.array, f"its size is not the expected {expected} bytes")
    return Embedding(X, _labels(files.labels, meta), meta)


def verify(files: EmbeddingFiles) -> None:
    """Hash the stored vectors and labels and compare with the metadata.

    Reads both files once, in constant memory.

    Raises
    ------
    DamagedFileError
        As for `load`, or the content of a file has changed.

    Examples
    --------
    >>> from pathlib import Path
    >>> from gpuclust.store.store import EmbeddingFiles
    >>> verify(EmbeddingFiles(Path("none.npy"), Path("none.parquet"), Path("none.json")))
    Traceback (most recent call last):
        ...
    gpuclust.errors.DamagedFileError: the embedding file none.json is damaged: ...
    """
    meta = load(files).meta
    for path, expected in ((files.array, meta.sha256), (files.labels, meta.labels_sha256)):
        if sha256(path) != expected:
            raise _damaged(path, "its content has changed since it was written")


def _vectors(path: Path) -> np.memmap:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, str(error)) from error


def _labels(path: Path, meta: EmbeddingMeta) -> np.ndarray | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        column = pq.read_table(path, columns=["label"])["label"]
    except (OSError, KeyError, pa.ArrowException) as error:
        raise _damaged(path, str(error)) from error
    if len(column) != meta.n:
        raise _damaged(path, f"{len(column)} labels for {meta.n} vectors")
    if meta.n_classes is None:
        return None
    if column.null_count == len(column):
        raise _damaged(path, "its labels do not match the metadata")
    return None if column.null_count else column.to_numpy().astype(np.int64)


def _damaged(path: Path, what: str) -> DamagedFileError:
    return DamagedFileError(
        f"the embedding file {path} is damaged: {what}. "
        f"`gpuclust embed ... --force` computes it again."
    )


def plain(value: Any) -> Any:
    """Convert a value to JSON types: tuples become lists, unknown types become text."""
    return json.loads(json.dumps(value, default=str))


def hash_json(value: Any) -> str:
    """Return the SHA-256 (hex) of a value serialized as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
