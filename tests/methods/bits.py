"""Digests of the results of methods on repeated samples.

As a script, called with a number of times and names of methods, it prints the digests as JSON.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings

import numpy as np
from sklearn.datasets import load_digits

from gpuclust.device import backend
from gpuclust.methods.build import build, neighbors_of
from gpuclust.methods.spec import parse_clusterer, parse_reducer
from gpuclust.methods.table import CLUSTERERS, Fit

CPU = backend.select("cpu")


def repeated_digits() -> np.ndarray:
    """Return 600 digits and copies of 60 of them, (660, 64) float32, in random order."""
    X = load_digits().data[:600].astype(np.float32)
    random = np.random.default_rng(0)
    X = np.concatenate([X, X[random.choice(600, 60, replace=False)]])
    return X[random.permutation(660)]


def groups() -> np.ndarray:
    """Return 60 samples, two groups of 110 equal ones and 30 of zeros, (310, 16) float32."""
    random = np.random.default_rng(0)
    same = np.repeat(random.normal(size=(2, 16)) * 30, 110, axis=0)
    X = np.concatenate([random.normal(size=(60, 16)), same, np.zeros((30, 16))])
    return X[random.permutation(310)].astype(np.float32)


def result(name: str, X: np.ndarray) -> np.ndarray:
    """Return the reduced samples or the labels of a method with its defaults and seed 0."""
    parse = parse_clusterer if name in CLUSTERERS else lambda text: parse_reducer(text)[0]
    params = dict(parse(name).params)
    if isinstance(params.get("n_components"), int):
        params["n_components"] = min(params["n_components"], X.shape[1])
    size = {"n": len(X), "d": X.shape[1], "k": 10}
    fit = Fit(**size, seed=0, trees={}, neighbors=neighbors_of(X, CPU))
    estimator = build(name, params, fit, CPU).estimator
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # equal samples, a graph in parts
        return estimator.fit_predict(X) if name in CLUSTERERS else estimator.fit_transform(X)


def digest(name: str, X: np.ndarray) -> str:
    """Return a digest of the bits of a method's result."""
    return hashlib.sha256(np.ascontiguousarray(result(name, X)).tobytes()).hexdigest()


if __name__ == "__main__":
    data = repeated_digits()
    times, names = int(sys.argv[1]), sys.argv[2:]
    json.dump([{name: digest(name, data) for name in names} for _ in range(times)], sys.stdout)
