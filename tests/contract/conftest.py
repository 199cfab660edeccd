"""Contract tests run against the real RAPIDS packages, with or without a device.

They fail instead of skipping when RAPIDS is missing; `make test-contract` installs it into a
separate environment.
"""

from __future__ import annotations

import importlib.util

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Exit with code 3 when RAPIDS is not installed."""
    if importlib.util.find_spec("cuml") is None:
        pytest.exit("cuml is not installed: run `make test-contract`", returncode=3)
