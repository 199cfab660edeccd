"""What the tests share: array libraries, real digits as vectors, and the skipping of GPU tests."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any, NamedTuple

import array_api_strict
import numpy as np
import pytest

from gpuclust.arrays import transfer

# Numbers of threads that fight each other make a small machine's tests slow, not wrong.
os.environ.setdefault("OMP_NUM_THREADS", "2")


class Library(NamedTuple):
    """An array library and one device of it; `put` and `get` are the way in and out."""

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
        """Copy an array of this library, and of no other, to NumPy."""
        assert self.holds(values), f"{type(values)} is not an array of {self.name}"
        return transfer.to_host(values)

    def holds(self, values: Any) -> bool:
        """Whether it is an array of this library on this device."""
        mine = type(values) is type(self.namespace.asarray(0)) or (
            self.device is None and isinstance(values, self.namespace.ndarray)
        )
        return mine and (self.device is None or values.device == self.device)


def _numpy() -> Library:
    return Library("numpy", np)


def _strict() -> Library:
    # Not the default device: an array made without naming one, or read by NumPy, raises.
    return Library("strict", array_api_strict, array_api_strict.Device("device1"))


def _cupy() -> Library:
    import cupy

    return Library("cupy", cupy)


CUPY = pytest.param(_cupy, id="cupy", marks=pytest.mark.gpu)


@pytest.fixture(params=[pytest.param(_numpy, id="numpy"), pytest.param(_strict, id="strict"), CUPY])
def xp(request: pytest.FixtureRequest) -> Library:
    """Every array library that an algorithm of ours must run on."""
    return request.param()


@pytest.fixture(params=[pytest.param(_strict, id="strict"), CUPY])
def device_xp(request: pytest.FixtureRequest) -> Library:
    """The array libraries whose arrays are not on the host."""
    return request.param()


@functools.cache
def _no_gpu() -> str | None:
    from gpuclust.device import backend

    return backend.why_no_gpu()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the contract tests to `make test-contract`: they fail where RAPIDS is missing."""
    asked = any("contract" in argument for argument in config.args)
    return True if collection_path.name == "contract" and not asked else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip GPU tests where there is none; `make test-gpu` fails there before it comes to this."""
    for item in items:
        if item.get_closest_marker("gpu") and (reason := _no_gpu()):
            item.add_marker(pytest.mark.skip(reason=f"no GPU: {reason}"))


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
    """The same as a user's .npz file."""
    path = tmp_path_factory.mktemp("vectors") / "digits600.npz"
    np.savez(path, X=digits.X, y=digits.y)
    return path
