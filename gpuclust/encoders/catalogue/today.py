"""Today's encoders by one name each; timm or open_clip loads them."""

from __future__ import annotations

from ..entry import EncoderEntry

TODAY: dict[str, EncoderEntry] = {}
