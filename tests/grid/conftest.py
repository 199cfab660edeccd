"""A small grid on real digits, with the raw pixels as the encoder: embedding takes a second."""

import shutil
from pathlib import Path

import pytest
from small_grid import CPU, GRID

from gpuclust.cell import Cell, units_of
from gpuclust.embeddings import load
from gpuclust.embeddings.load import Options
from gpuclust.events import Watcher
from gpuclust.grid.grid_file import load_grid
from gpuclust.store.store import Store


@pytest.fixture(scope="session")
def embedded(tmp_path_factory) -> Path:
    """A root in which the digits are embedded as raw pixels."""
    root = tmp_path_factory.mktemp("embedded")
    (unit,) = units_of([Cell.of(dataset="digits", split="all", encoder="raw", clusterer="kmeans")])
    load.embed_unit(load.Lookup(unit), Store(root), CPU, Options(), Watcher())
    return root


@pytest.fixture
def store(embedded, tmp_path) -> Store:
    shutil.copytree(embedded, tmp_path / "root")
    return Store(tmp_path / "root")


@pytest.fixture
def units(tmp_path):
    (tmp_path / "grid.toml").write_text(GRID)
    return load_grid(tmp_path / "grid.toml")
