"""Results on disk: paths, atomic writes, rows.

Layout under ``root``::

    embeddings/<dataset>-<split>/<encoder>.npy + .labels.parquet + .json (written last)
    rows/<dataset>-<split>/<encoder>/<key>.json       one file per cell: exists = done
    labels/<key>.csv                                  predicted labels, when asked for
    running/<dataset>-<split>-<encoder>.json + .lock  the process that computes a unit, see `claims`

There is no database and no pickle.  Every file is written to a temporary name in its own folder,
flushed to the disk and renamed, so a reader never sees half a file and many processes may share a
root.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import DamagedFileError, InputError, PlaceError, StorageError
from ..files.paths import brief, expand, folder_above
from . import claims, row_files
from .temporary import hold, remove_abandoned

if TYPE_CHECKING:
    from ..cell import Unit
    from .labels import Assignments

TEMPORARY = ".tmp-"
DONE = ("ok", "failed")
CLUSTERED = ("clustered",)


@contextlib.contextmanager
def atomic(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on failure it is removed.

    Without `flush` the file survives the end of its process, but not that of the machine.

    Raises
    ------
    StorageError
        When the disk is full or the folder cannot be written.  A file at `path` stays as it was.
    """
    path = Path(path)
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex[:12]}-{path.name[-50:]}")
    try:
        with _written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with hold(temporary):
                yield temporary
                if flush:
                    _flush(temporary)
                temporary.replace(path)
            if flush:
                _flush(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Flush the content of a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Errors of a place that no waiting makes writable; the others are those of a full or failing disk.
_NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


def _not_written(path: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    if error.errno in _NO_PLACE:
        return PlaceError(f"could not write {path}: {reason}. Choose another --root.")
    return StorageError(
        f"could not write {path}: {reason}. Earlier results are kept. Free some disk space or "
        f"choose another --root, and run the same command again."
    )


class EmbeddingFiles(NamedTuple):
    """Paths of the three files of one embedding; `meta` is written last, so it marks the end."""

    array: Path
    labels: Path
    meta: Path


@dataclass(frozen=True)
class Store:
    """A folder of results; the module docstring shows its layout.

    Attributes
    ----------
    root : Path
        Created when the first result is written; ``~`` is expanded.

    Raises
    ------
    InputError
        When no folder can have this path, or a file is in its place.
    """

    root: Path

    def __post_init__(self) -> None:
        root = expand(self.root)
        object.__setattr__(self, "root", root)
        if root.is_dir():
            return
        found = root if os.path.lexists(root) else folder_above(root)
        if found.is_symlink() and not found.exists():
            raise InputError(f"{brief(found)} is a link to nothing. Choose another --root.")
        if not found.is_dir():
            raise InputError(f"{brief(found)} is not a folder. Choose another --root.")

    def embedding(self, unit: Unit) -> EmbeddingFiles:
        """Return the paths of the embedding of a unit."""
        folder = self.root / "embeddings" / slug(f"{unit.dataset}-{unit.split}")
        name = _embedding_name(unit)
        return EmbeddingFiles(
            folder / f"{name}.npy", folder / f"{name}.labels.parquet", folder / f"{name}.json"
        )

    def sweep(self) -> None:
        """Remove temporary files of killed processes; live processes lock theirs."""
        folders = ("embeddings/*", "embeddings/*/*.parts/*", "rows/*/*", "labels", "running")
        patterns = [*(f"{folder}/{TEMPORARY}*" for folder in folders), "running/*.stop"]
        found = itertools.chain.from_iterable(map(self.root.glob, patterns))
        remove_abandoned(found, self.root)

    def row_path(self, unit: Unit, key: str) -> Path:
        """Return the path of a row."""
        place = slug(f"{unit.dataset}-{unit.split}")
        return self.root / "rows" / place / _embedding_name(unit) / f"{key}.json"

    def row_paths(self, unit: Unit, keys: Iterable[str]) -> list[str]:
        """Return the paths of many rows of one unit, as text, because `Path` is slow."""
        folder = os.fspath(self.row_path(unit, "").parent)
        return [f"{folder}{os.sep}{key}.json" for key in keys]

    def labels_path(self, key: str) -> Path:
        """Return the path of the predicted labels of a cell."""
        return self.root / "labels" / f"{key}.csv"

    def read_row(self, path: Path | str, statuses: Sequence[str] = DONE) -> dict[str, Any] | None:
        """Read a row; None when there is none yet, or one whose status is not among `statuses`.

        A file with the status ``clustered`` waits for its scores, see `gpuclust.grid.kept`.

        Raises
        ------
        DamagedFileError
            When the file is not a row.
        """
        return row_files.read(path, statuses)

    def save_row(
        self, unit: Unit, row: dict[str, Any], assignments: Assignments | None = None
    ) -> Path:
        """Write a row, its labels first when given, and return the path of the row."""
        if assignments is not None:
            from . import labels

            with atomic(self.labels_path(row["key"])) as temporary:
                labels.write(temporary, assignments)
        path = self.row_path(unit, row["key"])
        write_json(path, row)
        return path

    def each_row(self, problem: Callable[[str], None]) -> Iterator[dict[str, Any]]:
        """Read all rows one by one, in the order of their paths.

        `problem` is called with a message for every file that cannot be read.
        """
        for path in row_files.below(self.root / "rows", problem):
            try:
                row = self.read_row(path)
            except DamagedFileError as error:
                problem(str(error))
                continue
            if row is not None:
                yield row

    def rows(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Read all rows; return them and one message per unreadable file."""
        problems: list[str] = []
        return list(self.each_row(problems.append)), problems

    @contextlib.contextmanager
    def claim(self, unit: Unit) -> Iterator[claims.Say | None]:
        """Lock a unit against all other processes while the block runs; see `claims.claim`.

        Yields a function that publishes the current work, or None when another process has the
        unit.
        """
        place = slug(f"{unit.dataset}-{unit.split}")
        path = self.root / "running" / f"{slug(f'{place}-{_embedding_name(unit)}')}.json"
        with contextlib.ExitStack() as stack:
            with _written(path):
                say = stack.enter_context(claims.claim(path))

            if say is None:
                yield None
                return

            def checked(what: dict[str, Any]) -> None:
                with _written(path):
                    say(what)

            yield checked

    def running(self) -> list[dict[str, Any]]:
        """List the current work of all live processes."""
        found = map(claims.read, sorted((self.root / "running").glob("*.json")))
        return [one for one in found if one is not None]


@contextlib.contextmanager
def _written(path: Path) -> Iterator[None]:
    """Turn an `OSError` while writing a file into a `StorageError`."""
    try:
        yield
    except OSError as error:
        raise _not_written(path, error) from error


def _embedding_name(unit: Unit) -> str:
    name = slug(unit.encoder)
    return name if unit.preprocess == "own" else f"{name}@{unit.preprocess}"


def slug(name: str) -> str:
    """Turn a name into a valid file name on every file system; different names stay different."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")
    if safe == name and len(safe) <= 100:
        return safe
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{safe[-80:]}-{digest[:8]}"


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON atomically; NaN is refused, because JSON has none."""
    text = json.dumps(content, indent=1, allow_nan=False)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
