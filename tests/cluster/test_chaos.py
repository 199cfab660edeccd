"""Rows and labels survive repeated kills of workers, scheduler and client."""

import contextlib
import json
import os
import random
import subprocess
import time

import pytest

pytest.importorskip("distributed")

from cluster import BIN, Process, digits_folder, scheduler, wait_for, worker, worker_process

from gpuclust.store import labels as label_files
from gpuclust.store.store import Store

GRID = """
dataset = [{datasets}]
encoder = "raw"
reducer = ["none", "l2", "pca(10)"]
clusterer = [
  "kmeans", "agglomerative", "agglomerative_threshold", "affinity", "hdbscan", "spectral",
]
seed = [0, 1, 2]
"""
WORKER_KILLS, CLIENT_KILLS = 20, 2
# Keys of a row that differ between two runs with equal results.
OF_THE_RUN = ("seconds", "stages", "finished", "host", "run", "pid")


def rows_and_labels(root):
    """Read every row and its labels; skip half-written files of killed processes."""
    found = {}
    for path in root.glob("rows/*/*/[!.]*.json"):
        row = json.loads(path.read_text())
        assert row["key"] == path.stem
        labels = label_files.read(root / "labels" / f"{row['key']}.csv").cluster
        found[row["key"]] = ({k: v for k, v in row.items() if k not in OF_THE_RUN}, labels.tolist())
    return found


def kills():
    """Draw the order of the kills."""
    what = ["worker"] * WORKER_KILLS + ["client"] * CLIENT_KILLS + ["scheduler"]
    random.Random(0).shuffle(what)
    return what


@pytest.mark.long
def test_nothing_is_lost_and_nothing_differs_whatever_is_killed(tmp_path):
    folders = [digits_folder(tmp_path / f"digits{i}", 400 * i, 400) for i in range(4)]
    file = tmp_path / "grid.toml"
    file.write_text(GRID.format(datasets=", ".join(f'"folder:{path}"' for path in folders)))
    grid = [BIN / "gpuclust", "grid", file, "--threads", "1", "--save-labels", "--device", "cpu"]

    calm = tmp_path / "calm"
    subprocess.run([*grid, "--root", calm], check=True, capture_output=True)
    expected = rows_and_labels(calm)
    assert len(expected) == 4 * 3 * 6 * 3

    root, where = tmp_path / "chaos", tmp_path / "scheduler.json"
    log = tmp_path / "events.jsonl"
    command = [*grid, "--root", root, "--scheduler", f"file:{where}", "--json-log", log]
    boss = scheduler(where, tmp_path / "scheduler.log")
    nannies = [worker(where, tmp_path / f"worker{i}.log") for i in range(2)]
    client = None
    try:
        wait_for(where.exists)
        client = Process(*command, log=tmp_path / "client.log")
        tended = (boss, *nannies, Repeated(client))
        draw = random.Random(1)
        for what in kills():
            # Kill only while a worker computes: an idle one has nothing to lose.
            wait_for(lambda: computing(root, nannies), tended)
            time.sleep(draw.uniform(0.0, 2.0))
            kill(what, boss, client, tended, lambda: computing(root, nannies), draw)
        wait_for(lambda: client.popen.poll() == 0, tended)
    finally:
        for process in (client, *nannies, boss):
            if process is not None:
                process.end()
    assert rows_and_labels(root) == expected
    logged = [json.loads(line) for line in log.read_text().splitlines()]
    done = [tuple(e[k] for k in CELL) for e in logged if e["event"] == "row"]
    assert len(done) == len(set(done)), "a cell was computed twice"


CELL = ("dataset", "encoder", "reducer", "clusterer", "seed")


class Repeated:
    """The client, started again until it exits with 0."""

    def __init__(self, client):
        self.client = client

    def tend(self):
        if self.client.popen.poll() not in (None, 0):
            self.client.start()


def computing(root, nannies):
    """List the pids of the worker processes with a running unit."""
    there = {process.pid for process in map(worker_process, nannies) if process is not None}
    return [claim["pid"] for claim in Store(root).running() if claim.get("pid") in there]


def kill(what, boss, client, tended, computing, draw):
    """Kill a worker, the client or the scheduler with signal 9."""
    if what == "scheduler":
        boss.kill()
    elif what == "client":
        client.kill()
        client.start()
    else:
        wait_for(computing, tended)
        with contextlib.suppress(ProcessLookupError, IndexError):  # it ended meanwhile
            os.kill(draw.choice(computing()), 9)
