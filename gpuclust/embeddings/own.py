"""A user's own vectors as the data of a run, and facts about them under the root."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..cell import Place
from ..errors import StorageError
from ..store.store import Store, slug, write_json
from ..vectors.dataset import Source, source, source_of
from ..vectors.folder import files_of
from ..vectors.taken import Vectors
from ..vectors.values import fingerprint_of
from .data import Data, Samples
from .vector_files import read_vectors

# A file changed less than this ago may change again without a change of its time.
_SETTLED_NS = 2_000_000_000


# Name, size, time of the content and time of the last change of a file.
Stamp = tuple[str, int, int, int]


@dataclass(frozen=True)
class Facts:
    """Facts about a file of vectors, known without reading it again."""

    fingerprint: str
    n: int
    d: int
    n_classes: int | None
    report: str


def data_of(vectors: Vectors) -> Data:
    """Make the data of a run from checked vectors; hashes them once, in blocks.

    Examples
    --------
    >>> from gpuclust.embeddings.check import check_vectors
    >>> data_of(check_vectors([[0.0], [1.0]], ["cat", "ant"])).names().class_names
    ('ant', 'cat')
    """
    names = functools.partial(Samples, vectors.paths, vectors.class_names)
    fingerprint = fingerprint_of(vectors.X, vectors.y, vectors.labelled)
    return Data(vectors.X, vectors.y, fingerprint, vectors.labelled, names)


def own_vectors(
    path: str | Path,
    labels: str | Path | None = None,
    *,
    name: str | None = None,
    say: Callable[[str], None] | None = None,
) -> tuple[Place, Data]:
    """Read a user's own vectors and name them as a dataset; see `vector_files.read_vectors`.

    Parameters
    ----------
    path, labels : path
        Files of vectors and of labels.
    name : str, optional
        Name of the dataset in place of ``vectors:<absolute path>``.
    say : callable (str), optional
        Receives one line: what was taken and what was not used.

    Returns
    -------
    names, data : dict, Data
        The encoder is ``vectors``; the fingerprint hashes shape, dtype, values and labels.

    Examples
    --------
    >>> import numpy as np
    >>> np.savez(tmp_path / "clip.npz", X=np.eye(2, dtype="float32"))
    >>> names, data = own_vectors(tmp_path / "clip.npz", name="clip", say=print)
    /...clip.npz: vectors from X (2 x 2, float32), no labels
    >>> names["dataset"], data.X.shape
    ('clip', (2, 2))
    """
    given = source(path, labels)
    vectors = read_vectors(*given)
    if say is not None:
        say(vectors.report)
    return Place(dataset=name or given.name, split="all", encoder="vectors"), data_of(vectors)


def find(dataset: str, store: Store) -> tuple[Facts, Data | None]:
    """Return the facts of a dataset of vectors, and its data if it had to be read for them.

    Facts of unchanged files are read from a small file under the root: a status of a grid does not
    read the vectors.

    Raises
    ------
    InputError
        See `vector_files.read_vectors`.
    """
    given = source_of(dataset)
    stamp, path = _stamp(given), _path(dataset, store)
    facts = _remembered(path, stamp)
    if facts is not None:
        return facts, None
    data, facts = read(given)
    newest = max(max(changed, moved) for _, _, changed, moved in stamp)
    if time.time_ns() - newest > _SETTLED_NS and stamp == _stamp(given):
        with contextlib.suppress(StorageError):  # it is read again next time
            write_json(path, {"files": stamp, "facts": dataclasses.asdict(facts)})
    return facts, data


def read(given: Source) -> tuple[Data, Facts]:
    """Read the vectors of a dataset, with their facts."""
    vectors = read_vectors(*given)
    data = data_of(vectors)
    n, d = vectors.X.shape
    return data, Facts(data.fingerprint, n, d, data.n_classes, vectors.report)


def remembered(dataset: str, store: Store) -> Facts | None:
    """Return the facts of unchanged files, without reading them; None when they are unknown."""
    return _remembered(_path(dataset, store), _stamp(source_of(dataset)))


def _path(dataset: str, store: Store) -> Path:
    return store.root / "vectors" / f"{slug(dataset)}.json"


def _stamp(given: Source) -> list[Stamp]:
    """List name, size and times of all files; one of them differs when a file was changed."""
    files = files_of(given.path) if given.path.is_dir() else [given.path]
    found: list[Stamp] = []
    for file in [*files, *([given.labels] if given.labels else [])]:
        status = file.stat()
        found.append((str(file), status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return found


def _remembered(path: Path, stamp: list[Stamp]) -> Facts | None:
    try:
        content = json.loads(path.read_bytes())
        known = [tuple(one) for one in content["files"]]
        return Facts(**content["facts"]) if known == stamp else None
    except (OSError, ValueError, KeyError, TypeError):  # missing, or of another version
        return None
