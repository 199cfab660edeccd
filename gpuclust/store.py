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
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import DamagedFileError, StorageError

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
