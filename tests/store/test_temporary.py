"""Temporary files of live processes stay, with any clock."""

import os
import subprocess
import sys

import numpy as np
import pytest

from gpuclust.cell import Unit
from gpuclust.store import temporary
from gpuclust.store.store import TEMPORARY, Store, atomic

UNIT = Unit("digits", "all", "raw", "own", ())


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "root")


def old(path):
    os.utime(path, (0, 0))


def test_a_file_that_is_being_written_is_not_swept_however_old_it_looks(store):
    array = store.embedding(UNIT).array
    with atomic(array) as path:
        with path.open("wb") as file:
            np.save(file, np.eye(3))
        old(path)
        code = "import sys; from pathlib import Path; from gpuclust.store.store import Store\n"
        command = [sys.executable, "-c", code + "Store(Path(sys.argv[1])).sweep()", str(store.root)]
        subprocess.run(command, check=True)
        store.sweep()
        assert path.exists()
    assert np.array_equal(np.load(array), np.eye(3))


def test_a_file_of_a_killed_process_is_swept_also_among_the_parts(store):
    array = store.embedding(UNIT).array
    part = array.parent / "raw.parts" / "id" / "1.part"
    code = (
        "import os, sys; from pathlib import Path; from gpuclust.store.store import atomic\n"
        "with atomic(Path(sys.argv[1])) as path: path.write_text('x'); os.kill(os.getpid(), 9)"
    )
    for path in (array, part):
        subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    found = list(store.root.rglob(f"{TEMPORARY}*"))
    assert len(found) == 2
    store.sweep()
    assert len(list(store.root.rglob(f"{TEMPORARY}*"))) == 2  # young: perhaps of an older version
    for path in found:
        old(path)
    store.sweep()
    assert not list(store.root.rglob(f"{TEMPORARY}*"))


def test_a_clock_that_runs_ahead_removes_nothing(store, monkeypatch):
    path = store.embedding(UNIT).array.parent / f"{TEMPORARY}1-x.npy"
    path.parent.mkdir(parents=True)
    path.write_text("x")
    monkeypatch.setattr("time.time", lambda: 1e12)
    store.sweep()
    assert path.exists()


def test_a_link_is_not_followed_to_be_swept(store, tmp_path):
    victim, link = tmp_path / "victim", store.root / "labels" / f"{TEMPORARY}1-x"
    link.parent.mkdir(parents=True)
    victim.write_text("precious")
    link.symlink_to(victim)
    os.utime(link, (0, 0), follow_symlinks=False)
    store.sweep()
    assert victim.read_text() == "precious"


def test_a_name_that_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(FileExistsError), temporary.hold(tmp_path / "x"):
        pass
    assert (tmp_path / "x").read_text() == "mine"


def test_a_file_system_without_locks_works(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with atomic(tmp_path / "x") as path:
        path.write_text("x")
    assert (tmp_path / "x").read_text() == "x"
    assert temporary.is_abandoned(tmp_path / "x")
