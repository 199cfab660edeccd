"""Encoders of the zero-shot clustering study (arXiv 2406.02465), from published checkpoints."""

from __future__ import annotations

from ..entry import EncoderEntry

STUDY: dict[str, EncoderEntry] = {}
