"""Grids computed by Dask workers of this machine."""

import copy
import importlib.util
import json
import os
import shutil
import signal
import subprocess
from collections import deque
from types import SimpleNamespace

import pytest

pytest.importorskip("distributed")

from cluster import BIN, Process, digits_folder, scheduler, wait_for, worker
from command_line import gpuclust

from gpuclust.cluster import dask_cluster
from gpuclust.cluster.dask_cluster import SchedulerError
from gpuclust.cluster.plan import Plan
from gpuclust.device import backend
from gpuclust.embeddings import load
from gpuclust.embeddings.load import Lookup, Options
from gpuclust.errors import BackendError, InputError, StorageError
from gpuclust.events import Watcher
from gpuclust.grid.grid_file import load_grid
from gpuclust.grid.unit import Run
from gpuclust.store.store import Store

GRID = """
dataset = [{datasets}]
encoder = "raw"
reducer = ["none", "l2"]
clusterer = ["kmeans", "agglomerative", "hdbscan"]
metrics = "external"
"""


@pytest.fixture(scope="module")
def grid_file(tmp_path_factory):
    """A grid of four units of 200 images, six cells each."""
    folder = tmp_path_factory.mktemp("grid")
    folders = [digits_folder(folder / f"digits{i}", 200 * i, 200) for i in range(4)]
    file = folder / "grid.toml"
    file.write_text(GRID.format(datasets=", ".join(f'"folder:{path}"' for path in folders)))
    return file


@pytest.fixture(scope="module")
def embedded(grid_file, tmp_path_factory):
    """Root with the embeddings of the four units: workers need not import torch."""
    root = tmp_path_factory.mktemp("embedded")
    for unit in load_grid(grid_file):
        load.embed_unit(Lookup(unit), Store(root), backend.select("cpu"), Options(), Watcher())
    return root


@pytest.fixture
def root(embedded, tmp_path):
    shutil.copytree(embedded, tmp_path / "root")
    return tmp_path / "root"


def command(grid_file, root, *more):
    return [BIN / "gpuclust", "grid", grid_file, "--root", root, "--device", "cpu", *more]


def events(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def rows(root):
    found, problems = Store(root).rows()
    assert not problems
    return found


# ---- refused input ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"scheduler": "slurm"}, "local, cuda, an address"),
        ({"scheduler": "tcp://127.0.0.1:1", "workers": 2}, "run already"),
        ({"scheduler": "local", "workers": 0}, "at least 1"),
        ({"scheduler": "local", "threads": 0}, "at least 1"),
    ],
)
def test_a_contradictory_plan_is_refused(given, match):
    with pytest.raises(InputError, match=match):
        Plan(**given)


def test_the_cores_are_shared_out(monkeypatch):
    monkeypatch.setattr("gpuclust.device.threads.cores", lambda: 8)
    assert Plan("local").threads_each(3) == 2
    assert Plan("local").threads_each(20) == 1
    assert Plan("local", threads=5).threads_each(3) == 5
    assert Plan("tcp://somewhere:1").threads_each(3) is None


def test_a_device_that_the_scheduler_does_not_compute_on_is_refused(tmp_path):
    for kind, device in (("local", "gpu"), ("cuda", "cpu")):
        if kind == "cuda":
            pytest.importorskip("dask_cuda")
        with (
            pytest.raises(InputError, match="computes on"),
            dask_cluster.cluster(Plan(kind), Store(tmp_path), device),
        ):
            pass


def test_missing_dask_is_reported_with_the_extra_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with (
        pytest.raises(BackendError, match=r"gpuclust\[dask\]"),
        dask_cluster.cluster(Plan("local"), Store(tmp_path)),
    ):
        pass


@pytest.mark.parametrize("where", ["tcp://127.0.0.1:9", "file:/nowhere/scheduler.json"])
def test_an_absent_scheduler_is_reported(grid_file, tmp_path, where):
    ran = gpuclust("grid", grid_file, "--root", tmp_path, "--scheduler", where)
    assert ran.returncode == 1
    assert f"no scheduler answers at {where}" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_workers_belong_to_a_scheduler(grid_file, tmp_path):
    ran = gpuclust("grid", grid_file, "--root", tmp_path, "--workers", "2")
    assert ran.returncode == 2
    assert "--scheduler local" in ran.stderr


def test_errors_that_end_a_run_are_raised_by_the_client():
    for error in (StorageError("full"), InputError("bad"), BackendError("none")):
        again = copy.copy(error)  # copied by the protocol of pickle, as between processes
        assert (type(again), str(again)) == (type(error), str(error))
        future = SimpleNamespace(status="error", exception=lambda error=error: error)
        with pytest.raises(type(error)):
            dask_cluster._outcome(future)


# ---- computed grids ---------------------------------------------------------------------------


@pytest.mark.slow
def test_workers_of_this_machine_compute_a_grid(grid_file, tmp_path):
    log = tmp_path / "events.jsonl"
    local = ["--scheduler", "local", "--workers", "2", "--json-log", log]
    ran = subprocess.run(command(grid_file, tmp_path, *local), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "2 x cpu on" in ran.stderr
    assert "24 cells computed, 0 of them failed" in ran.stderr
    found = rows(tmp_path)
    assert [row["status"] for row in found] == ["ok"] * 24
    assert len({row["pid"] for row in found}) == 2
    logged = events(log)
    assert len([e for e in logged if e["event"] == "row"]) == 24
    assert [e["computed"] for e in logged if e["event"] == "done"] == [6, 6, 6, 6]
    assert {path.suffix for path in (tmp_path / "running").iterdir()} == {".lock"}
    if importlib.util.find_spec("bokeh") is None:
        assert "dashboard" not in ran.stderr
    # Listening on this machine only.
    assert {e["worker"].rpartition(":")[0] for e in logged if "worker" in e} == {"tcp://127.0.0.1"}
    again = subprocess.run(command(grid_file, tmp_path, *local), capture_output=True, text=True)
    assert "0 cells computed, 0 of them failed; 24 had a row before" in again.stderr


@pytest.mark.slow
def test_ctrl_c_ends_after_the_running_cells(grid_file, root):
    local = ["--scheduler", "local", "--workers", "1"]
    asked = command(grid_file, root, *local)
    client = subprocess.Popen(asked, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for(lambda: list(root.rglob("rows/**/*.json")))
    os.killpg(client.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    said = client.communicate(timeout=60)[1]
    assert client.returncode == 130, said
    assert "the same command goes on from here" in said
    assert "KeyboardInterrupt" not in said
    assert 0 < len(rows(root)) < 24
    assert not list((root / "running").glob("*.stop"))


@pytest.fixture
def running(tmp_path):
    """Start a scheduler and two worker groups separately."""
    file = tmp_path / "scheduler.json"
    started = [scheduler(file, tmp_path / "scheduler.log")]
    started += [worker(file, tmp_path / f"worker{i}.log") for i in range(2)]
    wait_for(file.exists)
    yield file
    for process in started:
        process.end()


@pytest.mark.slow
def test_two_worker_groups_and_two_clients_share_a_grid(running, grid_file, root, tmp_path):
    logs = [tmp_path / f"events{i}.jsonl" for i in range(2)]
    clients = [
        Process(
            *command(grid_file, root, "--scheduler", f"file:{running}", "--json-log", log),
            log=tmp_path / f"client{i}.log",
        )
        for i, log in enumerate(logs)
    ]
    wait_for(lambda: all(client.popen.poll() is not None for client in clients))
    said = [(tmp_path / f"client{i}.log").read_text() for i in range(2)]
    assert [client.popen.returncode for client in clients] == [0, 0], said
    found = rows(root)
    assert [row["status"] for row in found] == ["ok"] * 24
    assert len({row["pid"] for row in found}) == 2, "one of the two groups did nothing"
    computed = [e for log in logs for e in events(log) if e["event"] == "row"]
    assert len(computed) == 24, "a cell was computed twice"


@pytest.mark.slow
def test_a_grid_here_and_one_on_workers_share_a_root(grid_file, root, tmp_path):
    here = Process(*command(grid_file, root), log=tmp_path / "here.log")
    there = Process(
        *command(grid_file, root, "--scheduler", "local", "--workers", "1"),
        log=tmp_path / "there.log",
    )
    wait_for(lambda: None not in (here.popen.poll(), there.popen.poll()))
    said = [(tmp_path / f"{name}.log").read_text() for name in ("here", "there")]
    assert (here.popen.returncode, there.popen.returncode) == (0, 0), said
    counts = [int(text.rpartition(" cells computed")[0].split()[-1]) for text in said]
    assert sum(counts) == 24
    assert len(rows(root)) == 24


POISON = """
import os
import sklearn.cluster
import gpuclust.algorithms
for kind in (sklearn.cluster.HDBSCAN, gpuclust.algorithms.HDBSCAN):
    kind.fit_predict = lambda self, X, y=None: os.kill(os.getpid(), 9)
"""


@pytest.mark.long
def test_a_cell_that_kills_its_workers_becomes_a_failed_row(grid_file, root, tmp_path):
    (tmp_path / "poison.py").write_text(POISON)
    file, one = tmp_path / "poisoned.json", tmp_path / "one.toml"
    one.write_text(GRID.format(datasets=f'"folder:{grid_file.parent / "digits0"}"'))
    started = [scheduler(file, tmp_path / "poisoned.log")]
    try:
        poisoned = worker(file, tmp_path / "dies.log", "--preload", tmp_path / "poison.py")
        started.append(poisoned)
        wait_for(file.exists)
        client = Process(
            *command(one, root, "--scheduler", f"file:{file}"), log=tmp_path / "client.log"
        )
        started.append(client)
        wait_for(lambda: client.popen.poll() is not None, [poisoned])
    finally:
        for process in started:
            process.end()
    assert client.popen.returncode == 1
    states = {(row["clusterer"], row["status"]) for row in rows(root)}
    assert states == {("kmeans", "ok"), ("agglomerative", "ok"), ("hdbscan", "failed")}
    failed = [row["error"]["message"] for row in rows(root) if row["status"] == "failed"]
    assert len(failed) == 2  # one per reducer
    assert all("its worker died" in message for message in failed)


def test_absent_workers_are_waited_for_and_reported(grid_file, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "PATIENCE_SECONDS", 1.0)
    file = tmp_path / "scheduler.json"
    boss = scheduler(file, tmp_path / "scheduler.log")
    try:
        wait_for(file.exists)
        with (
            pytest.raises(SchedulerError, match="no worker has joined"),
            dask_cluster.cluster(Plan(f"file:{file}"), Store(tmp_path)),
        ):
            pass
    finally:
        boss.end()


def test_units_without_an_estimate_go_before_the_longest(grid_file, tmp_path, monkeypatch):
    units = load_grid(grid_file)
    seconds = dict(zip(units, (5.0, None, 70.0, 1.0), strict=True))
    monkeypatch.setattr("gpuclust.grid.cost.estimate", lambda unit, *args: seconds[unit])
    cluster, waiting = SimpleNamespace(_store=Store(tmp_path)), deque(units)
    run = Run(cluster._store, backend.select("cpu"))
    found = dask_cluster.Cluster._estimated(cluster, run, waiting)
    assert found == list(zip(units, (5.0, 71.0, 70.0, 1.0), strict=True))
    assert not waiting
