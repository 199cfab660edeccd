"""A small grid on 450 real digits, with raw pixels as the encoder."""

import shutil
from pathlib import Path

import pytest
from sklearn import datasets
from sklearn.utils import Bunch
from small_grid import CPU, GRID, SAMPLES

from gpuclust.cell import Cell, units_of
from gpuclust.embeddings import load
from gpuclust.embeddings.load import Options
from gpuclust.events import Watcher
from gpuclust.grid.grid_file import load_grid
from gpuclust.store.store import Store

ALL_DIGITS = datasets.load_digits()


def _few_digits() -> Bunch:
    """Return the first samples in the format of `load_digits`."""
    first = {name: ALL_DIGITS[name][:SAMPLES] for name in ("images", "target")}
    return Bunch(**ALL_DIGITS | first)


@pytest.fixture(autouse=True)
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the dataset `digits` a quarter as large: clustering takes a tenth of the time."""
    monkeypatch.setattr(datasets, "load_digits", _few_digits)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory) -> Path:
    """Root folder that holds the raw pixels of the digits as an embedding."""
    root = tmp_path_factory.mktemp("embedded")
    (unit,) = units_of([Cell.of(dataset="digits", split="all", encoder="raw", clusterer="kmeans")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load_digits", _few_digits)
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
