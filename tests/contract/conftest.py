"""Contract tests run against the real RAPIDS packages, with or without a device.

They fail, and do not skip, where RAPIDS is missing: `make test-contract` installs it into an
environment of its own.
"""

from __future__ import annotations

import importlib.util

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Stop at once where there is nothing to test against."""
    if importlib.util.find_spec("cuml") is None:
        pytest.exit("cuml is not installed: run `make test-contract`", returncode=3)
