"""Encoders by one name of their own, which another source loads: ``EncoderEntry.stands_for``."""

from __future__ import annotations

import dataclasses
from typing import cast

from ...registry import load_target
from ..entry import Parts
from ..names import EncoderName, parse
from ..names import check as check_name
from ..table import ENCODERS


def check(name: EncoderName) -> None:
    """Check the name in the other source, without weights; raises as `names.check`."""
    check_name(meant(name))


def build(name: EncoderName, *, image_size: int | None) -> Parts:
    """Load the encoder from the other source; `Parts.facts` says which one."""
    other = meant(name)
    entry = ENCODERS[other.source]
    parts = cast(Parts, load_target(entry.target, entry.extra)(other, image_size=image_size))
    return dataclasses.replace(parts, facts={**parts.facts, "stands_for": str(other)})


def meant(name: EncoderName) -> EncoderName:
    """Return the name in the other source, with the options of this one."""
    other = parse(ENCODERS[name.source].stands_for)
    return dataclasses.replace(other, options=tuple(sorted({*other.options, *name.options})))
