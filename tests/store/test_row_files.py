"""Damaged and hostile files among the rows: each is named, the others are read, nothing hangs."""

import copy
import json
import os
import re

import pytest

from gpuclust.cell import Unit
from gpuclust.errors import DamagedFileError
from gpuclust.store import row_files
from gpuclust.store.store import Store

UNIT = Unit("digits", "all", "raw", "own", ())
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
    "n": 100,
    "seconds": 0.5,
    "stages": {"cluster": 0.5},
    "scores": {"ami": 0.5, "ari": None},
    "warnings": ["slow"],
    "resolved": {"embedding": "f" * 64},
    "host": {"versions": {"gpuclust": "0.1.0"}},
    "device": {"memory": "shared", "load": {"to_host": 1}},
}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "root")
    store.save_row(UNIT, ROW)
    return store


def read_with(store, content):
    """Write another file beside the row; return the messages about it."""
    bad = store.row_path(UNIT, "k2")
    bad.write_bytes(content)
    rows, problems = store.rows()
    assert rows == [ROW]
    return problems


def changed(path, value):
    row = copy.deepcopy(ROW)
    *above, last = path.split(".")
    place = row
    for name in above:
        place = place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(row).encode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("scores", None),
        ("scores", [1]),
        ("scores.ami", "0.5"),
        ("scores.ami", True),
        ("scores.ami", {"mean": 0.5}),
        ("seconds", "fast"),
        ("n", [100]),
        ("n", 10**20),
        ("n_classes", 3.5),
        ("k", "ten"),
        ("k", 2.5),
        ("seed", None),
        ("stages", []),
        ("stages.cluster", "x"),
        ("dataset", 5),
        ("dataset", None),
        ("reducer", ["none"]),
        ("clusterer", ...),
        ("scores", ...),
        ("status", "failed"),
        ("status", ["ok"]),
        ("status", ...),
        ("error", "out of memory"),
        ("host", "a"),
        ("host.versions", ["0.1.0"]),
        ("host.versions.gpuclust", 1),
        ("resolved", 3),
        ("resolved.embedding", 7),
        ("warnings", "slow"),
        ("warnings", [1]),
        ("device", []),
        ("device.load.to_host", "1"),
        ("key", 1),
    ],
)
def test_a_wrong_type_in_a_row_is_reported_with_the_file(store, path, value):
    (problem,) = read_with(store, changed(path, value))
    assert "k2.json" in problem
    assert "damaged" in problem


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\x00\xff\xfe",
        b"[]",
        b"3",
        b'{"status": "ok"}',
        json.dumps(ROW).replace("0.5", "NaN").encode(),
        json.dumps(ROW).replace("0.5", "Infinity").encode(),
        json.dumps(ROW).replace("0.5", "1e999").encode(),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        json.dumps(ROW).encode()[:-20],
        json.dumps(ROW).encode() + b"{}",
    ],
)
@pytest.mark.parametrize("reader", ["orjson", "json"])
def test_what_is_no_row_is_reported_with_the_file(store, content, reader, monkeypatch):
    if reader == "json":  # as on a host without orjson
        monkeypatch.setattr(row_files, "_loads", row_files._json)
    (problem,) = read_with(store, content)
    assert "k2.json" in problem
    assert "\n" not in problem


def test_a_whole_number_beyond_64_bits_is_kept(store):
    store.row_path(UNIT, "k1").write_text(json.dumps(ROW | {"k": 10**20 - 1}))
    ((row,), problems) = store.rows()
    assert row["k"] == 10**20 - 1
    assert problems == []


def test_a_pipe_a_folder_and_a_huge_file_in_place_of_a_row_are_reported(store):
    folder = store.row_path(UNIT, "x").parent
    os.mkfifo(folder / "pipe.json")
    (folder / "folder.json").mkdir()
    (folder / "gone.json").symlink_to("nowhere")
    (folder / "loop.json").symlink_to("loop.json")
    (folder / "zero.json").symlink_to("/dev/zero")
    with (folder / "huge.json").open("wb") as file:
        file.truncate(row_files.LARGEST + 1)
    rows, problems = store.rows()
    assert rows == [ROW]
    named = [re.search(r"/\S+\.json", text)[0] for text in problems]
    names = ["folder", "huge", "loop", "pipe", "zero"]  # a broken link is no row
    assert named == [str(folder / f"{name}.json") for name in names]


def test_a_link_to_a_folder_above_is_not_walked(store):
    (store.row_path(UNIT, "x").parent / "loop").symlink_to(store.root / "rows")
    (store.root / "rows" / "loop").symlink_to(store.root / "rows")
    rows, problems = store.rows()
    assert rows == [ROW]
    assert problems == []


def test_a_file_in_place_of_the_folder_of_rows_is_reported(tmp_path):
    (tmp_path / "rows").write_text("x")
    rows, (problem,) = Store(tmp_path).rows()
    assert rows == []
    assert "Not a directory" in problem


def test_a_row_that_may_not_be_read_is_reported(store, monkeypatch):
    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    path = store.row_path(UNIT, "k1")
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DamagedFileError, match=r"k1\.json: Permission denied"):
        row_files.read(path)
