"""Fixtures of all GPU tests: the backend, set up once, and a place for figures."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from gpuclust.device import backend


@pytest.fixture(scope="session")
def gpu() -> backend.Backend:
    """GPU backend with its memory pool."""
    on = backend.select("gpu")
    on.prepare()
    return on


@pytest.fixture
def note(record_property: Callable) -> Callable[[str], None]:
    """Record a figure: shown when the test fails, and always kept by benchmarks/gpu.py."""

    def write(text: str) -> None:
        logging.getLogger("figures").warning(text)
        record_property("figure", text)

    return write
