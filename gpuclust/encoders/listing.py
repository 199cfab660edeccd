"""What encoders there are, for ``gpuclust list encoders``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from .table import SOURCES


@dataclass(frozen=True)
class EncoderInfo:
    """A name, or the form of a family of names, and one line about it."""

    name: str
    description: str


def available(pattern: str | None = None) -> list[EncoderInfo]:
    """List encoders.

    Parameters
    ----------
    pattern : str, optional
        Without one: the table of sources, which imports nothing.  With one: every form and every
        model name of timm, open_clip and torchvision that matches it, upper and lower case alike.
        A pattern without ``*`` or ``[`` matches anywhere in the name.
    """
    rows = [EncoderInfo(source.form, source.description) for source in SOURCES.values()]
    if pattern is None:
        return rows
    wanted = pattern.casefold()
    if not any(sign in wanted for sign in "*["):
        wanted = f"*{wanted}*"
    return [row for row in (*rows, *_models()) if fnmatchcase(row.name.casefold(), wanted)]


def _models() -> Iterator[EncoderInfo]:
    for key, source in SOURCES.items():
        for model in source.loader().names():
            yield EncoderInfo(f"{key}{source.separator}{model}", source.description)
