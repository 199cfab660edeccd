"""Errors that tell what was given, what is allowed and what to do.

Every error that a user can cause is a `GpuclustError`; its `exit_code` is what the command line
returns (2 for bad input, 1 for a run that failed).  Anything else that is raised is our bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GpuclustError(Exception):
    """Base of all errors that gpuclust raises on purpose."""

    exit_code = 1


class InputError(GpuclustError, ValueError):
    """The request cannot be carried out as it was given."""

    exit_code = 2


class UnknownNameError(InputError):
    """A name that is in none of our tables."""


class BackendError(InputError):
    """The backend that was asked for is not available here, or has no form of the method."""


class WeightsError(InputError):
    """Weights that are missing, cannot be fetched, or do not fit the architecture."""


class BadImagesError(InputError):
    """Images that cannot be decoded; `paths` names all of them."""

    def __init__(self, message: str, paths: Iterable[str] = ()):
        super().__init__(message)
        self.paths = tuple(paths)


class DamagedFileError(GpuclustError):
    """A file of the store that is truncated or was changed."""

    exit_code = 2


class StorageError(GpuclustError):
    """The store could not be written (disk full, no permission)."""


class CellError(GpuclustError):
    """A cell that cannot be computed, such as a method that needs more samples than there are."""


def unknown(kind: str, given: object, allowed: Iterable[str], hint: str = "") -> UnknownNameError:
    """Build the error for an unknown name, with the nearest known names.

    Parameters
    ----------
    kind : str
        What the name should have been: ``"encoder"``, ``"clusterer"``, ...
    given : object
        What was given.
    allowed : iterable of str
        The names that exist; all are listed when there are at most twenty.
    hint : str
        A further sentence: where to see the whole list, say.
    """
    allowed = sorted(map(str, allowed))
    close = difflib.get_close_matches(str(given), allowed, n=3, cutoff=0.5)
    message = f"unknown {kind} {str(given)!r}."
    if close:
        message += f" Did you mean {' or '.join(map(repr, close))}?"
    if len(allowed) <= 20:
        message += f" Known: {', '.join(allowed)}."
    return UnknownNameError(f"{message} {hint}".strip())
