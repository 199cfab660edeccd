"""Encoders by one name of their own, loaded by another source: ``EncoderEntry.stands_for``.

The options of the name, such as ``?pool=avg``, take the place of those in ``stands_for``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from ...errors import InputError
from ...registry import load_target
from ..entry import Parts
from ..names import EncoderName, parse
from ..names import check as check_name
from ..table import ENCODERS


def check(name: EncoderName) -> None:
    """Check the name in the other source, without weights; raises as `names.check`."""
    with naming_both(name):
        check_name(meant(name))


def build(name: EncoderName, *, image_size: int | None) -> Parts:
    """Load the encoder from the other source, named in `Parts.facts`."""
    other = meant(name)
    entry = ENCODERS[other.source]
    with naming_both(name):
        parts = cast(Parts, load_target(entry.target, entry.extra)(other, image_size=image_size))
    return dataclasses.replace(parts, facts={**parts.facts, "stands_for": str(other)})


def meant(name: EncoderName) -> EncoderName:
    """Return the name in the other source, with the options of this one.

    Examples
    --------
    >>> str(meant(parse("dinov3_vitb16")))
    'timm/vit_base_patch16_dinov3.lvd1689m?pool=cls'
    >>> str(meant(parse("dinov3_vitb16?pool=avg_patch")))
    'timm/vit_base_patch16_dinov3.lvd1689m?pool=avg_patch'
    """
    other = parse(ENCODERS[name.source].stands_for)
    merged = {**dict(other.options), **dict(name.options)}
    return dataclasses.replace(other, options=tuple(sorted(merged.items())))


@contextmanager
def naming_both(name: EncoderName) -> Iterator[None]:
    """Begin the message of every input error with both names."""
    try:
        yield
    except InputError as error:
        said = f"{str(name)!r} stands for {str(meant(name))!r}: {error}"
        raise type(error)(said) from error
