"""Turn a job, plain values, into a function of the seed for a worker to time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..embeddings.data import Data
from ..errors import InputError, unknown
from ..methods.spec import Spec, parse_clusterer, parse_reducer
from ..methods.table import CLUSTERERS, REDUCERS, STUDY_CLUSTERERS
from . import baselines, execute, scores
from .baselines import BACKENDS
from .inputs import KMEANS, Samples, load

UNIT = "unit"
NEIGHBORS = "neighbors"
K_NEIGHBORS = 15
# The study's unit: six clusterers on UMAP, scored in the original and the reduced embedding.
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
    """One piece of work for one implementation.

    Attributes
    ----------
    implementation : str
        ``cpu`` or ``gpu``, the backends of gpuclust, or the name of a baseline.
    what : str
        A reducer or clusterer with its parameters, a score of `scores.NAMES`, ``neighbors``, or
        ``unit`` (with a reducer after a blank).
    data : str
        Path of an .npz file with X and y, or ``digits``.
    n : int or None
        Number of samples; beyond these of the file, noisy copies of them.
    k : int or None
        Number of clusters; by default that of the classes, and for a score `inputs.KMEANS`.
    labels : str or None
        Label sets of a score, see `inputs.load`.
    dry : bool
        Run the CPU backend in place of the GPU, to test a benchmark on a machine without one.
    """

    implementation: str
    what: str
    data: str
    n: int | None = None
    k: int | None = None
    labels: str | None = None
    dry: bool = False


Run = Callable[[int], dict[str, Any]]


def samples(job: Job) -> Samples:
    """Load the samples of a job, with label sets where it is a score."""
    labels = job.labels or (f"kmeans:{job.k}" if job.k else KMEANS)
    return load(job.data, job.n, labels if _parse(job.what)[0] == "score" else None)


def prepare(job: Job, given: Samples) -> Run:
    """Return a function ``run(seed)``: it does the job once and returns its results by name.

    Results are arrays and, under ``stages``, ``scores`` and ``errors``, plain values.  A score
    returns ``score`` and the ``labels`` it scored, one set after another: all implementations must
    have the same.  Imports and copies to the device happen here.

    Raises
    ------
    InputError, BackendError
        For an unknown implementation or method, a baseline that is missing or cannot do this.
    """
    kind, spec = _parse(job.what)
    if job.implementation not in BACKENDS:
        return _baseline(job, given, kind, spec)
    on = execute.select(job.implementation, dry=job.dry)
    if kind == "score":
        return _scored(scores.ours(spec), given, on.put)
    data = on.place(Data(given.X, given.y, "bench"))
    if kind == UNIT:
        return _unit(job, data, on)
    if kind == NEIGHBORS:
        return lambda seed: {"neighbors": execute.neighbors(data.X, K_NEIGHBORS, on)}
    if kind == "reducer":
        return lambda seed: {"Z": execute.reduce(data.X, spec, seed, on)}
    k = job.k or data.n_classes
    return lambda seed: {"labels": execute.cluster(data.X, spec, k, seed, on)}


def _scored(score: scores.Score, given: Samples, place: Callable[[Any], Any]) -> Run:
    labels = np.concatenate(given.sets)
    X, y, sets = place(given.X), place(given.y), [place(one) for one in given.sets]
    return lambda seed: {"score": np.array(score(X, y, sets), np.float64), "labels": labels}


def _parse(what: str) -> tuple[str, Any]:
    """Parse the name of some work; return its kind and its parameters."""
    if what.partition(" ")[0] in (UNIT, NEIGHBORS):
        return what.partition(" ")[0], None
    name = what.partition("(")[0].partition("|")[0]
    if name in CLUSTERERS:
        return "clusterer", parse_clusterer(what)
    if name in REDUCERS:
        return "reducer", parse_reducer(what)
    if name not in scores.NAMES:
        raise unknown("method", name, [*REDUCERS, *CLUSTERERS, *scores.NAMES, UNIT, NEIGHBORS])
    if what != name:
        raise InputError(f"a score has no parameters here; got {what!r}. Write {name}.")
    return "score", name


def _unit(job: Job, data: Data, on: Any) -> Run:
    reducer = job.what.partition(" ")[2] or "umap"

    def run(seed: int) -> dict[str, Any]:
        how = {"k": job.k, "seed": seed, "metrics": UNIT_METRICS}
        unit = execute.unit_of([reducer], STUDY_CLUSTERERS, **how)
        found: dict[str, Any] = {"stages": {}, "scores": {}, "errors": {}}
        for result in execute.run_unit(unit, data, on):
            row, name = result.row, result.row["clusterer"].partition("(")[0]
            if result.error is not None:
                found["errors"][name] = f"{type(result.error).__name__}: {result.error}"
                continue
            found[name] = result.labels
            found["scores"][name] = row["scores"]
            stages = row["stages"]
            found["stages"]["reduce"] = stages["reduce"]
            found["stages"][name] = stages["cluster"]
            found["stages"]["score"] = found["stages"].get("score", 0.0) + stages["score"]
        return found

    return run


def _baseline(job: Job, given: Samples, kind: str, spec: Any) -> Run:
    module = baselines.load(job.implementation)
    table = {**getattr(module, "METHODS", {}), **getattr(module, "SCORES", {})}
    name = kind if kind in (UNIT, NEIGHBORS) else job.what.partition("(")[0].partition("|")[0]
    can = [*table, scores.DEFAULTS] if set(scores.NEEDED) <= set(table) else [*table]
    if name not in can:
        message = f"the baseline {job.implementation} does not do {name}; it does {', '.join(can)}."
        raise InputError(message)
    place = getattr(module, "place", lambda array: array)
    k = job.k or len(np.unique(given.y))
    if kind == "score":
        return _scored(scores.theirs(name, table), given, place)
    call = table[name]
    if kind == UNIT:
        return lambda seed: call(given.X, given.y, k, seed)
    X = place(given.X)
    if kind == NEIGHBORS:
        return lambda seed: {"neighbors": call(X, K_NEIGHBORS)}
    params = dict((spec if isinstance(spec, Spec) else spec[0]).params)
    result = "labels" if kind == "clusterer" else "Z"
    return lambda seed: {result: call(X, params, k, seed)}


def for_warm_up(given: Samples, job: Job) -> Samples:
    """Take 400 samples for the warm-up on a CPU, all on a GPU, where more is compiled."""
    return given if baselines.on_gpu(job.implementation) else given.first(400)


def as_arrays(found: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Copy the arrays among the results of a run to the host."""
    from ..arrays.transfer import to_host

    skip = ("stages", "scores", "errors")
    return {name: np.asarray(to_host(value)) for name, value in found.items() if name not in skip}
