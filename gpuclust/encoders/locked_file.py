"""Unfinished file of one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

LOG = logging.getLogger("gpuclust")
WAIT = 0.5  # seconds between two looks at another process's file


@contextlib.contextmanager
def locked(path: Path, *, until: Path) -> Iterator[BinaryIO | None]:
    """Open a file for appending, for this process alone; wait while another process has it.

    The lock is on the file itself, so it ends with the process, however that ends.  On a file
    system without locks nothing is waited for.

    Parameters
    ----------
    path : Path
        Unfinished file, created if it is not there.
    until : Path
        Name of the finished file.  When it is there the block gets None, and `path` is not made.

    Raises
    ------
    OSError
        When the file cannot be created.

    Examples
    --------
    >>> with locked(tmp_path / "a.part", until=tmp_path / "a") as handle:
    ...     _ = handle.write(b"1")
    ...     _ = (tmp_path / "a.part").replace(tmp_path / "a")
    >>> with locked(tmp_path / "a.part", until=tmp_path / "a") as handle:
    ...     print(handle)
    None
    """
    said = False
    while not until.exists():
        with path.open("ab") as handle:
            if _lock(handle):
                # The other process may have renamed or removed the file before this one locked it.
                if not _is_at(handle, path):
                    continue
                if not until.exists():
                    yield handle
                    return
                path.unlink()
                break
        if not said:
            LOG.info("another process downloads %s: waiting for it", until.name)
            said = True
        time.sleep(WAIT)
    yield None


def _lock(handle: BinaryIO) -> bool:
    """Lock a file and return True, or return False while another process has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _is_at(handle: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False
