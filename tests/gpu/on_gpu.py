"""Shared by the GPU tests: units, samples of many dimensions, separate processes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from gpuclust.cell import Cell, Unit, units_of

ROOT = Path(__file__).parent.parent.parent


def unit_of(reducers: Iterable[str], clusterers: Iterable[str], **how) -> Unit:
    """Combine every reducer with every clusterer in one unit."""
    place = {"dataset": "digits", "split": "all", "encoder": "raw"}
    (unit,) = units_of(
        Cell.of(**(place | how), reducer=reducer, clusterer=clusterer)
        for reducer in reducers
        for clusterer in clusterers
    )
    return unit


def without_ties(X: np.ndarray) -> np.ndarray:
    """Add a little noise to integer pixels: the order of equal distances is arbitrary."""
    return X + np.random.default_rng(0).normal(0, 0.1, X.shape).astype(np.float32)


def widened(X: np.ndarray, y: np.ndarray, n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Repeat real samples with noise up to n, and rotate them into d dimensions."""
    random = np.random.default_rng(0)
    rows = np.resize(np.arange(len(X)), n)
    turned = np.linalg.qr(random.normal(size=(d, X.shape[1])))[0].T
    rotated = (X[rows] + random.normal(0, 0.5, (n, X.shape[1]))) @ turned
    return np.ascontiguousarray(rotated, np.float32), y[rows]


def in_a_process(code: str, *arguments: object) -> str:
    """Run code in a new process, because allocators belong to the process; return its output."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout
