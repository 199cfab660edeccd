"""Log of a run: every event as one line of JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path

from gpuclust.errors import StorageError
from gpuclust.events import Event


class JsonLog:
    """Append every event to a file as one line of JSON, at once.

    Parameters
    ----------
    path : Path
        File to append to; created if missing.  A link is followed, a device or pipe written.

    Raises
    ------
    StorageError
        If the file cannot be opened, or later if an event cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        except OSError as error:
            raise StorageError(
                f"cannot write the log {path}: {error.strerror}. Name another --json-log."
            ) from error

    def __call__(self, event: Event) -> None:
        """Append one event."""
        line = (json.dumps(event) + "\n").encode()
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except BrokenPipeError:  # the reader of a pipe is gone; the run goes on
            return
        except OSError as error:
            raise StorageError(
                f"cannot write the log {self._path}: {error.strerror}. Free some disk space or "
                "name another --json-log; the same command goes on from here."
            ) from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
