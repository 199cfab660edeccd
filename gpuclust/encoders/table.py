"""Registry of encoders: one entry each, its loader named as text.

An entry is one encoder, or a source of many encoders that takes the rest of the name, such as
``timm/<name>``.
"""

from __future__ import annotations

from .catalogue.packaged import PACKAGED
from .catalogue.sources import SOURCES
from .catalogue.study import STUDY
from .catalogue.today import TODAY
from .entry import EncoderEntry

ENCODERS: dict[str, EncoderEntry] = {**SOURCES, **PACKAGED, **STUDY, **TODAY}
