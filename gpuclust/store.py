"""Where results live: paths, atomic writes, rows.

Layout under ``root``::

    embeddings/<dataset>-<split>/<encoder>.npy + .labels.parquet + .json (written last)
    rows/<dataset>-<split>/<encoder>/<key>.json       one file per cell: exists = done
    labels/<key>.npy                                  predicted labels, when asked for
    running/<host>-<pid>.json                         what a grid is doing right now

Nothing is a database and nothing is a pickle.  Every file is written to a temporary name in its own
folder, flushed to the disk and renamed, so a reader never sees half a file and many processes may
share a root.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import DamagedFileError, StorageError

if TYPE_CHECKING:
    from .cell import Unit

TEMPORARY = ".tmp-"


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on failure it is removed.

    Raises
    ------
    StorageError
        When the disk is full or the folder cannot be written.  What was at `path` stays as it was.
    """
    path = Path(path)
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex[:12]}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except OSError as error:
        raise StorageError(_why_not_written(path, error)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Make the content of a file, or the names in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _why_not_written(path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    return (
        f"could not write {path}: {reason}. Nothing that was already there is lost; free some "
        f"space or choose another --root, and run the same command again."
    )


class EmbeddingFiles(NamedTuple):
    """The three files of one embedding; it is there when `meta` is, which is written last."""

    array: Path
    labels: Path
    meta: Path


@dataclass(frozen=True)
class Store:
    """A folder of results; see the module for its layout.

    Attributes
    ----------
    root : Path
        Made when the first result is written.
    """

    root: Path

    def embedding(self, unit: Unit) -> EmbeddingFiles:
        """Name the files of the embedding of a unit."""
        folder = self.root / "embeddings" / slug(f"{unit.dataset}-{unit.split}")
        name = _embedding_name(unit)
        return EmbeddingFiles(
            folder / f"{name}.npy", folder / f"{name}.labels.parquet", folder / f"{name}.json"
        )

    def sweep(self) -> None:
        """Remove the half-written files of killed processes; a live one's are never old."""
        for pattern in ("embeddings/*", "rows/*/*", "labels", "running"):
            for path in self.root.glob(f"{pattern}/{TEMPORARY}*"):
                with contextlib.suppress(OSError):
                    if time.time() - path.stat().st_mtime > 3600:
                        path.unlink()

    def row_path(self, unit: Unit, key: str) -> Path:
        """Name the file of a row."""
        place = slug(f"{unit.dataset}-{unit.split}")
        return self.root / "rows" / place / _embedding_name(unit) / f"{key}.json"

    def labels_path(self, key: str) -> Path:
        """Name the file of the predicted labels of a cell."""
        return self.root / "labels" / f"{key}.npy"

    def read_row(self, path: Path) -> dict[str, Any] | None:
        """Read a row; None when there is none.

        Raises
        ------
        DamagedFileError
            When the file is not a row.
        """
        try:
            row = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:  # not JSON, or not text
            raise DamagedFileError(
                f"the row {path} is damaged ({error}). Run its grid again: it is computed anew."
            ) from error
        if not isinstance(row, dict) or row.get("status") not in ("ok", "failed"):
            raise DamagedFileError(
                f"{path} is not a row of gpuclust. Run its grid again: it is computed anew."
            )
        return row

    def save_row(self, unit: Unit, row: dict[str, Any], labels: Any | None = None) -> Path:
        """Write a row, after its labels when they are given; return the path of the row."""
        if labels is not None:
            import numpy as np

            from .ops import to_host

            with atomic(self.labels_path(row["key"])) as temporary, temporary.open("wb") as file:
                np.save(file, to_host(labels), allow_pickle=False)
        path = self.row_path(unit, row["key"])
        write_json(path, row)
        return path

    def rows(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Read all rows; also return what is wrong with those files that cannot be read."""
        rows, problems = [], []
        for path in sorted((self.root / "rows").rglob("*.json")):
            if path.name.startswith(TEMPORARY):
                continue
            try:
                row = self.read_row(path)
            except DamagedFileError as error:
                problems.append(str(error))
                continue
            if row is not None:
                rows.append(row)
        return rows, problems

    @contextlib.contextmanager
    def running(self) -> Iterator[Callable[[dict[str, Any]], None]]:
        """Yield a function that tells other processes what this one is doing right now."""
        path = self.root / "running" / f"{slug(platform.node())}-{os.getpid()}.json"

        def tell(what: dict[str, Any]) -> None:
            write_json(path, {"host": platform.node(), "pid": os.getpid(), **what})

        try:
            yield tell
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def running_now(self) -> list[dict[str, Any]]:
        """List what live processes are doing; what a killed process left behind does not count."""
        alive = []
        for path in sorted((self.root / "running").glob("*.json")):
            if path.name.startswith(TEMPORARY):
                continue
            with contextlib.suppress(OSError, ValueError):
                told = json.loads(path.read_bytes())
                # Another host's process cannot be asked: it is believed for an hour a message.
                here = told["host"] == platform.node()
                fresh = time.time() - path.stat().st_mtime < 3600
                if _lives(told["pid"]) if here else fresh:
                    alive.append(told)
        return alive


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, but there
        return True
    return True


def _embedding_name(unit: Unit) -> str:
    name = slug(unit.encoder)
    return name if unit.preprocess == "own" else f"{name}@{unit.preprocess}"


def slug(name: str) -> str:
    """Turn a name into one that every file system takes, different for different names."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")
    if safe == name and len(safe) <= 100:
        return safe
    return f"{safe[-80:]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON atomically; NaN has no place in it and is refused."""
    text = json.dumps(content, indent=1, allow_nan=False)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
