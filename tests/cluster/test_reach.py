"""Limits and addresses of a cluster are checked before anything starts."""

import os
import socket
import threading
import time

import pytest

from gpuclust.cluster import reach
from gpuclust.cluster.plan import Plan
from gpuclust.errors import InputError


@pytest.mark.parametrize(
    "text", ["auto", "0", "8GiB", "8 GiB", "512MiB", "1.5g", "600000000", "2gb"]
)
def test_a_size_is_taken(text):
    assert Plan("local", memory_limit=text).memory_limit == text


@pytest.mark.parametrize(
    "text",
    [
        "lots",
        "abc",
        "-5GiB",
        "",
        "8 GiB GiB",
        "1e400",
        "nan",
        "inf",
        "8XB",
        "GiB",
        "0x10",
        "5%",
        "８GiB",
    ],
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match="takes auto, 0 for none, or a size such as 8GiB"):
        Plan("local", memory_limit=text)


@pytest.mark.parametrize("text", ["50MB", "1", "0.5", "511MiB", "0GiB", "100k"])
def test_a_size_below_that_of_a_worker_is_refused(text):
    with pytest.raises(InputError, match="too small: a worker needs at least 512MiB"):
        Plan("local", memory_limit=text)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "{", '{"address": 5}', '{"address": "x"}', "\0", "[" * 9000]
)
def test_what_is_no_scheduler_file_is_refused(tmp_path, content):
    path = tmp_path / "s.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="is not a scheduler file"):
        reach.scheduler_address(path)


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "s.json")
    with pytest.raises(ValueError, match="is not a scheduler file"):
        reach.scheduler_address(tmp_path / "s.json")


def speaker(said):
    """Listen on a free port and send `said` to everybody who connects."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        kept = []
        while True:
            try:
                kept.append(listener.accept()[0])
                kept[-1].sendall(said)
            except OSError:
                return

    threading.Thread(target=answer, daemon=True).start()
    return listener


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 64])
def test_a_port_without_a_scheduler_is_told_within_seconds(said):
    listener = speaker(said)
    start = time.monotonic()
    with pytest.raises((OSError, ValueError)):
        reach.knock(f"tcp://127.0.0.1:{listener.getsockname()[1]}", seconds=1.0)
    assert time.monotonic() - start < 30
    listener.close()


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:1", "foo://127.0.0.1:1", "tcp://", "tcp://::::"]
)
def test_an_address_of_nothing_is_told(address):
    with pytest.raises((OSError, ValueError)):
        reach.knock(address, seconds=2.0)
