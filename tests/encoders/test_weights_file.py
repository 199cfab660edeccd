"""Weights files: the folder, interrupted downloads, hashes, several processes."""

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from file_server import FileServer

from gpuclust.encoders import download, locked_file, weights_file
from gpuclust.encoders.weights_file import WeightsFile
from gpuclust.errors import InputError, StorageError, WeightsError

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("GPUCLUST_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0, 0.0))
    return tmp_path / "weights"


@pytest.fixture
def server():
    with FileServer(CONTENT) as server:
        yield server


def file_at(server, **more):
    given = {"encoder": "some_encoder", "stem": "some_encoder", "page": "https://page.org"} | more
    return WeightsFile(url=server.url, **given)


def listing(place):
    return sorted(path.name for path in place.iterdir())


def test_a_file_is_downloaded_once_and_then_found(server, place, caplog):
    caplog.set_level("INFO", logger="gpuclust")
    file = file_at(server, sha256=SHA256)
    for _ in range(2):
        path = weights_file.get(file)
        assert path == place / "some_encoder.pth"
        assert path.read_bytes() == CONTENT
    assert len(server.requests) == 1
    assert listing(place) == ["some_encoder.pth"]
    assert f"downloading some_encoder.pth from {server.url}" in caplog.text


def test_a_connection_that_breaks_off_is_resumed_where_it_ended(server, place):
    server.cuts = [100_000, 50_000]
    path = weights_file.get(file_at(server, sha256=SHA256))
    assert path.read_bytes() == CONTENT
    assert [request.get("Range") for request in server.requests] == [
        None,
        "bytes=100000-",
        "bytes=150000-",
    ]
    assert server.requests[1]["If-Range"] == '"one"'
    assert server.sent == len(CONTENT)


@pytest.mark.parametrize(
    "fault", [{"ranges": False}, {"tag": ""}, {"tag": 'W/"weak"'}, {"shift": 1}]
)
def test_without_a_safe_way_to_resume_the_file_starts_again(server, place, fault):
    for name, value in fault.items():
        setattr(server, name, value)
    server.cuts = [100_000]
    assert weights_file.get(file_at(server)).read_bytes() == CONTENT
    assert server.sent > len(CONTENT)


def test_a_date_identifies_the_file_too(server, place):
    server.tag, server.date, server.cuts = "", "Sat, 28 Nov 2026 10:00:00 GMT", [100_000]
    assert weights_file.get(file_at(server)).read_bytes() == CONTENT
    assert server.sent == len(CONTENT)


@pytest.mark.parametrize("seed", range(8))
def test_any_sequence_of_faults_ends_with_the_right_file_or_none(server, place, seed):
    rng = np.random.default_rng(seed)
    server.ranges, server.chunked = bool(rng.integers(2)), bool(rng.integers(2))
    server.cuts = [int(cut) for cut in rng.integers(0, 350_000, rng.integers(12))]
    server.statuses = [int(status) for status in rng.choice([200, 503, 429, 416], 6)]
    for _ in range(12):
        try:
            weights_file.get(file_at(server, sha256=SHA256))
        except WeightsError:
            assert not (place / "some_encoder.pth").exists()
        else:
            break
    assert (place / "some_encoder.pth").read_bytes() == CONTENT
    assert listing(place) == ["some_encoder.pth"]


def test_a_later_call_goes_on_unless_the_file_has_changed(server, place):
    server.cuts = [100_000, 0, 0, 0]
    with pytest.raises(WeightsError, match=r"100,000 bytes of 300,000 bytes downloaded, kept"):
        weights_file.get(file_at(server))
    assert listing(place) == ["some_encoder.pth.part", "some_encoder.pth.part.json"]
    sent = server.sent
    assert weights_file.get(file_at(server)).read_bytes() == CONTENT
    assert server.sent - sent == 200_000
    (place / "some_encoder.pth").unlink()
    server.cuts = [100_000, 0, 0, 0]
    with pytest.raises(WeightsError):
        weights_file.get(file_at(server))
    server.content, server.tag = CONTENT[::-1], '"two"'
    assert weights_file.get(file_at(server)).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("memo", ["", "{", "[]", '{"url": 1}', None])
def test_without_readable_notes_the_file_starts_again(server, place, memo):
    place.mkdir()
    (place / "some_encoder.pth.part").write_bytes(b"something else")
    if memo is not None:
        (place / "some_encoder.pth.part.json").write_text(memo)
    assert weights_file.get(file_at(server)).read_bytes() == CONTENT
    assert listing(place) == ["some_encoder.pth"]


def test_a_part_of_another_address_or_longer_than_the_file_is_not_used(server, place):
    place.mkdir()
    for url, size in (("http://other/file", 10), (server.url, 400_000)):
        (place / "some_encoder.pth.part").write_bytes(bytes(size))
        memo = {"url": url, "validator": '"one"', "total": 300_000}
        (place / "some_encoder.pth.part.json").write_text(json.dumps(memo))
        path = weights_file.get(file_at(server))
        assert path.read_bytes() == CONTENT
        path.unlink()


def test_a_complete_part_needs_no_request(server, place):
    place.mkdir()
    (place / "some_encoder.pth.part").write_bytes(CONTENT)
    memo = {"url": server.url, "validator": '"one"', "total": len(CONTENT)}
    (place / "some_encoder.pth.part.json").write_text(json.dumps(memo))
    assert weights_file.get(file_at(server, sha256=SHA256)).read_bytes() == CONTENT
    assert server.requests == []


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_another_hash_than_the_published_one_is_refused_and_nothing_stays(server, place, kind):
    with pytest.raises(WeightsError) as caught:
        weights_file.get(file_at(server, **{kind: "abcdef"}))
    found = hashlib.new(kind, CONTENT).hexdigest()
    for said in (found, "starts with abcdef", "https://page.org", server.url, str(place)):
        assert said in str(caught.value)
    assert listing(place) == []


def test_a_file_of_the_folder_with_another_hash_is_refused_and_stays(server, place):
    place.mkdir()
    (place / "some_encoder.pth").write_bytes(b"other")
    with pytest.raises(WeightsError) as caught:
        weights_file.get(file_at(server, sha256=SHA256))
    assert f"is {SHA256}" in str(caught.value)
    assert hashlib.sha256(b"other").hexdigest() in str(caught.value)
    assert str(place / "some_encoder.pth") in str(caught.value)
    assert (place / "some_encoder.pth").read_bytes() == b"other"
    assert server.requests == []
    (place / "some_encoder.pth").write_bytes(CONTENT)  # the right one, at the same place
    assert weights_file.get(file_at(server, sha256=SHA256)) == place / "some_encoder.pth"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "text/html; charset=utf-8"}, "a web page instead of the file"),
        ({"statuses": [404]}, "answers 404 Not Found"),
        ({"statuses": [403]}, "answers 403 Forbidden"),
        ({"statuses": [204]}, "answers 204"),
        ({"sized": False}, "does not say how long the file is"),
    ],
)
def test_an_answer_that_cannot_become_right_is_not_asked_for_again(server, place, fault, said):
    for name, value in fault.items():
        setattr(server, name, value)
    with pytest.raises(WeightsError, match=said) as caught:
        weights_file.get(file_at(server))
    assert server.url in str(caught.value)
    assert "some_encoder.pth" in str(caught.value)
    assert len(server.requests) == 1
    assert listing(place) == []


def test_a_busy_server_is_asked_again_a_few_times(server, place):
    server.statuses = [503, 429, 500]
    assert weights_file.get(file_at(server)).read_bytes() == CONTENT
    (place / "some_encoder.pth").unlink()
    server.statuses = [503] * 9
    with pytest.raises(WeightsError, match="answers 503"):
        weights_file.get(file_at(server))
    assert len(server.requests) == 4 + 4


def test_a_silent_server_is_given_up(server, place, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.05)
    server.silent = 1.0
    with pytest.raises(WeightsError, match="timed out"):
        weights_file.get(file_at(server))
    assert listing(place) == []


def test_a_server_that_falls_silent_midway_is_resumed(server, place, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    monkeypatch.setattr(download, "CHUNK", 10_000)
    server.pause = 0.6
    threading.Timer(0.3, lambda: setattr(server, "pause", 0.0)).start()
    assert weights_file.get(file_at(server, sha256=SHA256)).read_bytes() == CONTENT
    assert "Range" in server.requests[1]


def test_without_a_network_the_message_says_which_file_to_put_where(place, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("another attempt is useless"))
    with FileServer(b"") as gone:
        file = file_at(gone)
    with pytest.raises(WeightsError, match="no connection") as caught:
        weights_file.get(file)
    for said in (file.url, str(place), "some_encoder.pth", "GPUCLUST_WEIGHTS"):
        assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert listing(place) == []


def test_a_disk_without_room_is_noticed_before_anything_is_written(server, place, monkeypatch):
    usage = shutil._ntuple_diskusage(10**9, 10**9 - 10, 10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StorageError, match=r"300,000 bytes are needed and 10 bytes are free"):
        weights_file.get(file_at(server))
    assert listing(place) == []


def test_a_disk_that_fills_up_is_left_without_the_part(server, place, monkeypatch):
    append = download._Part.append

    def full(part, chunk):
        if part.size:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(part, chunk)

    monkeypatch.setattr(download, "CHUNK", 1000)
    monkeypatch.setattr(download._Part, "append", full)
    with pytest.raises(StorageError, match="No space left on device") as caught:
        weights_file.get(file_at(server))
    assert "GPUCLUST_WEIGHTS" in str(caught.value)
    assert listing(place) == []


def test_an_interrupted_call_keeps_the_part(server, place, monkeypatch):
    append = download._Part.append

    def interrupted(part, chunk):
        if part.size >= 50_000:
            raise KeyboardInterrupt
        append(part, chunk)

    monkeypatch.setattr(download, "CHUNK", 10_000)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(download._Part, "append", interrupted)
        weights_file.get(file_at(server))
    assert (place / "some_encoder.pth.part").stat().st_size == 50_000
    assert weights_file.get(file_at(server)).read_bytes() == CONTENT
    assert server.requests[1]["Range"] == "bytes=50000-"


CODE = """
import sys
from gpuclust.encoders import weights_file
file = weights_file.WeightsFile(encoder="e", stem="some_encoder", url=sys.argv[1])
sys.stdout.write(weights_file.get(file).name)
"""


def start(server):
    return subprocess.Popen(
        [sys.executable, "-c", CODE, server.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_killed_process_leaves_a_part_that_the_next_one_continues(server, place):
    server.content, server.pause = CONTENT * 10, 60.0
    process = start(server)
    part = place / "some_encoder.pth.part"
    wait_for(lambda: part.exists() and part.stat().st_size > 1_000_000)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (place / "some_encoder.pth").exists()
    size, server.pause = part.stat().st_size, 0.0
    assert weights_file.get(file_at(server)).read_bytes() == CONTENT * 10
    assert server.requests[1]["Range"] == f"bytes={size}-"


def test_of_two_processes_one_downloads_and_both_get_the_file(server, place):
    server.pause = 1.0
    processes = [start(server), start(server)]
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert (out, process.returncode) == (b"some_encoder.pth", 0), err
    assert len(server.requests) == 1
    assert listing(place) == ["some_encoder.pth"]


def test_another_process_takes_over_when_the_first_one_is_killed(server, place):
    server.content, server.pause = CONTENT * 10, 60.0
    first = start(server)
    wait_for(lambda: server.requests)
    second = start(server)
    time.sleep(0.5)
    server.pause = 0.0
    first.kill()
    first.communicate()
    out, err = second.communicate(timeout=60)
    assert (out, second.returncode) == (b"some_encoder.pth", 0), err
    assert (place / "some_encoder.pth").read_bytes() == CONTENT * 10


@pytest.mark.parametrize("finished", [True, False])
def test_a_part_that_another_process_ends_before_the_lock_is_not_written(
    tmp_path, monkeypatch, finished
):
    part, whole, lock = tmp_path / "a.part", tmp_path / "a", locked_file._lock

    def late(handle):
        monkeypatch.setattr(locked_file, "_lock", lock)
        part.rename(whole) if finished else part.unlink()
        return lock(handle)

    monkeypatch.setattr(locked_file, "_lock", late)
    with locked_file.locked(part, until=whole) as handle:
        if not finished:
            handle.write(b"1")
            handle.flush()
            assert part.read_bytes() == b"1"
    assert (handle is None) == finished
    assert listing(tmp_path) == ["a" if finished else "a.part"]


def test_a_folder_with_the_file_is_never_written(server, place):
    place.mkdir()
    (place / "some_encoder.pth").write_bytes(CONTENT)
    place.chmod(0o500)
    before = place.stat().st_mtime_ns
    assert weights_file.get(file_at(server, sha256=SHA256[:8])).parent == place
    assert place.stat().st_mtime_ns == before
    assert server.requests == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that cannot be written")
def test_a_folder_that_cannot_be_written_says_where_to_put_the_file(server, monkeypatch):
    monkeypatch.setenv("GPUCLUST_WEIGHTS", "/proc/self/weights")
    with pytest.raises(StorageError, match="cannot be written") as caught:
        weights_file.get(file_at(server))
    assert "/proc/self/weights" in str(caught.value)
    assert server.url in str(caught.value)


def test_the_folder_is_named_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv("GPUCLUST_WEIGHTS", raising=False)
        else:
            monkeypatch.setenv("GPUCLUST_WEIGHTS", value)
        assert weights_file.folder() == tmp_path / ".cache" / "gpuclust" / "weights"
    monkeypatch.setenv("GPUCLUST_WEIGHTS", "~/mine")
    assert weights_file.folder() == tmp_path / "mine"
    (tmp_path / "mine").write_bytes(b"")
    with pytest.raises(WeightsError, match="which is a file"):
        weights_file.folder()
    monkeypatch.setenv("GPUCLUST_WEIGHTS", "a" * 300)
    with pytest.raises(InputError, match="too long"):
        weights_file.folder()


def test_a_published_name_is_accepted_where_it_says_whose_weights_they_are(place, caplog):
    caplog.set_level("INFO", logger="gpuclust")
    place.mkdir()
    moco = WeightsFile(encoder="m", stem="moco", url="https://x.org/r-50/r-50-1000ep.pth.tar")
    vicreg = WeightsFile(encoder="v", stem="vicreg", url="https://x.org/vicreg/resnet50.pth")
    (place / "r-50-1000ep.pth.tar").touch()
    (place / "resnet50.pth").touch()
    (place / "vicreg.json").touch()
    (place / "vicreg.pth").mkdir()
    assert weights_file.find(moco) == place / "r-50-1000ep.pth.tar"
    assert f"weights of m are read from {place / 'r-50-1000ep.pth.tar'}" in caplog.text
    assert weights_file.find(vicreg) is None
    caplog.clear()
    (place / "moco.pth.tar").touch()
    assert weights_file.find(moco) == place / "moco.pth.tar"
    assert "not from r-50-1000ep.pth.tar" in caplog.text


def test_a_converted_file_is_accepted_and_its_hash_is_not_compared(server, place, caplog):
    caplog.set_level("INFO", logger="gpuclust")
    place.mkdir()
    (place / "some_encoder.safetensors").write_bytes(b"converted")
    path = weights_file.get(file_at(server, sha256=SHA256))
    assert path.name == "some_encoder.safetensors"
    assert "its hash is not compared" in caplog.text


def test_a_long_download_is_reported(server, place, monkeypatch, caplog):
    caplog.set_level("INFO", logger="gpuclust")
    monkeypatch.setattr(download, "REPORT", 0.0)
    monkeypatch.setattr(download, "CHUNK", 100_000)
    weights_file.get(file_at(server))
    assert "some_encoder.pth: 200,000 bytes of 300,000 bytes downloaded" in caplog.text


def test_no_test_of_this_file_ran_in_the_folder_of_the_user(place):
    assert str(weights_file.folder()) == os.environ["GPUCLUST_WEIGHTS"]
