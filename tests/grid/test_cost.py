import pytest

from gpuclust.cell import Cell, units_of
from gpuclust.device import backend
from gpuclust.embeddings.load import Options
from gpuclust.grid import cost
from gpuclust.grid.run import run_grid, status
from gpuclust.methods.table import CLUSTERERS, REDUCERS
from gpuclust.store.store import Store

CPU = backend.select("cpu")


def test_every_method_has_its_cost():
    assert set(cost.REDUCE) == set(REDUCERS)
    assert set(cost.CLUSTER) == set(CLUSTERERS)


@pytest.mark.parametrize("table", [cost.REDUCE, cost.CLUSTER])
def test_more_samples_never_cost_less(table):
    extra = (10,) if table is cost.CLUSTER else ()
    for price in table.values():
        assert 0 <= price(1_000, 50, *extra) <= price(10_000, 50, *extra)


def units(dataset="digits", encoder="raw"):
    names = {"dataset": dataset, "split": "all", "encoder": encoder}
    return units_of([Cell.of(**names, clusterer="kmeans", metrics=["ami"])])


def test_a_grid_that_is_done_costs_nothing(tmp_path):
    (unit,) = units()
    before = status([unit], Store(tmp_path), CPU)["seconds_left"]
    run_grid([unit], Store(tmp_path), CPU)
    assert before > 0
    assert status([unit], Store(tmp_path), CPU)["seconds_left"] == 0


def test_what_cannot_be_estimated_is_not_guessed(tmp_path):
    (unknown_speed,) = units(encoder="random/resnet50")
    assert cost.estimate(unknown_speed, Store(tmp_path), Options()) is None
    (unknown_size,) = units(dataset="torch/cifar10")
    assert cost.estimate(unknown_size, Store(tmp_path), Options()) is None


@pytest.mark.parametrize(("seconds", "text"), [(3, "3 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations_are_written_for_people(seconds, text):
    assert cost.human(seconds) == text
