"""Time the study's whole unit: gpuclust against the study's own recipe."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import GpuclustError
from ..methods.table import CLUSTERERS
from .agreement import agree
from .runner import Process, Say, compare
from .work import UNIT, Job

RECIPE = "recipe"


def bench_unit(
    data: str,
    *,
    runs: int,
    implementation: str = "cpu",
    unseeded: bool = False,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """Time UMAP, six clusterers and their scores against the recipe, in turns.

    Run r has seed r in both.  Afterwards gpuclust repeats the first run in two new processes, to
    see whether the labels are the same.

    Parameters
    ----------
    data : str
        An .npz file with X and y.
    runs : int
        Number of runs of each.
    implementation : {"cpu", "gpu"}
        Backend of gpuclust.
    unseeded : bool
        Let UMAP of gpuclust draw its own seed: results need not repeat.

    Returns
    -------
    dict
        ``speedup``, ``peak_ours_mib``, ``peak_recipe_mib``, by clusterer in ``methods`` the mean
        ``ami_ours`` and ``ami_recipe`` and the ``ari`` between the two, ``reproducible`` (None when
        unseeded), seconds and stages of every run.

    Raises
    ------
    GpuclustError
        When an implementation or one of its clusterers fails.
    """
    job = Job(implementation, f"{UNIT} umap(seeded=False)" if unseeded else UNIT, data)
    found = compare([job, Job(RECIPE, UNIT, data)], runs=runs, say=say)
    for name, one in found["implementations"].items():
        if one.get("error") or one["errors"]:
            raise GpuclustError(one.get("error") or f"{name}: {one['errors'][0]}")
    ours, theirs = found["implementations"][implementation], found["implementations"][RECIPE]
    return {
        "speedup": theirs["median"] / ours["median"],
        "seconds_ours": ours["median"],
        "seconds_recipe": theirs["median"],
        "peak_ours_mib": ours["peak_mib"],
        "peak_recipe_mib": theirs["peak_mib"],
        "memory_share": ours["peak_mib"] / theirs["peak_mib"],
        "seeded": not unseeded,
        "reproducible": None if unseeded else _repeats(job, say),
        "methods": {
            name: {
                "ami_ours": _mean_ami(ours["scores"], name),
                "ami_recipe": _mean_ami(theirs["scores"], name),
                "ari": found["agreement"][RECIPE][name],
            }
            for name in CLUSTERERS
        },
        "runs": found,
    }


def _mean_ami(scores: Sequence[dict[str, Any]], name: str) -> float:
    return statistics.fmean(one[name]["ami"] for one in scores)


def _repeats(job: Job, say: Say) -> bool:
    """Run the first seed in two new processes and compare all labels."""
    say(f"{job.what}, {job.implementation}: the first seed twice more, for reproducibility")
    a, b = _labels(job), _labels(job)
    if set(a) != set(b):
        raise GpuclustError(f"two runs of {job.implementation} returned {set(a)} and {set(b)}")
    return all(np.array_equal(a[name], b[name]) for name in a) and set(agree(a, b).values()) == {
        1.0
    }


def _labels(job: Job) -> dict[str, np.ndarray]:
    process = Process(job.implementation)
    try:
        process.start(job)
        process.run(0)
        return process.arrays()
    finally:
        process.stop()
