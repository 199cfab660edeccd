"""List encoders for ``gpuclust list encoders``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from ..errors import InputError, unknown
from ..registry import UNKNOWN, describe, load_target
from .entry import FAMILIES
from .table import ENCODERS

OPEN_LICENCES = (
    "Apache",
    "MIT",
    "BSD",
    "ISC",
    "CC0",
    "CC-BY",
    "CC-BY-SA",
    "Unlicense",
    "public domain",
    "none needed",
)
"""Licences that allow any use, without their version; case and the word "license" do not count."""
_OPEN = re.compile(
    rf"({'|'.join(OPEN_LICENCES)})([ -]*(licen[cs]e|clause|version|v?[\d.]+))*", re.IGNORECASE
)
_NOT_STATED = ("varies", UNKNOWN, "not stated")

Row = dict[str, Any]


class Selection(NamedTuple):
    """Encoders after filters, and sentences on the undecided ones."""

    rows: list[Row]
    notes: list[str]


def available(
    pattern: str | None = None,
    *,
    family: str | None = None,
    max_dim: int | None = None,
    licence: str | None = None,
) -> list[Row]:
    """List encoders with their metadata.

    Parameters
    ----------
    pattern : str, optional
        Without one, the entries of the registry are listed and nothing is imported.  With one,
        also the model names of timm, open_clip and torchvision; names that match are kept.  Upper
        and lower case are alike.  A pattern without ``*`` or ``[`` matches anywhere in the name.
    family : str, optional
        Kind of pretraining, one of `entry.FAMILIES`.
    max_dim : int, optional
        Highest dimension of the feature.  Encoders of unknown dimension are not listed.
    licence : str, optional
        ``"open"`` keeps the licences that allow any use, see `OPEN_LICENCES`; another text keeps
        the licences that contain it, in upper or lower case.

    Returns
    -------
    list of dict
        Keys ``name`` and the fields of `EncoderEntry` without its targets.  A model of a source
        has the metadata of the source.

    Raises
    ------
    UnknownNameError
        For an unknown family.
    InputError
        For a dimension below 1 or an empty licence.

    Examples
    --------
    >>> available("lite0")[0]["dimension"]
    1280
    >>> [row["name"] for row in available("dinov2_*14", max_dim=768, licence="open")]
    ['dinov2_vits14', 'dinov2_vitb14']
    """
    return select(pattern, family=family, max_dim=max_dim, licence=licence).rows


def select(
    pattern: str | None = None,
    *,
    family: str | None = None,
    max_dim: int | None = None,
    licence: str | None = None,
) -> Selection:
    """List encoders as `available`, with notes on the undecided ones."""
    _check(family, max_dim, licence)
    rows, notes = _matching(pattern), []
    if family is not None:
        rows = [row for row in rows if row["family"] == family]
    if licence is not None:
        silent = sum(row["licence"] in _NOT_STATED for row in rows)
        rows = [row for row in rows if _licensed(row["licence"], licence)]
        silent -= sum(row["licence"] in _NOT_STATED for row in rows)
        notes += _counted(silent, "without a stated licence", "licence")
    if max_dim is not None:
        silent = sum(row["dimension"] is None for row in rows)
        rows = [row for row in rows if row["dimension"] is not None and row["dimension"] <= max_dim]
        notes += _counted(silent, "of unknown dimension", "max-dim")
    if not rows:
        notes.append(f"no encoder with {_filters(pattern, family, max_dim, licence)}.")
    return Selection(rows, notes)


def is_open(licence: str) -> bool:
    """Return whether a licence allows any use, by its name.

    Examples
    --------
    >>> [is_open(name) for name in ("Apache-2.0", "CC BY 4.0", "CC-BY-NC-4.0", "DINOv3 License")]
    [True, True, False, False]
    """
    return _OPEN.fullmatch(licence.replace("CC BY", "CC-BY")) is not None


def _matching(pattern: str | None) -> list[Row]:
    rows = [describe(entry.template(key), entry) for key, entry in ENCODERS.items()]
    if pattern is None:
        return rows
    wanted = pattern.casefold()
    if not any(sign in wanted for sign in "*["):
        wanted = f"*{wanted}*"
    return [row for row in (*rows, *_models()) if fnmatchcase(row["name"].casefold(), wanted)]


def _models() -> Iterator[Row]:
    """List the models of all sources; imports their libraries."""
    for key, entry in ENCODERS.items():
        if entry.names is None:
            continue
        for model in load_target(entry.names, entry.extra)():
            yield describe(f"{key}{entry.separator}{model}", entry)


def _check(family: str | None, max_dim: int | None, licence: str | None) -> None:
    if family is not None and family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    if max_dim is not None and max_dim < 1:
        raise InputError(f"max-dim must be at least 1; got {max_dim}.")
    if licence is not None and not licence.strip():
        raise InputError("licence is empty; write 'open' or a part of a licence's name.")


def _licensed(licence: str, wanted: str) -> bool:
    if wanted.casefold() == "open":
        return is_open(licence)
    return wanted.casefold() in licence.casefold()


def _counted(number: int, what: str, filtered: str) -> list[str]:
    return [f"{number} {what}: not listed, because {filtered} cannot decide."] if number else []


def _filters(
    pattern: str | None, family: str | None, max_dim: int | None, licence: str | None
) -> str:
    given = {"name": pattern, "family": family, "max-dim": max_dim, "licence": licence}
    return ", ".join(f"{key} {value!r}" for key, value in given.items() if value is not None)
