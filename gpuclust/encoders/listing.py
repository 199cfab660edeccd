"""List encoders for ``gpuclust list encoders``."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from ..registry import describe, load_target
from .table import ENCODERS


def available(pattern: str | None = None) -> list[dict[str, Any]]:
    """List encoders with their metadata.

    Parameters
    ----------
    pattern : str, optional
        Without one, the entries of the registry are listed and nothing is imported.  With one,
        also the model names of timm, open_clip and torchvision; names that match are kept.  Upper
        and lower case are alike.  A pattern without ``*`` or ``[`` matches anywhere in the name.

    Returns
    -------
    list of dict
        Keys ``name`` and the fields of `EncoderEntry` without its targets.  A model of a source
        has the metadata of the source.

    Examples
    --------
    >>> available("lite0")[0]["dimension"]
    1280
    """
    rows = [describe(entry.template(key), entry) for key, entry in ENCODERS.items()]
    if pattern is None:
        return rows
    wanted = pattern.casefold()
    if not any(sign in wanted for sign in "*["):
        wanted = f"*{wanted}*"
    return [row for row in (*rows, *_models()) if fnmatchcase(row["name"].casefold(), wanted)]


def _models() -> Iterator[dict[str, Any]]:
    """List the models of all sources; imports their libraries."""
    for key, entry in ENCODERS.items():
        if entry.names is None:
            continue
        for model in load_target(entry.names, entry.extra)():
            yield describe(f"{key}{entry.separator}{model}", entry)
