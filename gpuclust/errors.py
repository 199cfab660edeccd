"""Errors with the given value, the allowed values and the next step.

Every error that a user can cause is a `GpuclustError`; the command line exits with its `exit_code`
(2 for bad input, 1 for a failed run).  Any other exception is a bug in gpuclust.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GpuclustError(Exception):
    """Base of all errors raised by gpuclust on purpose."""

    exit_code = 1


class InputError(GpuclustError, ValueError):
    """Invalid input: an unusable argument, option or file."""

    exit_code = 2


class UnknownNameError(InputError):
    """Unknown name of a method, encoder, dataset or option."""


class BackendError(InputError):
    """Backend not available here, or without an implementation of the method."""


class WeightsError(InputError):
    """Weights missing, not downloadable, or not matching the architecture."""


class BadImagesError(InputError):
    """Undecodable images; `paths` lists all of them."""

    def __init__(self, message: str, paths: Iterable[str] = ()):
        super().__init__(message)
        self.paths = tuple(paths)


class DamagedFileError(GpuclustError):
    """Truncated or changed file of the store."""

    exit_code = 2


class StorageError(GpuclustError):
    """Store or output not writable, for example because the disk is full."""


class PlaceError(StorageError):
    """Unwritable place: no permission, or no folder."""

    exit_code = 2


class CellError(GpuclustError):
    """Impossible cell, for example too few samples for its method."""


class GpuclustNote(UserWarning):
    """Note of a call from Python: a choice made about its input, or a part of it that is not used.

    Silence it with ``warnings.simplefilter("ignore", GpuclustNote)``.
    """


def unknown(kind: str, given: object, allowed: Iterable[str], hint: str = "") -> UnknownNameError:
    """Return the error for an unknown name, with similar names as suggestions.

    Parameters
    ----------
    kind : str
        Kind of name: ``"encoder"``, ``"clusterer"``, ...
    given : object
        Name given by the user.
    allowed : iterable of str
        Existing names; the message lists all of them if there are at most twenty.
    hint : str
        Sentence to append, for example where to find the whole list.

    Examples
    --------
    >>> from gpuclust.errors import unknown
    >>> str(unknown("clusterer", "kmean", ["kmeans", "spectral"]))
    "unknown clusterer 'kmean'. Did you mean 'kmeans'? Known: kmeans, spectral."
    """
    allowed = sorted(map(str, allowed))
    close = difflib.get_close_matches(str(given), allowed, n=3, cutoff=0.5)
    message = f"unknown {kind} {str(given)!r}."
    if close:
        message += f" Did you mean {' or '.join(map(repr, close))}?"
    if len(allowed) <= 20:
        message += f" Known: {', '.join(allowed)}."
    return UnknownNameError(f"{message} {hint}".strip())
