"""A small grid on real digits, with the raw pixels as the encoder: embedding takes a second."""

import shutil
from pathlib import Path

import pytest
from small_grid import CPU, GRID

from gpuclust import source
from gpuclust.cell import Cell, load_grid, units_of
from gpuclust.source import Options
from gpuclust.store import Store
from gpuclust.watch import Watcher


@pytest.fixture(scope="session")
def embedded(tmp_path_factory) -> Path:
    """A root in which the digits are embedded as raw pixels."""
    root = tmp_path_factory.mktemp("embedded")
    (unit,) = units_of([Cell.of(dataset="digits", split="all", encoder="raw", clusterer="kmeans")])
    source.embed_unit(unit, Store(root), CPU, Options(), Watcher())
    return root


@pytest.fixture
def store(embedded, tmp_path) -> Store:
    shutil.copytree(embedded, tmp_path / "root")
    return Store(tmp_path / "root")


@pytest.fixture
def units(tmp_path):
    (tmp_path / "grid.toml").write_text(GRID)
    return load_grid(tmp_path / "grid.toml")
