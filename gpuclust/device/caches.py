"""Folders for caches of libraries, where the usual ones cannot be written.

Containers and clusters often have no home folder, or one that is read-only.  numba then refuses to
import umap-learn; matplotlib and hubs choose temporary folders themselves.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import logging
import os
import shutil
import sys
import tempfile
import uuid
from pathlib import Path

from ..errors import StorageError

LOG = logging.getLogger("gpuclust")


@functools.cache
def numba_folder() -> Path | None:
    """Make sure that numba can keep compiled code, before a library that needs it is imported.

    numba writes to ``NUMBA_CACHE_DIR``, beside the source of a function, or below the home folder.
    When none of them can be written, this process gets a folder of its own, removed at its end:
    others could place code in a shared one.

    Returns
    -------
    Path or None
        The new folder; None when numba has one.

    Raises
    ------
    StorageError
        When no temporary folder can be made either.

    Examples
    --------
    >>> numba_folder() is None or numba_folder().is_dir()
    True
    """
    if _has_folder():
        return None
    try:
        folder = Path(tempfile.mkdtemp(prefix="gpuclust-numba-"))
    except OSError as error:
        raise StorageError(
            "numba can keep its compiled code neither in NUMBA_CACHE_DIR nor beside the package, "
            "in the home folder or in a temporary folder. Set NUMBA_CACHE_DIR to a folder that you "
            "can write to."
        ) from error
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:
        sys.modules["numba"].core.config.CACHE_DIR = str(folder)
    LOG.info(
        "no folder for numba's compiled code can be written, so every process compiles anew; set "
        "NUMBA_CACHE_DIR to a folder that you can write to"
    )
    return folder


def _has_folder() -> bool:
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        return writable(Path(given))
    found = importlib.util.find_spec("umap")
    if found is not None and found.origin and writable(Path(found.origin).parent / "__pycache__"):
        return True
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError:  # no home folder
        return False
    return home.is_absolute() and writable(home / "numba")


def writable(folder: Path) -> bool:
    """Return whether a file can be written to a folder, which is made if it is missing.

    Examples
    --------
    >>> writable(tmp_path / "new"), writable(Path("/proc/none"))
    (True, False)
    """
    probe = folder / f".gpuclust-{uuid.uuid4().hex[:12]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with probe.open("xb") as file:
            file.write(b"1")
        probe.unlink()
    except OSError:
        return False
    return True
