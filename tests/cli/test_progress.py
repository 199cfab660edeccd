"""Progress of a run on the console: the live table, the plain lines and the JSON log."""

import dataclasses
import io
import json
from pathlib import Path

import pytest
from gpuclust_cli import progress
from gpuclust_cli.console import Screen
from gpuclust_cli.json_log import JsonLog
from gpuclust_cli.progress import ConsoleWatcher, Progress
from rich.console import Console

from gpuclust.cell import Unit
from gpuclust.errors import StorageError
from gpuclust.events import Relay, Stopped, Watcher

UNIT = Unit("digits", "all", "raw", "own", ())
ROW = {
    "dataset": "digits",
    "split": "all",
    "encoder": "raw",
    "preprocess": "own",
    "reducer": "none",
    "clusterer": "kmeans",
    "k": 10,
    "seed": 0,
    "status": "ok",
    "n": 100,
    "seconds": 1.5,
    "warnings": [],
    "scores": {"ami": 0.5, "n_clusters": 10},
}
THERE = {"worker": "tcp://10.0.0.1:3000", "host": "node1", "pid": 7}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def events(run, **more):
    """Return a watcher to update the progress of a run."""
    return Relay(run.update, more=more)


def test_progress_counts_units_cells_and_rate():
    clock = Clock()
    run = Progress(units=2, cells=8, clock=clock)
    here = events(run)
    here.unit(UNIT, 4)
    clock.now = 2.0
    for status in ("ok", "failed"):
        here.row({**ROW, "status": status, "error": {"message": "no"}})
    here.done(UNIT, computed=2, failed=1, skipped=2)
    assert run.rate == 1.0
    assert run.summary() == (
        "1 of 2 units, 2 of 6 cells, 1 failed, 1.00 cells/s, about 4 s remaining"
    )


def test_each_worker_has_a_line_until_it_is_gone():
    run = Progress(clock=Clock())
    events(run, **THERE).stage(UNIT, "none | kmeans")
    other = {**THERE, "worker": "tcp://10.0.0.2:3000"}
    events(run, **other).row({**ROW, "device": {"cluster": {"peak_bytes": 3 * 2**30}}})
    assert set(run.workers) == {"10.0.0.1:3000", "10.0.0.2:3000"}
    console = Console(file=io.StringIO(), width=200)
    console.print(run.table())
    drawn = console.file.getvalue()
    assert "none | kmeans" in drawn
    assert "3.0 GiB" in drawn
    events(run).workers(["tcp://10.0.0.2:3000"])
    assert set(run.workers) == {"10.0.0.2:3000"}


def test_an_embedding_shows_its_rate():
    clock = Clock()
    run = Progress(clock=clock)
    events(run).embedding(UNIT, 0, 100)
    clock.now = 10.0
    events(run).embedding(UNIT, 50, 100)
    assert run.workers["here"]["what"] == "50/100 images, 5.0 images/s, 10 s remaining"


def test_images_from_before_do_not_count_in_the_rate():
    clock = Clock()
    run = Progress(clock=clock)
    events(run).embedding(UNIT, 40, 100)
    clock.now = 10.0
    events(run).embedding(UNIT, 60, 100)
    assert run.workers["here"]["what"] == "60/100 images, 2.0 images/s, 20 s remaining"


@pytest.fixture
def lines(monkeypatch):
    """Return the lines written to the console so far."""
    console = Screen(file=io.StringIO(), width=200)
    monkeypatch.setattr(progress, "err", console)
    monkeypatch.setattr("gpuclust_cli.console.err", console)
    return lambda: console.file.getvalue().splitlines()


def test_plain_lines_without_a_terminal(lines):
    with ConsoleWatcher(lambda: False) as watcher:
        watcher.unit(UNIT, 2)
        watcher.row(ROW)
        Relay(watcher.tell, more=THERE).row({**ROW, "warnings": ["UserWarning: odd"]})
        watcher.row({**ROW, "status": "failed", "error": {"message": "out of memory"}})
        watcher.note("said once")
        watcher.note("said once")
        watcher.workers([])
    assert lines() == [
        "digits (all) x raw: 2 cells to do",
        "  none | kmeans, k=10, seed 0: 10 clusters  AMI 0.500  1.5 s",
        "  digits x raw: none | kmeans, k=10, seed 0: 10 clusters  AMI 0.500  1.5 s",
        "    UserWarning: odd",
        "  failed  none | kmeans, k=10, seed 0: out of memory",
        "said once",
        "no workers connected; waiting for one",
    ]


def test_a_unit_without_an_embedding_is_one_line_and_its_reason_is_printed_once(lines):
    failed = {key: value for key, value in ROW.items() if key != "n"}
    failed |= {"status": "failed", "error": {"message": "no images"}}
    with ConsoleWatcher(lambda: False) as watcher:
        for encoder in ("raw", "resnet50"):
            for clusterer in ("kmeans", "hdbscan"):
                watcher.row({**failed, "encoder": encoder, "clusterer": clusterer})
        Relay(watcher.tell, more=THERE).row({**failed, "dataset": "lsun"})
    assert lines() == [
        "  failed  all cells: no images",
        "  failed  all cells: the reason above",
        "  failed  lsun x raw: all cells: the reason above",
    ]


def test_a_terminal_gets_one_table_that_goes_away(monkeypatch):
    console = Screen(file=io.StringIO(), width=120, force_terminal=True)
    monkeypatch.setattr(progress, "err", console)
    monkeypatch.setattr("gpuclust_cli.console.err", console)
    with ConsoleWatcher(lambda: False, units=1, cells=2) as watcher:
        watcher.unit(UNIT, 2)
        watcher.stage(UNIT, "none | kmeans")
        watcher.row(ROW)
    assert "0 of 1 units, 1 of 2 cells" in console.file.getvalue()


def test_an_embedding_ends_when_the_run_is_to_stop(lines):
    with ConsoleWatcher(lambda: True) as watcher, pytest.raises(Stopped):
        watcher.embedding(UNIT, 0, 10)
    with pytest.raises(Stopped):
        Relay(stop=lambda: True).embedding(UNIT, 0, 10)


def test_the_log_has_a_line_of_json_per_event(tmp_path):
    path = tmp_path / "events.jsonl"
    for _ in range(2):  # a run that goes on appends
        log = JsonLog(path)
        watcher = Relay(log, more=THERE)
        watcher.unit(UNIT, 2)
        watcher.row(ROW)
        log.close()
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [event["event"] for event in events] == ["unit", "row"] * 2
    assert events[1]["ami"] == 0.5
    assert all(event["worker"] == THERE["worker"] and event["time"] for event in events)


def test_a_log_that_cannot_be_written_raises(tmp_path):
    with pytest.raises(StorageError, match="--json-log"):
        JsonLog(tmp_path / "nowhere" / "events.jsonl")
    full = JsonLog(Path("/dev/full"))
    with pytest.raises(StorageError, match="No space left"):
        full({"event": "row"})
    full.close()


def test_every_event_is_plain_values():
    heard = []
    watcher = Relay(heard.append)
    watcher.embedding(UNIT, 1, 2)
    watcher.unit(UNIT, 2)
    watcher.stage(UNIT, "loading")
    watcher.row(ROW)
    watcher.done(UNIT, computed=1, failed=0, skipped=0)
    watcher.workers(["tcp://a:1"])
    watcher.note("text")
    assert json.loads(json.dumps(heard)) == heard
    Watcher().tell(heard[0])  # without a receiver


def test_units_embedded_together_are_named_and_end_once(lines):
    other = dataclasses.replace(UNIT, encoder="resnet50")
    with ConsoleWatcher(lambda: False) as watcher:
        for unit in (UNIT, other):
            watcher.embedding(unit, 0, 10)
        for _ in range(3):
            for unit in (UNIT, other):
                watcher.embedding(unit, 10, 10)
    ends = [line for line in lines() if "10/10 images" in line]
    assert [line.split(": ")[0].strip() for line in ends] == [str(UNIT), str(other)]
