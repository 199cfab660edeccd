"""Turn refusals of torchvision into one sentence about a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...errors import InputError
from ..location import see

# Exceptions of torchvision's classes for missing, damaged and unexpected files.
REFUSALS = (OSError, RuntimeError, ValueError, LookupError, TypeError, AssertionError, EOFError)

_NO_FILES: tuple[tuple[Path, str], ...] = ()


@contextmanager
def explained(
    name: str, place: Path, files: Callable[[], Iterable[tuple[Path, str]]] = lambda: _NO_FILES
) -> Iterator[None]:
    """Raise `InputError` for a refusal of torchvision, with the file at fault.

    Parameters
    ----------
    name : str
        Name of the dataset.
    place : Path
        Its folder, or the list that is read.
    files : callable () -> iterable of (Path, str)
        Files with their published MD5 sums; called after a refusal only.

    Examples
    --------
    >>> with explained("mnist", Path("/data")):
    ...     raise RuntimeError("Dataset not found.")
    Traceback (most recent call last):
    gpuclust.errors.InputError: mnist cannot be read from /data: Dataset not found. ...
    """
    try:
        yield
    except REFUSALS as error:
        if isinstance(error, InputError):
            raise
        said = _faults(files()) or _first_sentence(error)
        raise InputError(f"{name} cannot be read from {place}: {said}. {see(name)}") from error


def check_sums(name: str, place: Path, files: Iterable[tuple[Path, str]]) -> None:
    """Raise for a file without its published MD5 sum; torchvision's own check, before reading.

    Raises
    ------
    InputError
        As `explained`.
    """
    said = _faults(files)
    if said:
        raise InputError(f"{name} cannot be read from {place}: {said}. {see(name)}")


def _faults(files: Iterable[tuple[Path, str]]) -> str:
    """Describe the first fault and count the others; empty without any."""
    faults = [fault for path, md5 in files if (fault := _fault(path, md5))]
    more = f" (and {len(faults) - 1} more files)" if len(faults) > 1 else ""
    return faults[0] + more if faults else ""


def _fault(path: Path, md5: str) -> str | None:
    """Describe the fault of a file; None when it has the published MD5 sum."""
    from torchvision.datasets.utils import check_integrity

    if not path.is_file():
        return f"{path} is missing"
    if check_integrity(str(path), md5):
        return None
    return (
        f"{path} has another MD5 sum than the published {md5}: it is damaged, incomplete or "
        f"another version; extract or download it again"
    )


def _first_sentence(error: Exception) -> str:
    """Return torchvision's reason without its advice to download."""
    if isinstance(error, KeyError):
        return f"it has the unknown name {error}"
    text = str(error).partition(". You can")[0].strip().rstrip(".")
    return text or type(error).__name__


def unique(name: str, files: Sequence[str], listed_in: Path) -> tuple[str, ...]:
    """Return the listed files, or raise for a name on two lines.

    Examples
    --------
    >>> unique("dtd", ["a.jpg", "b.jpg"], Path("/data/test1.txt"))
    ('a.jpg', 'b.jpg')
    """
    if len(set(files)) < len(files):
        twice = [file for file, n in Counter(files).items() if n > 1]
        raise InputError(
            f"{listed_in} lists {len(twice):,} images more than once, first {twice[0]}. {see(name)}"
        )
    return tuple(files)


def parent_of(name: str, folder: Path, expected: str) -> Path:
    """Return the parent of a folder with the name expected by torchvision.

    Examples
    --------
    >>> str(parent_of("dtd", Path("/data/dtd"), "dtd"))
    '/data'
    """
    if folder.name != expected:
        raise InputError(
            f"{name}: torchvision reads a folder named {expected}, and {folder} has another name. "
            f"Rename it, or move its content to {folder / expected}. {see(name)}"
        )
    return folder.parent
