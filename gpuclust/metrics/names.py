"""Names of the scores of a unit, and the groups of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from ..arrays import METRICS
from ..errors import unknown


@dataclass(frozen=True)
class Score:
    """One score of a clustering.

    Attributes
    ----------
    measure : str
        Name without the representation: ``"ami"``, ``"silhouette_cosine"``.
    kind : {"external", "dispersion", "silhouette"}
        Compares with the true classes; uses distances to centroids; uses all pairwise distances.
    metric : {"euclidean", "cosine", "l1", "chebyshev"} or None
        Distance of a silhouette; None for the other kinds.
    representation : {"original", "reduced", "fitted"} or None
        Array that an internal score is computed on; None for external scores.
    smaller_is_better : bool
        Whether the best clustering has the smallest value.
    """

    measure: str
    kind: str
    metric: str | None = None
    representation: str | None = None
    smaller_is_better: bool = False


EXTERNAL = (
    *("ami", "ami_true", "nmi", "ari", "fmi"),
    *("homogeneity", "completeness", "v_measure", "purity", "accuracy"),
)
REPRESENTATIONS = ("original", "reduced", "fitted")
SILHOUETTES = METRICS
DISPERSIONS = ("calinski_harabasz", "davies_bouldin")

# By name without a representation.  The order of these tables is part of every result key.
MEASURES: dict[str, Score] = {
    **{name: Score(name, "external") for name in EXTERNAL},
    "calinski_harabasz": Score("calinski_harabasz", "dispersion"),
    "davies_bouldin": Score("davies_bouldin", "dispersion", smaller_is_better=True),
    **{f"silhouette_{m}": Score(f"silhouette_{m}", "silhouette", metric=m) for m in SILHOUETTES},
}
INTERNAL = tuple(name for name, score in MEASURES.items() if score.kind != "external")
# By the name used in cells, rows and on the command line.
SCORES: dict[str, Score] = {
    **{name: MEASURES[name] for name in EXTERNAL},
    **{
        f"{name}_{one}": dataclasses.replace(MEASURES[name], representation=one)
        for name in INTERNAL
        for one in REPRESENTATIONS
    },
}
ALL = tuple(SCORES)
# l1 and chebyshev cannot use a matrix product, so they take many times as long as the others.
DEFAULT = tuple(
    name
    for name, score in SCORES.items()
    if score.metric not in ("l1", "chebyshev") and score.representation != "fitted"
)
GROUPS = {
    "default": DEFAULT,
    "external": EXTERNAL,
    "all": ALL,
    # A measure without a representation stands for the embedding before and after reduction.
    **{name: (f"{name}_original", f"{name}_reduced") for name in INTERNAL},
}


def score_of(column: str) -> Score | None:
    """Find the score in a column of the results, None for columns of another kind.

    Examples
    --------
    >>> score_of("davies_bouldin_reduced_clustered").smaller_is_better
    True
    >>> score_of("seconds") is None
    True
    """
    return SCORES.get(column.removesuffix("_clustered"))


def resolve(names: Iterable[str]) -> tuple[str, ...]:
    """Expand groups into names of scores, in the order of `ALL`.

    Raises
    ------
    UnknownNameError
        For a name that is neither a score nor a group.

    Examples
    --------
    >>> resolve(["nmi", "silhouette_cosine"])
    ('nmi', 'silhouette_cosine_original', 'silhouette_cosine_reduced')
    """
    wanted: set[str] = set()
    for name in names:
        if name not in GROUPS and name not in ALL:
            raise unknown(
                "metric", name, [*GROUPS, *ALL], hint="`gpuclust list metrics` shows them all."
            )
        wanted.update(GROUPS.get(name, (name,)))
    return tuple(name for name in ALL if name in wanted)
