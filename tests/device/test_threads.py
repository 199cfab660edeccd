"""Number of threads of the CPU libraries, in processes of their own: it is set per process."""

import os
import subprocess
import sys

import pytest

from gpuclust.device.threads import THREAD_VARIABLES


def run(code):
    env = {name: value for name, value in os.environ.items() if name not in THREAD_VARIABLES}
    command = [sys.executable, "-c", f"import os, sys; {code}"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_libraries_imported_later_read_the_number_of_threads():
    code = (
        "from gpuclust.device.threads import cores, use_threads, THREAD_VARIABLES; use_threads(1); "
        "print(cores(), *(os.environ[name] for name in THREAD_VARIABLES))"
    )
    assert run(code) == ["1"] * (1 + len(THREAD_VARIABLES))


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_numba_with_running_threads_is_limited_without_its_variable():
    code = (
        "import numba; numba.set_num_threads(2); "
        "from gpuclust.device.threads import use_threads; use_threads(1); "
        "numba.njit(lambda: 1)(); "  # reads the variable again, and raises if it was changed
        "print(numba.get_num_threads(), os.environ.get('NUMBA_NUM_THREADS'))"
    )
    assert run(code) == ["1", "None"]
