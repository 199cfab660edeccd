"""Datasets of the zero-shot clustering study (arXiv 2406.02465) that no library reads."""

from __future__ import annotations

from ..entry import DatasetEntry

LAYOUTS: dict[str, DatasetEntry] = {}
