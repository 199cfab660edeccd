#!/usr/bin/env python3
"""Is the container able to work? Nothing is imported but the standard library: milliseconds.

healthcheck                                 a job: can it write its rows, is its GPU there?
healthcheck http://127.0.0.1:8787/health    a dask scheduler or worker: does it answer?
"""

import ctypes
import http.client
import os
import shutil
import sys
import tempfile
import urllib.parse
from pathlib import Path

ROOM = 100 * 2**20  # bytes; `gpuclust doctor` asks for as much


def job() -> None:
    """Write where a job writes, and ask the driver where the container was given a GPU."""
    for folder in (os.environ.get("GPUCLUST_ROOT", "/results"), os.environ.get("HOME", "/cache")):
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"written by the healthcheck")
        if (free := shutil.disk_usage(folder).free) < ROOM:
            raise OSError(f"{folder} has {free / 2**20:.0f} MiB left")
    # A container can lose its GPUs while it runs (a reload of the host's cgroups does it).
    given = Path("/dev/nvidiactl").exists()
    if given and (code := ctypes.CDLL("libcuda.so.1").cuInit(0)):
        raise OSError(f"the NVIDIA driver answers {code} to cuInit")


def service(url: str) -> None:
    """Ask a server whether it is well; no proxy stands between."""
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=8)
    connection.request("GET", parts.path or "/")
    if (status := connection.getresponse().status) != 200:
        raise OSError(f"{url} answers {status}")


if __name__ == "__main__":
    try:
        service(sys.argv[1]) if len(sys.argv) > 1 else job()
    except OSError as error:
        sys.exit(f"unhealthy: {error}")
