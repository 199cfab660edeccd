"""Who works on which unit: one lock per unit, so that nothing is computed twice at once.

A claim is a file that its process keeps locked (``flock``).  The lock goes when the process goes,
however it ended, so a file that a killed process left behind claims nothing and is never waited
for: no heartbeats, no clocks that two hosts would have to agree on.  Linux carries such locks over
NFS.  What the process does stands in the file, for whoever wants to know.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LOG = logging.getLogger(__name__)
# What file systems answer that have no locks, Lustre mounted without them for one.
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
Tell = Callable[[dict[str, Any]], None]


@contextlib.contextmanager
def claim(path: Path) -> Iterator[Tell | None]:
    """Hold a claim for as long as the block runs.

    Parameters
    ----------
    path : Path
        The file of the claim; removed at the end.

    Yields
    ------
    callable (dict) -> None, or None
        Tells others what is being done; None when another process has the claim.

    Raises
    ------
    OSError
        When the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _locked(path)
    if descriptor is None:
        yield None
        return
    try:
        yield lambda what: _write(descriptor, what)
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)  # before the lock goes: see _locked
        os.close(descriptor)


def _locked(path: Path) -> int | None:
    """Open and lock a file; None when another process has it locked.

    Between opening and locking its last owner may have removed it: then the lock is on a file that
    nobody else will find, and the next one is tried.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                os.close(descriptor)
                raise
            LOG.warning("%s has no file locks: two runs there may compute the same", path.parent)
            return descriptor
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)


def _write(descriptor: int, what: dict[str, Any]) -> None:
    """Replace what a claim says, in one write of whole KiB: readers never see a part of it."""
    text = json.dumps(what).encode()
    os.pwrite(descriptor, text.ljust(-(-len(text) // 1024) * 1024), 0)
    os.ftruncate(descriptor, -(-len(text) // 1024) * 1024)


def read(path: Path) -> dict[str, Any] | None:
    """Say what the owner of a claim does; None when nobody has it."""
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _told(file.read())
            return None
    except FileNotFoundError:
        return None


def _told(text: bytes) -> dict[str, Any]:
    """Read what a claim says; a claim that was locked this instant says nothing yet."""
    try:
        return json.loads(text)
    except ValueError:
        return {}
