"""Locks on units: each unit is computed by one process at a time.

A claim is a lock file (`filelock`) and, beside it, a small JSON file that says what its owner does.
The operating system releases the lock when its process ends, for any reason: files of a killed
process claim nothing, and no clocks of two hosts have to agree.  Linux carries such
locks over NFS.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

LOG = logging.getLogger(__name__)
# Errors of file systems without locks, such as Lustre mounted without them.
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
Say = Callable[[dict[str, Any]], None]


@contextlib.contextmanager
def claim(path: Path) -> Iterator[Say | None]:
    """Hold a claim while the block runs.

    Parameters
    ----------
    path : Path
        JSON file of the claim; the lock is the file beside it that ends in ``.lock``.  Both are
        removed at the end.

    Yields
    ------
    callable (dict) -> None, or None
        Writes what is being done; None when another process has the claim.

    Raises
    ------
    OSError
        When the files cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield None
        return
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        LOG.warning("%s has no file locks: two runs there may compute the same", path.parent)
    try:
        yield lambda what: _write(path, what)
    finally:
        for file in (path, path.with_suffix(".lock")):
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)  # before the release: filelock notices a removed file
        lock.release()


def _lock(path: Path) -> BaseFileLock:
    # A soft lock would outlive a killed process.
    return FileLock(path.with_suffix(".lock"), fallback_to_soft=False)


def _write(path: Path, what: dict[str, Any]) -> None:
    """Replace the JSON file in one step: readers never see a part of it."""
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(what), encoding="utf-8")
    temporary.replace(path)


def read(path: Path) -> dict[str, Any] | None:
    """Return the current work of the owner of a claim; None without an owner."""
    lock = _lock(path)
    with contextlib.suppress(OSError):  # a lock file of another user: assume that it is held
        try:
            if not path.with_suffix(".lock").exists():
                return None
            lock.acquire(blocking=False)
            lock.release()
            return None
        except Timeout:
            pass
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
