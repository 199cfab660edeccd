"""A small grid on 450 real digits, with raw pixels as the encoder."""

import shutil
from pathlib import Path

import pytest
import small_digits
from small_grid import CPU, GRID, SAMPLES

from gpuclust.cell import Cell, units_of
from gpuclust.embeddings import load
from gpuclust.embeddings.load import Options
from gpuclust.events import Watcher
from gpuclust.grid.grid_file import load_grid
from gpuclust.store.store import Store


@pytest.fixture(autouse=True)
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the dataset `digits` a quarter as large: clustering takes a tenth of the time."""
    small_digits.use_first(monkeypatch, SAMPLES)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory) -> Path:
    """Root folder with the raw pixels of the digits as an embedding."""
    root = tmp_path_factory.mktemp("embedded")
    (unit,) = units_of([Cell.of(dataset="digits", split="all", encoder="raw", clusterer="kmeans")])
    with pytest.MonkeyPatch.context() as patch:
        small_digits.use_first(patch, SAMPLES)
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
