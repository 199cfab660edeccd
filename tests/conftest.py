"""Shared fixtures: array libraries, real digits as vectors, and skipping of GPU tests."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any, NamedTuple

import array_api_strict
import numpy as np
import pytest

from gpuclust.arrays import transfer

# Threads of several processes that compete for two cores slow a test run down several times.
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")


class Library(NamedTuple):
    """An array library and one of its devices; `put` and `get` copy to and from it."""

    name: str
    namespace: Any
    device: Any = None

    def put(self, values: Any) -> Any:
        """Copy values to the device."""
        values = np.asarray(values)
        if self.device is None:
            return self.namespace.asarray(values)
        return self.namespace.asarray(values, device=self.device)

    def get(self, values: Any) -> np.ndarray:
        """Copy an array of this library to NumPy; fail for arrays of other libraries."""
        assert self.holds(values), f"{type(values)} is not an array of {self.name}"
        return transfer.to_host(values)

    def holds(self, values: Any) -> bool:
        """Return whether the values are an array of this library on this device."""
        mine = type(values) is type(self.namespace.asarray(0)) or (
            self.device is None and isinstance(values, self.namespace.ndarray)
        )
        return mine and (self.device is None or values.device == self.device)


def _numpy() -> Library:
    return Library("numpy", np)


def _strict() -> Library:
    # Not the default device, so that creating an array without a device, or reading it as NumPy
    # does, raises.
    return Library("strict", array_api_strict, array_api_strict.Device("device1"))


def _cupy() -> Library:
    import cupy

    return Library("cupy", cupy)


CUPY = pytest.param(_cupy, id="cupy", marks=pytest.mark.gpu)


@pytest.fixture(params=[pytest.param(_numpy, id="numpy"), pytest.param(_strict, id="strict"), CUPY])
def xp(request: pytest.FixtureRequest) -> Library:
    """Array libraries supported by every algorithm."""
    return request.param()


@pytest.fixture(params=[pytest.param(_strict, id="strict"), CUPY])
def device_xp(request: pytest.FixtureRequest) -> Library:
    """Array libraries with arrays outside host memory."""
    return request.param()


@functools.cache
def _no_gpu() -> str | None:
    from gpuclust.device import backend

    return backend.why_no_gpu()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the contract tests to `make test-contract`, as they fail without RAPIDS."""
    asked = any("contract" in argument for argument in config.args)
    return True if collection_path.name == "contract" and not asked else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip GPU tests without a GPU; `make test-gpu` fails before it gets here."""
    for item in items:
        if item.get_closest_marker("gpu") and (reason := _no_gpu()):
            item.add_marker(pytest.mark.skip(reason=f"no GPU: {reason}"))
    _slow_files_first(items)


def _slow_files_first(items: list[pytest.Item]) -> None:
    """Sort files with slow tests to the front: run last, one would keep a single core busy."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


class Digits(NamedTuple):
    X: np.ndarray
    y: np.ndarray


@pytest.fixture(scope="session")
def digits() -> Digits:
    """The first 600 real digits of scikit-learn: (600, 64) float32 pixels and their classes."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return Digits(bunch.data[:600].astype(np.float32), bunch.target[:600].astype(np.int64))


@pytest.fixture(scope="session")
def digits_file(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of a .npz file with these digits."""
    path = tmp_path_factory.mktemp("vectors") / "digits600.npz"
    np.savez(path, X=digits.X, y=digits.y)
    return path
