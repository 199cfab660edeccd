#!/usr/bin/env python3
"""Health check of the container; imports the standard library only, so it takes milliseconds.

healthcheck                                 job: results can be written, the GPU driver answers
healthcheck http://127.0.0.1:8787/health    Dask scheduler or worker: its web server answers
"""

import ctypes
import http.client
import os
import shutil
import sys
import tempfile
import urllib.parse
from pathlib import Path

MIN_FREE = 100 * 2**20  # bytes, the same as in `gpuclust doctor`


def job() -> None:
    """Write to the folders of a job, and query the GPU driver if the container has a GPU."""
    for folder in (os.environ.get("GPUCLUST_ROOT", "/results"), os.environ.get("HOME", "/cache")):
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"written by the healthcheck")
        if (free := shutil.disk_usage(folder).free) < MIN_FREE:
            raise OSError(f"{folder} has {free / 2**20:.0f} MiB free, 100 MiB are needed")
    # A running container can lose its GPUs, for example when the host reloads its cgroups.
    given = Path("/dev/nvidiactl").exists()
    if given and (code := ctypes.CDLL("libcuda.so.1").cuInit(0)):
        raise OSError(f"the NVIDIA driver returns error {code} to cuInit")


def service(url: str) -> None:
    """Send GET to a server, without a proxy; any status but 200 is an error."""
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=8)
    connection.request("GET", parts.path or "/")
    if (status := connection.getresponse().status) != 200:
        raise OSError(f"{url} returns status {status}")


if __name__ == "__main__":
    try:
        service(sys.argv[1]) if len(sys.argv) > 1 else job()
    except OSError as error:
        sys.exit(f"unhealthy: {error}")
