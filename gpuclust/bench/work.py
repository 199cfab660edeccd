"""What is timed: a job says it in plain values, `prepare` makes it a function of no arguments."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..cell import Cell, Unit, units_of
from ..device import backend
from ..embeddings.data import Data
from ..errors import BackendError, InputError, unknown
from ..methods.build import neighbors_of
from ..methods.spec import Spec, parse_clusterer, parse_reducer
from ..methods.table import CLUSTERERS, REDUCERS
from ..pipeline import Outcome, Space, reduce, run_unit
from ..pipeline import cluster as cluster_space
from . import scores

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
        A reducer or clusterer with its parameters, a score of `scores.NAMES`, or ``unit`` (with a
        reducer after a space).
    data : str
        Path of an .npz file with X and y, or ``digits``.
    n : int or None
        Number of samples; more than the file has are its own again with a little noise.
    k : int or None
        Number of clusters; that of the classes by default, and for a score `scores.CLUSTERS`.
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
    from ..embeddings.vector_files import read_vectors

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

    Results are arrays and, under ``stages`` and ``scores``, plain values.  A score gives ``score``
    and the ``labels`` that were scored, one after another: both sides must have had the same.
    Everything that a side needs is imported, placed and, for a score, clustered here.

    Raises
    ------
    InputError, BackendError
        For an unknown side or method, a peer that is not installed or does not do this.
    """
    if job.side not in ENGINES:
        return _peer(job, X, y)
    on = backend.select(job.side)
    on.prepare()
    name, spec = _spec(job.what)
    if name == "score":
        return _scored(scores.ours(spec), job, X, y, on.put)
    data = on.place(Data(X, y, "bench"))
    if name == UNIT:
        return _unit(job, data, on)
    k = job.k or data.n_classes
    if name == "reducer":
        return lambda seed: {"Z": reduce(data.X, spec, seed, on).Z}

    def run(seed: int) -> dict[str, Any]:
        space = Space(data.X, neighbors_of(data.X, on), {}, Outcome(None, 0.0))
        return {"labels": cluster_space(space, _cell(spec, k, seed), on).labels}

    return run


def _scored(
    score: scores.Score, job: Job, X: np.ndarray, y: np.ndarray, place: Callable[[Any], Any]
) -> Run:
    sets = scores.label_sets(X, job.k)
    labels = np.concatenate(sets)
    X, y, sets = place(X), place(y), [place(one) for one in sets]
    return lambda seed: {"score": np.array(score(X, y, sets), np.float64), "labels": labels}


def _spec(what: str) -> tuple[str, Any]:
    """Say what kind of work a text asks for, and parse it."""
    if what.partition(" ")[0] == UNIT:
        return UNIT, None
    name = what.partition("(")[0].partition("|")[0]
    if name in CLUSTERERS:
        return "clusterer", parse_clusterer(what)
    if name in REDUCERS:
        return "reducer", parse_reducer(what)
    if name not in scores.NAMES:
        raise unknown("method", name, [*REDUCERS, *CLUSTERERS, *scores.NAMES, UNIT])
    if what != name:
        raise InputError(f"a score has no parameters here; got {what!r}. Write {name}.")
    return "score", name


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


def peer(side: str) -> ModuleType:
    """Import the module of a peer (not yet the packages that it is about).

    Raises
    ------
    InputError
        For a side that does not exist.
    BackendError
        When its packages are not installed; says how they are.
    """
    if side not in peers():
        raise unknown("side", side, [*ENGINES, *peers()])
    module = importlib.import_module(f"gpuclust_peers.{side}")
    for package, name in module.NEEDS.items():
        if importlib.util.find_spec(package) is None:
            raise BackendError(f"the peer {side} needs {package}. Run pip install {name}.")
    return module


def on_gpu(side: str) -> bool:
    """Tell whether a side, ours or a peer, does its work on a GPU."""
    return side == "gpu" if side in ENGINES else getattr(peer(side), "GPU", False)


def _peer(job: Job, X: np.ndarray, y: np.ndarray) -> Run:
    module, (kind, spec) = peer(job.side), _spec(job.what)
    does = {**getattr(module, "METHODS", {}), **getattr(module, "SCORES", {})}
    name = UNIT if kind == UNIT else job.what.partition("(")[0].partition("|")[0]
    if name not in does:
        raise InputError(f"the peer {job.side} does not do {name}; it does {', '.join(does)}.")
    call, k = does[name], job.k or len(np.unique(y))
    place = getattr(module, "place", lambda array: array)
    if kind == UNIT:
        return lambda seed: call(X, y, k, seed)
    if kind == "score":
        return _scored(lambda X, y, sets: [call(X, y, labels) for labels in sets], job, X, y, place)
    params = dict((spec if isinstance(spec, Spec) else spec[0]).params)
    given, result = place(X), "labels" if kind == "clusterer" else "Z"
    return lambda seed: {result: call(given, params, k, seed)}


def small(X: np.ndarray, y: np.ndarray, job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Take the samples that a side warms up on: few on a CPU, all on a GPU, which compiles more."""
    rows = len(X) if on_gpu(job.side) else min(len(X), 400)
    return X[:rows], y[:rows]


def as_arrays(found: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Copy the arrays among the results of a run to the host."""
    from ..arrays.transfer import to_host

    skip = ("stages", "scores")
    return {name: np.asarray(to_host(value)) for name, value in found.items() if name not in skip}
