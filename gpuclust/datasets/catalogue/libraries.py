"""Datasets of the zero-shot clustering study (arXiv 2406.02465) that torchvision reads."""

from __future__ import annotations

from ..entry import DatasetEntry

LIBRARIES: dict[str, DatasetEntry] = {}
