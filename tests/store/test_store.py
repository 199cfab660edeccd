import dataclasses
import errno
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gpuclust.cell import Unit
from gpuclust.errors import DamagedFileError, StorageError
from gpuclust.store import store as stores
from gpuclust.store.labels import Assignments
from gpuclust.store.store import Store, atomic, slug

UNIT = Unit("digits", "all", "timm/resnet50.a1_in1k", "own", ())
ROW = {
    "status": "ok",
    "key": "k1",
    "dataset": "digits",
    "split": "all",
    "encoder": "raw",
    "preprocess": "own",
    "reducer": "none",
    "clusterer": "kmeans",
    "k": 10,
    "seed": 0,
    "seconds": 0.5,
    "scores": {"ami": 0.5},
}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "root")


def test_a_row_comes_back_as_it_was_written(store):
    path = store.save_row(UNIT, ROW)
    assert store.read_row(path) == ROW
    assert store.rows() == ([ROW], [])


def test_nothing_temporary_is_left_behind(store):
    store.save_row(UNIT, ROW, Assignments(np.array([0, 1, -1])))
    names = [path.name for path in store.root.rglob("*") if path.is_file()]
    assert sorted(names) == ["k1.csv", "k1.json"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_file_and_says_why(tmp_path, monkeypatch, code):
    path = tmp_path / "row.json"
    path.write_text("old")

    def full(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=os.strerror(code)), atomic(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "row.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "text", ["", "{", '{"status": "o', "[]", '{"status": "maybe"}', "\x00\xff"]
)
def test_a_damaged_row_is_named_and_the_others_are_read(store, text):
    store.save_row(UNIT, ROW)
    bad = store.row_path(UNIT, "k2")
    bad.write_text(text, encoding="latin-1")
    with pytest.raises(DamagedFileError, match=r"k2\.json"):
        store.read_row(bad)
    rows, problems = store.rows()
    assert rows == [ROW]
    assert len(problems) == 1
    assert "k2.json" in problems[0]


def test_nan_has_no_place_in_a_row(store):
    with pytest.raises(ValueError, match="JSON compliant"):
        store.save_row(UNIT, ROW | {"scores": {"ami": float("nan")}})


def test_different_names_never_share_a_file():
    names = ["timm/a", "timm_a", "timm a", "a/b", "a_b", "folder:/x/y", "folder:/x_y", "x" * 300]
    names += ["y" + "x" * 300, "A", "a", "é", "è"]
    slugs = [slug(name) for name in names]
    assert len(set(slugs)) == len(names)
    assert all(len(text) < 120 and "/" not in text and not text.startswith(".") for text in slugs)


def test_preprocessings_of_one_encoder_are_two_embeddings(store):
    study = Unit("digits", "all", "timm/resnet50.a1_in1k", "study", ())
    assert store.embedding(UNIT).array != store.embedding(study).array


def test_what_runs_is_told_while_it_runs_only(store):
    with store.claim(UNIT) as say:
        say({"unit": str(UNIT)})
        assert store.running() == [{"unit": str(UNIT)}]
    assert store.running() == []
    assert [path.suffix for path in (store.root / "running").iterdir()] == [".lock"]


def test_a_unit_is_claimed_by_one_process_at_a_time(store):
    code = (
        "import sys; from pathlib import Path; from gpuclust.cell import Unit\n"
        "from gpuclust.store.store import Store\n"
        f"unit = {UNIT!r}\n"
        "with Store(Path(sys.argv[1])).claim(unit) as say: print(say is None)"
    )
    ask = [sys.executable, "-c", code, str(store.root)]
    with store.claim(UNIT):
        other = dataclasses.replace(UNIT, preprocess="study")
        with store.claim(UNIT) as again, store.claim(other) as another:
            assert again is None
            assert another is not None
        busy = subprocess.run(ask, check=True, capture_output=True, text=True)
    free = subprocess.run(ask, check=True, capture_output=True, text=True)
    assert (busy.stdout.strip(), free.stdout.strip()) == ("True", "False")


def test_what_a_killed_process_left_claims_nothing(store):
    code = (
        "import os, sys; from pathlib import Path; from gpuclust.cell import Unit\n"
        "from gpuclust.store.store import Store\n"
        f"with Store(Path(sys.argv[1])).claim({UNIT!r}) as say:\n"
        "    say({'unit': 'u'}); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(store.root)], check=False)
    kinds = {path.suffix for path in (store.root / "running").iterdir()}
    assert kinds == {".json", ".lock"}
    assert store.running() == []
    with store.claim(UNIT) as say:
        assert say is not None


def test_readers_do_not_take_each_other_for_an_owner(store):
    code = (
        "import os, sys; from pathlib import Path; from gpuclust.cell import Unit\n"
        "from gpuclust.store.store import Store\n"
        f"with Store(Path(sys.argv[1])).claim({UNIT!r}) as say:\n"
        "    say({'unit': 'u'}); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(store.root)], check=False)
    for path in (store.root / "running").iterdir():
        path.chmod(0o444)  # reading needs no right to write
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: store.running(), range(400)))
    assert found == [[]] * 400


def test_a_claim_can_be_said_anew_in_fewer_words(store):
    with store.claim(UNIT) as say:
        say({"stage": "x" * 3000})
        say({"stage": "y"})
        assert store.running() == [{"stage": "y"}]


def test_of_many_that_want_a_unit_at_once_exactly_one_has_it(store):
    at_once, most, lock = [0], [0], threading.Lock()

    def go(_):
        with store.claim(UNIT) as say:
            if say is None:
                return 0
            with lock:
                at_once[0] += 1
                most[0] = max(most[0], at_once[0])
            time.sleep(0.001)
            with lock:
                at_once[0] -= 1
            return 1

    with ThreadPoolExecutor(16) as pool:
        had = sum(pool.map(go, range(400)))
    assert had >= 1
    assert most[0] == 1


def test_a_file_system_without_locks_is_told_and_works(store, monkeypatch, caplog):
    def refuse(*args):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with store.claim(UNIT) as say:
        assert say is not None
    assert "no file locks" in caplog.text


def test_rows_are_written_by_the_name_of_their_key_only(store):
    path = store.save_row(UNIT, ROW)
    assert json.loads(path.read_text())["key"] == path.stem


def test_a_temporary_file_is_never_read_as_a_row(store):
    store.save_row(UNIT, ROW)
    half = store.row_path(UNIT, "x").with_name(f"{stores.TEMPORARY}abc-x.json")
    half.write_text("{")
    assert store.rows() == ([ROW], [])


def test_what_a_killed_process_half_wrote_is_swept_away_later(store):
    folder = store.embedding(UNIT).array.parent
    folder.mkdir(parents=True)
    half_row = store.save_row(UNIT, ROW).with_name(f"{stores.TEMPORARY}3-k1.json")
    half_row.write_text("{")
    os.utime(half_row, (0, 0))
    old, fresh = folder / f"{stores.TEMPORARY}1-x.npy", folder / f"{stores.TEMPORARY}2-x.npy"
    for path in (old, fresh, store.embedding(UNIT).array):
        path.write_text("x")
        os.utime(path, (0, 0))
    os.utime(fresh)
    store.sweep()
    assert not half_row.exists()
    assert store.rows() == ([ROW], [])
    assert sorted(folder.iterdir()) == sorted([fresh, store.embedding(UNIT).array])


def test_a_claim_follows_no_link_and_waits_for_no_fifo(store, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    with store.claim(UNIT) as say:
        say({"unit": "u"})
        (claim,) = (store.root / "running").glob("*.json")
    for name in (claim.name, f".tmp-{claim.name}"):
        (claim.parent / name).symlink_to(victim)
    with store.claim(UNIT) as say:
        say({"unit": "u"})
        assert not claim.is_symlink()
        assert store.running() == [{"unit": "u"}]
    assert victim.read_text() == "precious"
    os.mkfifo(claim)
    os.mkfifo(claim.with_name("other.lock"))
    claim.with_name("other.json").symlink_to(victim)
    assert store.running() == []


def test_a_lock_that_is_a_link_is_refused_and_its_target_stays(store, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    with store.claim(UNIT) as say:
        assert say is not None
    (lock,) = (store.root / "running").glob("*.lock")
    lock.unlink()
    lock.symlink_to(victim)
    with pytest.raises(StorageError), store.claim(UNIT):
        pass
    assert victim.read_text() == "precious"


def test_a_row_replaces_a_link_in_its_place(store, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = store.row_path(UNIT, "k")
    path.parent.mkdir(parents=True)
    path.symlink_to(victim)
    store.save_row(UNIT, {"key": "k", "status": "ok"})
    assert not path.is_symlink()
    assert victim.read_text() == "precious"
