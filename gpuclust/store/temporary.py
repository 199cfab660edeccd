"""Temporary files: locks of live processes, removal after dead ones.

A process keeps a lock on each temporary file while it writes it; the operating system releases the
lock when the process ends, for any reason.  So a file is known to be abandoned without comparing
the clocks of two hosts.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

# Age, by the clock of the file system, before an unlocked file counts as abandoned: file systems
# without locks, and versions of gpuclust that did not lock.
_HOURS = 3600.0


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Create an empty file and keep a lock on it while the block runs.

    Raises
    ------
    OSError
        When the file cannot be created, or is there.

    Examples
    --------
    >>> with hold(tmp_path / ".tmp-1"):
    ...     is_abandoned(tmp_path / ".tmp-1")
    False
    """
    while True:
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o666)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            break
        os.close(descriptor)  # removed before it was locked
    try:
        yield
    finally:
        os.close(descriptor)


def is_abandoned(path: Path) -> bool:
    """Return whether no live process has locked a file; False for a missing file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: by age alone
        return True
    finally:
        os.close(descriptor)
    return True


def remove_abandoned(paths: Iterable[Path], root: Path) -> None:
    """Remove unlocked files below `root`, after an hour."""
    now: float | None = None
    for path in paths:
        with contextlib.suppress(OSError):
            now = _now(root) if now is None else now
            if now - path.lstat().st_mtime > _HOURS and is_abandoned(path):
                path.unlink()


def _now(root: Path) -> float:
    """Return the time of the file system's clock."""
    path = root / f".tmp-{uuid.uuid4().hex[:12]}-now"
    with hold(path):
        try:
            return path.stat().st_mtime
        finally:
            path.unlink()
