"""What is timed: a job says it in plain values, `prepare` makes it a function of no arguments."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import backend
from ..cell import Cell, Unit, units_of
from ..errors import BackendError, InputError, unknown
from ..methods import CLUSTERERS, REDUCERS
from ..pipeline import Data, Outcome, Space, reduce, run_unit
from ..pipeline import cluster as cluster_space
from ..spec import Spec, parse_clusterer, parse_reducer

ENGINES = ("cpu", "gpu")
UNIT = "unit"
# The study's unit: six clusterers on UMAP, scored in both spaces.
UNIT_METRICS = (
    "ami",
    "ari",
    "calinski_harabasz",
    "davies_bouldin",
    "silhouette_euclidean",
    "silhouette_cosine",
    "silhouette_l1_reduced",
    "silhouette_chebyshev_reduced",
)


class Job(NamedTuple):
    """One side of one comparison.

    Attributes
    ----------
    side : str
        ``cpu`` or ``gpu``, our engines, or the name of a peer.
    what : str
        A reducer or clusterer with its parameters, or ``unit`` (with a reducer after a space).
    data : str
        Path of an .npz file with X and y, or ``digits``.
    n : int or None
        Number of samples; more than the file has are its own again with a little noise.
    k : int or None
        Number of clusters; that of the classes by default.
    """

    side: str
    what: str
    data: str
    n: int | None = None
    k: int | None = None


Run = Callable[[int], dict[str, Any]]


def load(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Load X (n, d) float32 and y (n,) int64 of a job.

    Raises
    ------
    InputError
        When the file cannot be read or has no X and y.
    """
    if job.data == "digits":
        from sklearn.datasets import load_digits

        X, y = load_digits(return_X_y=True)
    else:
        X, y = _file(Path(job.data))
    X, y = X.astype(np.float32), y.astype(np.int64)
    return _resized(X, y, job.n or len(X))


def _file(path: Path) -> tuple[np.ndarray, np.ndarray]:
    from ..vectors import read_vectors

    X, y, _ = read_vectors(path)
    if y is None:
        raise InputError(f"{path} has no classes y; agreement and AMI need them. Add an array y.")
    return X, y


def _resized(X: np.ndarray, y: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Take the first n samples; beyond those there are, repeat them with a tenth of the spread."""
    if n <= len(X):
        return np.ascontiguousarray(X[:n]), y[:n]
    times = -(-n // len(X))
    noise = np.random.default_rng(0).normal(size=(n, X.shape[1])).astype(np.float32)
    noise[: len(X)] = 0
    many = np.tile(X, (times, 1))[:n] + 0.1 * X.std(axis=0) * noise
    return many.astype(np.float32), np.tile(y, times)[:n]


def prepare(job: Job, X: np.ndarray, y: np.ndarray) -> Run:
    """Make a job the function ``run(seed)`` that does it once and returns its results by name.

    Results are arrays and, under ``stages`` and ``scores``, plain values.  Everything that a side
    needs is imported here.

    Raises
    ------
    InputError, BackendError
        For an unknown side or method, a peer that is not installed or does not do this.
    """
    if job.side not in ENGINES:
        return _peer(job, X, y)
    on = backend.select(job.side)
    on.prepare()
    data = on.place(Data(X, y, "bench"))
    if job.what.partition(" ")[0] == UNIT:
        return _unit(job, data, on)
    name, spec = _spec(job.what)
    k = job.k or data.n_classes
    if name == "reducer":
        return lambda seed: {"Z": reduce(data.X, spec, seed, on).Z}

    def run(seed: int) -> dict[str, Any]:
        space = Space(data.X, backend.Neighbors(on, data.X), {}, Outcome(None, 0.0))
        return {"labels": cluster_space(space, _cell(spec, k, seed), on).labels}

    return run


def _spec(what: str) -> tuple[str, Any]:
    name = what.partition("(")[0].partition("|")[0]
    if name in CLUSTERERS:
        return "clusterer", parse_clusterer(what)
    if name in REDUCERS:
        return "reducer", parse_reducer(what)
    raise unknown("method", name, [*REDUCERS, *CLUSTERERS, UNIT])


def _cell(spec: Spec, k: int | None, seed: int) -> Cell:
    wants = CLUSTERERS[spec.name].wants_k(dict(spec.params))
    names = {"dataset": "bench", "split": "all", "encoder": "vectors", "preprocess": "own"}
    return Cell(**names, reducer=(), clusterer=spec, k=k if wants else None, seed=seed)


def _unit(job: Job, data: Data, on: backend.Backend) -> Run:
    reducer = job.what.partition(" ")[2] or "umap"
    names = {"dataset": "digits", "split": "all", "encoder": "raw"}

    def unit(seed: int) -> Unit:
        how = {"reducer": reducer, "k": job.k, "seed": seed, "metrics": UNIT_METRICS}
        return units_of([Cell.of(**names, clusterer=c, **how) for c in CLUSTERERS])[0]

    def run(seed: int) -> dict[str, Any]:
        found: dict[str, Any] = {"stages": {}, "scores": {}}
        for result in run_unit(unit(seed), data, on):
            name = result.row["clusterer"]
            found[name] = result.labels
            found["scores"][name] = result.row["scores"]
            stages = result.row["stages"]
            found["stages"]["reduce"] = stages["reduce"]
            found["stages"][name] = stages["cluster"]
            found["stages"]["score"] = found["stages"].get("score", 0.0) + stages["score"]
        return found

    return run


# ---- peers --------------------------------------------------------------------------------------


def peers() -> list[str]:
    """Name the peers there are, installed or not."""
    found = importlib.util.find_spec("gpuclust_peers")
    if found is None:
        return []
    folder = Path(next(iter(found.submodule_search_locations)))
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def _peer(job: Job, X: np.ndarray, y: np.ndarray) -> Run:
    if job.side not in peers():
        raise unknown("side", job.side, [*ENGINES, *peers()])
    module = importlib.import_module(f"gpuclust_peers.{job.side}")
    for package in module.NEEDS:
        if importlib.util.find_spec(package) is None:
            raise BackendError(f"the peer {job.side} needs {package}. Run pip install {package}.")
    kind = UNIT if job.what.partition(" ")[0] == UNIT else job.what.partition("(")[0]
    if kind not in module.METHODS:
        does = ", ".join(module.METHODS)
        raise InputError(f"the peer {job.side} does not do {kind}; it does {does}.")
    k = job.k or len(np.unique(y))
    if kind == UNIT:
        return lambda seed: module.METHODS[UNIT](X, y, k, seed)
    step = _spec(job.what)[1]
    params = dict((step if isinstance(step, Spec) else step[0]).params)
    name = "labels" if kind in CLUSTERERS else "Z"
    return lambda seed: {name: module.METHODS[kind](X, params, k, seed)}


def small(X: np.ndarray, y: np.ndarray, job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Take the samples that a side warms up on: few on a CPU, all on a GPU, which compiles more."""
    rows = len(X) if job.side == "gpu" else min(len(X), 400)
    return X[:rows], y[:rows]


def as_arrays(found: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Copy the arrays among the results of a run to the host."""
    from ..ops import to_host

    skip = ("stages", "scores")
    return {name: np.asarray(to_host(value)) for name, value in found.items() if name not in skip}
