"""The GPU engine, set up once for all tests that run on a device, and a place for their figures."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from gpuclust.device import backend


@pytest.fixture(scope="session")
def gpu() -> backend.Backend:
    """The GPU engine with its memory laid out."""
    on = backend.select("gpu")
    on.prepare()
    return on


@pytest.fixture
def note(record_property: Callable) -> Callable[[str], None]:
    """Write a figure down: shown when the test fails, and kept by benchmarks/gpu.py in any case."""

    def write(text: str) -> None:
        logging.getLogger("figures").warning(text)
        record_property("figure", text)

    return write
