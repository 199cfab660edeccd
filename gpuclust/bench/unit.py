"""The study's whole unit: our engine against the study's own recipe."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import GpuclustError
from ..methods.table import CLUSTERERS
from .runner import Tell, agree, compare, started
from .work import UNIT, Job

RECIPE = "recipe"


def bench_unit(
    data: str, *, runs: int, side: str = "cpu", unseeded: bool = False, tell: Tell = print
) -> dict[str, Any]:
    """Time UMAP, six clusterers and their scores against the recipe, in turns.

    Run r has seed r on both sides.  Afterwards our side repeats the first run in a new process, to
    see whether it gives the same labels.

    Parameters
    ----------
    data : str
        An .npz file with X and y.
    runs : int
        Of either side.
    side : {"cpu", "gpu"}
        Our engine.
    unseeded : bool
        Let our UMAP draw a seed of its own: nothing is repeatable, and cuML need not be either.

    Returns
    -------
    dict
        ``speedup``, ``peak_ours_mib``, ``peak_recipe_mib``, by clusterer in ``methods`` the mean
        ``ami_ours`` and ``ami_recipe`` and the ``ari`` between the two, ``reproducible`` (None when
        unseeded), seconds and stages of every run.
    """
    ours = Job(side, f"{UNIT} umap(seeded=False)" if unseeded else UNIT, data)
    found = compare([ours, Job(RECIPE, UNIT, data)], runs=runs, tell=tell)
    first, theirs = found["sides"][side], found["sides"][RECIPE]
    return {
        "speedup": theirs["median"] / first["median"],
        "seconds_ours": first["median"],
        "seconds_recipe": theirs["median"],
        "peak_ours_mib": first["peak_mib"],
        "peak_recipe_mib": theirs["peak_mib"],
        "memory_share": first["peak_mib"] / theirs["peak_mib"],
        "seeded": not unseeded,
        "reproducible": None if unseeded else _repeats(ours, tell),
        "methods": {
            name: {
                "ami_ours": _mean_ami(first["scores"], name),
                "ami_recipe": _mean_ami(theirs["scores"], name),
                "ari": found["agreement"][RECIPE][name],
            }
            for name in CLUSTERERS
        },
        "runs": found,
    }


def _mean_ami(scores: Sequence[dict[str, Any]], name: str) -> float:
    return statistics.fmean(one[name]["ami"] for one in scores)


def _repeats(job: Job, tell: Tell) -> bool:
    """Run the first seed in two new processes and compare all labels."""
    tell(f"{job.what}, {job.side}: the same seed twice more, is it the same?")
    arrays = []
    for _ in range(2):
        with started([job]) as (side,):
            side.run(0)
            arrays.append(side.arrays())
            side.end()
    a, b = arrays
    if set(a) != set(b):
        raise GpuclustError(f"two runs of {job.side} gave {set(a)} and {set(b)}")
    return all(np.array_equal(a[name], b[name]) for name in a) and set(agree(a, b).values()) == {
        1.0
    }
