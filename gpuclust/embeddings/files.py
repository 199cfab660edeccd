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

from ..errors import StorageError
from .label_table import damaged, read_labels

if TYPE_CHECKING:
    from ..store.store import EmbeddingFiles


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

    `y` is None if any sample has no label; `samples.stored_labels` reads the others.  `X` is read
    from the disk on access, or is a CuPy array straight from the encoder.
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
        raise damaged(files.meta, f"{type(error).__name__}: {error}") from error


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
        raise damaged(files.meta, "it does not exist")
    X = _vectors(files.array)
    if X.shape != (meta.n, meta.d) or X.dtype != np.float32:
        raise damaged(files.array, f"{X.dtype} {X.shape}, not float32 {(meta.n, meta.d)}")
    expected = len(npy_header(meta.n, meta.d)) + X.nbytes
    if files.array.stat().st_size != expected:
        raise damaged(files.array, f"its size is not the expected {expected} bytes")
    return Embedding(X, read_labels(files.labels, meta.n, meta.n_classes), meta)


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
            raise damaged(path, "its content has changed since it was written")


def _vectors(path: Path) -> np.memmap:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise damaged(path, str(error)) from error


def check_files(files: EmbeddingFiles, meta: EmbeddingMeta) -> None:
    """Compare existence and size of the vectors and labels with the metadata; opens no file.

    Raises
    ------
    DamagedFileError
        When a file is gone or cut off.  Changed content is found by `verify`.
    """
    try:
        found, labels = files.array.stat().st_size, files.labels.stat().st_size
    except OSError as error:
        raise damaged(Path(error.filename), error.strerror or str(error)) from error
    expected = len(npy_header(meta.n, meta.d)) + 4 * meta.n * meta.d
    if found != expected:
        raise damaged(files.array, f"it has {found} bytes, not {expected}")
    if not labels:
        raise damaged(files.labels, "it is empty")


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
