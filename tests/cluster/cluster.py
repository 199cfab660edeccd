"""Scheduler, workers and clients as processes of this machine, restarted when they end."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from PIL import Image
from sklearn.datasets import load_digits

BIN = Path(sys.executable).parent
# Longest wait for an event, in seconds.
PATIENCE = 300


class Process:
    """A command, started again when it ends, as a service manager does."""

    def __init__(self, *command: str, log: Path, **env: str):
        self.command = [str(word) for word in command]
        self.log = log
        self.env = os.environ | env
        self.starts = 0
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            # In a session of its own, the children of a killed process can be found and ended.
            self.popen = subprocess.Popen(
                self.command, stdout=log, stderr=log, env=self.env, start_new_session=True
            )
        self.starts += 1

    def tend(self) -> None:
        if self.popen.poll() is not None:
            self.start()

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


def scheduler(file: Path, log: Path) -> Process:
    where = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    return Process(BIN / "dask", "scheduler", "--scheduler-file", file, *where, log=log)


def worker(file: Path, log: Path, *more: object) -> Process:
    how = ["--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--death-timeout", "60"]
    env = {"DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
    return Process(BIN / "dask", "worker", "--scheduler-file", file, *how, *more, log=log, **env)


def worker_process(nanny: Process) -> psutil.Process | None:
    """Find the computing child of a nanny; its other children are helpers of Python."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(nanny.popen.pid).children():
            if "spawn_main" in " ".join(child.cmdline()):
                return child
    return None


def wait_for(event, tend=()) -> None:
    """Wait until `event()` is true, and restart dead processes of `tend`."""
    end = time.monotonic() + PATIENCE
    while not event():
        assert time.monotonic() < end, f"waited {PATIENCE} s for {event}"
        for process in tend:
            process.tend()
        time.sleep(0.1)


def digits_folder(folder: Path, first: int, count: int) -> Path:
    """Write some of scikit-learn's digits as images, a folder per class."""
    digits = load_digits()
    for i in range(first, first + count):
        of_class = folder / str(digits.target[i])
        of_class.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[i] * 15).astype("uint8")).save(of_class / f"{i}.png")
    return folder
