"""Notes and progress of a call from Python.

Notes say what was guessed or left out of an input.  They are collected while the call runs and
issued as warnings at its end, so that a filter that turns warnings into errors never breaks a run
in the middle.  Nothing is written to standard output.
"""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import TextIO

from ..errors import GpuclustNote
from ..events import Event, Watcher
from .words import errors_in_python, in_python

_WIDTH = 79
Progress = bool | Watcher | Callable[[Event], None]


class Notes(Watcher):
    """Collects the notes of a call and passes all events on.

    Parameters
    ----------
    progress : bool, Watcher or callable (event)
        True shows a line on standard error; a watcher or a function receives every event.

    Examples
    --------
    >>> notes = Notes()
    >>> notes.note("2 images were skipped; --skip-bad was given")
    >>> notes.texts
    ['2 images were skipped; skip_bad=True was given']
    """

    def __init__(self, progress: Progress = False):  # noqa: FBT002 - reads like progress=False
        self.texts: list[str] = []
        self.quiet: set[str] = set()
        self._line = Line() if progress is True else None
        self._to: Callable[[Event], None]
        if isinstance(progress, bool):
            self._to = _ignore if self._line is None else self._line.tell
        else:
            self._to = progress.tell if isinstance(progress, Watcher) else progress

    def tell(self, event: Event) -> None:
        """Keep a note, each text once, and pass the event on."""
        if event["event"] == "note":
            text = in_python(event["text"])
            self.quiet.discard(text)
            if text not in self.texts:
                self.texts.append(text)
        self._to(event)

    def note_quietly(self, text: str) -> None:
        """Keep a note for the result, without a warning."""
        if text not in self.texts:
            self.texts.append(text)
            self.quiet.add(text)

    def close(self, level: int) -> None:
        """End the line of progress and issue the notes as warnings."""
        if self._line is not None:
            self._line.end()
        for text in self.texts:
            if text not in self.quiet:
                warnings.warn(text, GpuclustNote, stacklevel=level)


def _ignore(event: Event) -> None:
    """Ignore an event."""


class Line(Watcher):
    """Shows the progress as one line on standard error, at most five times a second."""

    def __init__(self, file: TextIO | None = None):
        self._file = file
        self._shown = 0.0
        self._rows = 0

    def tell(self, event: Event) -> None:
        """Show an embedding, a stage or a row."""
        kind = event["event"]
        self._rows += kind == "row"
        if kind == "done":
            self._write(f"{event['unit']}: {self._rows} rows computed")
            self.end()
        elif kind in ("embedding", "stage") and time.monotonic() - self._shown > 0.2:
            text = event.get("what") or f"{event['done']} of {event['total']} images"
            self._write(f"{event['unit']}: {text}")

    def end(self) -> None:
        """Begin a new line if something was written on this one."""
        if self._shown:
            self._shown = 0.0
            file = self._file or sys.stderr
            file.write("\n")

    def _write(self, text: str) -> None:
        self._shown = time.monotonic()
        file = self._file or sys.stderr
        file.write(f"\r{text[:_WIDTH]:<{_WIDTH}}")
        file.flush()


@contextlib.contextmanager
def watched(progress: Progress, *, level: int = 4) -> Iterator[Notes]:
    """Collect the notes of the block; at its end, issue them as warnings of the calling line.

    Errors of the block name arguments of Python.  `level` counts frames as in `warnings.warn`: 4 is
    the caller of the function that uses this block.
    """
    notes = Notes(progress)
    try:
        with errors_in_python():
            yield notes
    finally:
        notes.close(level + 1)
