import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import bits
import numpy as np
import pytest

from gpuclust.methods.table import CLUSTERERS, REDUCERS

METHODS = REDUCERS | CLUSTERERS
INSTALLED = [n for n, m in METHODS.items() if not m.extra or importlib.util.find_spec(m.extra)]
# PaCMAP compiles for most of a minute, and gives NaN for samples that are all equal.
QUICK = [name for name in INSTALLED if name != "pacmap"]
SHAPES = {
    "groups of equal samples": bits.groups,
    "equal samples": lambda: np.full((80, 6), 3.5, np.float32),
    "zeros": lambda: np.zeros((80, 6), np.float32),
    "no equal samples": lambda: np.random.default_rng(0).normal(size=(80, 6)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", QUICK)
def test_one_seed_gives_the_same_bits_twice_in_one_process(name, shape):
    X = SHAPES[shape]()
    assert bits.digest(name, X) == bits.digest(name, X.copy())


@pytest.mark.parametrize("names", [QUICK, pytest.param(["pacmap"], marks=pytest.mark.long)])
def test_one_seed_gives_the_same_bits_in_two_processes(names):
    if not set(names) <= set(INSTALLED):
        pytest.skip("pacmap is not installed")
    found = []
    for times in ("2", "1"):
        script = [sys.executable, Path(bits.__file__), times, *names]
        threads = os.environ | {"OMP_NUM_THREADS": "2"}
        run = subprocess.run(script, env=threads, capture_output=True, check=True)
        found += json.loads(run.stdout)
    assert found == [found[0]] * 3
