"""Locks on units: each unit is computed by one process at a time.

A claim is a lock on a file (`filelock`) and, beside it, a small JSON file with the current work of
its owner.  The operating system releases the lock when its process ends, for any reason: files of a
killed process claim nothing, and no clocks of two hosts have to agree.  Linux carries such locks
over NFS.  Empty lock files stay, because a lock on a removed file would lock nothing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import stat
import uuid
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
        JSON file of the claim, removed at the end; the lock is on the file beside it that ends in
        ``.lock``.

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
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        lock.release()


def _lock(path: Path) -> BaseFileLock:
    # A soft lock would outlive a killed process.
    return FileLock(path.with_suffix(".lock"), fallback_to_soft=False)


def lock_now(path: Path) -> BaseFileLock | None:
    """Lock a file of its own for this purpose, until the lock is released or the process ends.

    None when another process has it.  On a file system without locks the lock locks nothing.

    Examples
    --------
    >>> lock = lock_now(tmp_path / "a.lock")
    >>> lock_now(tmp_path / "a.lock") is None
    True
    >>> lock.release()
    """
    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return lock


def _write(path: Path, what: dict[str, Any]) -> None:
    """Replace the JSON file in one step: readers never see a part of it.

    Whoever may write to the folder cannot lead the text elsewhere: the temporary name cannot be
    foreseen, no link is followed, and a link at `path` is replaced itself.
    """
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex[:12]}-{path.name}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, 0o666), "w", encoding="utf-8") as file:
            file.write(json.dumps(what))
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read(path: Path) -> dict[str, Any] | None:
    """Return the current work of the owner of a claim; None without an owner.

    Needs no right to write.  Where locks cannot be read, the claim counts as owned.
    """
    try:
        if not is_locked(path.with_suffix(".lock")):
            return None
        found = json.loads(_content(path))
        return found if isinstance(found, dict) else {}
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError, OSError):  # not written yet, or no claim at all
        return {}


def _content(path: Path) -> bytes:
    """Read at most 1 MB of a regular file; a link is not followed and a FIFO not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"{path} is no regular file")
        return os.read(descriptor, 1 << 20)
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Return whether a process has locked a file; False without the file.

    Examples
    --------
    >>> is_locked(tmp_path / "a.lock")
    False
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # no file, or a link: no process locks it
        return False
    try:
        # Shared, so that two readers do not take each other for an owner.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
