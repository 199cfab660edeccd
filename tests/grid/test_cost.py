import dataclasses

import pytest

from gpuclust.cell import Cell, units_of
from gpuclust.device import backend
from gpuclust.embeddings.load import Options
from gpuclust.grid import cost
from gpuclust.grid.run import run_grid, status
from gpuclust.methods.table import CLUSTERERS, REDUCERS
from gpuclust.store.store import Store

CPU = backend.select("cpu")


@pytest.mark.parametrize("method", [*REDUCERS.values(), *CLUSTERERS.values()])
def test_more_samples_never_cost_less(method):
    assert method.seconds is not None
    assert 0 <= method.seconds(1_000, 50, 10) <= method.seconds(10_000, 50, 10)


def units(dataset="digits", encoder="raw", **how):
    names = {"dataset": dataset, "split": "all", "encoder": encoder}
    return units_of([Cell.of(**names, clusterer="kmeans", metrics=["ami"], **how)])


def test_a_finished_grid_costs_nothing(tmp_path):
    (unit,) = units()
    before = status([unit], Store(tmp_path), CPU)["seconds_left"]
    run_grid([unit], Store(tmp_path), CPU)
    assert before > 0
    assert status([unit], Store(tmp_path), CPU)["seconds_left"] == 0


def test_an_unknown_speed_or_size_has_no_estimate(tmp_path):
    (unknown_speed,) = units(encoder="random/resnet50")
    assert cost.estimate(unknown_speed, Store(tmp_path), Options()) is None
    (unknown_size,) = units(dataset="wds/x")
    assert cost.estimate(unknown_size, Store(tmp_path), Options()) is None


@pytest.mark.parametrize(("table", "name"), [(REDUCERS, "pca"), (CLUSTERERS, "kmeans")])
def test_a_method_of_unknown_cost_has_no_estimate_and_is_named(tmp_path, monkeypatch, table, name):
    monkeypatch.setitem(table, name, dataclasses.replace(table[name], seconds=None))
    (unit,) = units(reducer="pca(2)")
    assert cost.estimate(unit, Store(tmp_path), Options()) is None
    assert cost.unknown_costs(unit) == (name,)
    assert cost.reason([unit]) == f"unknown: the cost of {name}"
    assert status([unit], Store(tmp_path), CPU)["seconds_left"] is None


@pytest.mark.parametrize(("seconds", "text"), [(3, "3 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations_have_a_unit_that_suits_their_length(seconds, text):
    assert cost.human(seconds) == text
