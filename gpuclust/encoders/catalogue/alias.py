"""Aliases of today's encoders: an entry per name, with the shared fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..entry import EncoderEntry

_ALIAS = "gpuclust.encoders.sources.alias"
CLASS_TOKEN = "class token after the final norm"
PATCHES = "average over the patch tokens after the final norm"
PROJECTED = "projected image feature of the image-text model, not normalized"

Named = Iterator[tuple[str, EncoderEntry]]


def alias(stands_for: str, **fields: Any) -> EncoderEntry:
    """Make the entry of an encoder of timm or open_clip.

    Its summary is architecture and pretraining; a download without accepted terms is the default.
    """
    known: dict[str, Any] = {
        "summary": f"{fields['architecture']}, {fields['pretraining']}",
        "target": f"{_ALIAS}:build",
        "check": f"{_ALIAS}:check",
        # The towers of open_clip have one feature only.
        "options": _options(stands_for) if stands_for.startswith("timm/") else {},
        "gated": False,
        "stands_for": stands_for,
    }
    return EncoderEntry(**(known | fields))


def _options(stands_for: str) -> dict[str, str]:
    """Return the options with their defaults: the size is that of the other name."""
    query = stands_for.partition("?")[2]
    given = dict(part.split("=", 1) for part in query.split("&") if part)
    return {"pool": "", "size": given.get("size", "")}
