"""Runs with dying worker processes, on a stand-in for a cluster."""

import dataclasses
import json

import pytest
from small_grid import CPU

from gpuclust.events import Watcher
from gpuclust.grid import run
from gpuclust.grid.run import Lost, run_grid
from gpuclust.grid.unit import compute_unit

DEAD = Lost("its worker died 2 times in a row", blamed=True)


class Notes(Watcher):
    def __init__(self):
        self.texts, self.over = [], []

    def note(self, text):
        self.texts.append(text)

    def done(self, unit, **counts):
        self.over.append(counts)


def cluster(store, deaths):
    """Compute units here, and lose a unit when ``deaths(unit)`` gives a `Lost`."""

    def map_(job, waiting):
        while waiting:
            unit = waiting.popleft()
            died = deaths(unit, job)
            yield unit, died or compute_unit(unit, job)
            yield None

    return map_


def test_a_unit_is_computed_although_its_worker_died_once(store, units):
    deaths = iter([DEAD])
    summary = run_grid(units, store, CPU, map_=cluster(store, lambda unit, job: next(deaths, None)))
    assert (summary.computed, summary.failed, summary.skipped) == (12, 0, 0)
    assert len(store.rows()[0]) == 12


def test_only_the_cell_that_kills_its_worker_becomes_a_failed_row(store, units):
    asked = []

    def deaths(unit, job):
        asked.append(len(unit.cells))
        return DEAD if any(cell.clusterer.name == "hdbscan" for cell in unit.cells) else None

    notes = Notes()
    summary = run_grid(units, store, CPU, map_=cluster(store, deaths), watcher=notes)
    assert (summary.computed, summary.failed) == (12, 4)
    failed = [row for row in store.rows()[0] if row["status"] == "failed"]
    assert {row["clusterer"] for row in failed} == {"hdbscan"}
    assert "died 2 times in a row, 3 times over" in failed[0]["error"]["message"]
    assert "--retry-failed" in failed[0]["error"]["message"]
    # The whole unit once, then cell by cell; a cell that kills its worker is tried three times.
    assert asked[0] == 12
    assert asked.count(1) == 8 + 4 * (run.TRIES)
    assert run_grid(units, store, CPU).failed_before == 4
    assert run_grid(units, store, CPU, redo="failed").computed == 4


def test_a_unit_that_dies_but_gets_on_is_never_given_up(store, units):
    def deaths(unit, job):
        if len(unit.cells) == 1:
            return None
        one = dataclasses.replace(unit, cells=unit.cells[:1])
        compute_unit(one, job)
        return DEAD

    summary = run_grid(units, store, CPU, map_=cluster(store, deaths))
    assert (summary.computed, summary.failed, summary.skipped) == (12, 0, 0)


def test_a_unit_lost_with_the_scheduler_is_not_blamed(store, units):
    deaths = iter([Lost("the scheduler went away", blamed=False)] * 50)
    summary = run_grid(units, store, CPU, map_=cluster(store, lambda unit, job: next(deaths, None)))
    assert (summary.computed, summary.failed) == (12, 0)


def test_a_unit_that_cannot_even_be_embedded_fails_as_a_whole(tmp_path, units):
    from gpuclust.store.store import Store

    new = Store(tmp_path / "new")
    summary = run_grid(units, new, CPU, map_=cluster(new, lambda unit, job: DEAD))
    assert (summary.computed, summary.failed) == (12, 12)
    # The embedding, made later, outdates those rows.
    assert run_grid(units, new, CPU, redo="failed").computed == 12
    assert all(row["status"] == "ok" for row in new.rows()[0])


def test_cells_of_this_run_are_not_computed_twice_when_all_are_asked_for_again(
    store,
    units,
):
    run_grid(units, store, CPU)
    deaths = iter([DEAD])

    def once(unit, job):
        if (died := next(deaths, None)) is not None:
            compute_unit(dataclasses.replace(unit, cells=unit.cells[:6]), job)
        return died

    notes = Notes()
    summary = run_grid(units, store, CPU, redo="all", map_=cluster(store, once), watcher=notes)
    assert (summary.computed, summary.skipped) == (12, 0)
    assert sum(one["computed"] for one in notes.over) == 6


def test_a_unit_claimed_by_another_run_is_waited_for(store, units, monkeypatch):
    monkeypatch.setattr(run, "WAIT_SECONDS", 0.05)
    notes = Notes()
    with store.claim(units[0]) as say:
        say({"unit": str(units[0])})
        asked = iter([False] * 5)
        summary = run_grid(units, store, CPU, stop=lambda: next(asked, True), watcher=notes)
        assert (summary.computed, summary.stopped) == (0, True)
        assert "another run is computing" in notes.texts[0]
    assert run_grid(units, store, CPU).computed == 12


def test_every_row_names_its_run_and_process(store, units):
    run_grid(units, store, CPU)
    rows = store.rows()[0]
    assert len({row["run"] for row in rows}) == 1
    assert all(row["pid"] > 0 for row in rows)
    json.dumps(rows, allow_nan=False)


def test_an_unknown_redo_is_refused(store, units):
    from gpuclust.errors import UnknownNameError

    with pytest.raises(UnknownNameError, match="redo"):
        run_grid(units, store, CPU, redo="some")
