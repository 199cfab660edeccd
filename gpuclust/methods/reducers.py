"""Registry of reducers.

Defaults are from the zero-shot clustering study (arXiv 2406.02465).  The seconds were measured on
two cores with 10,000 image embeddings.
"""

from __future__ import annotations

from ..arrays import METRICS
from . import bindings as to
from .costs import Work, all_pairs, linear, quadratic
from .method import Implementation, Method
from .param import Param, count, flag

# These three follow the array namespace of their input, so both backends run the same class.
_IDENTITY = (Implementation("gpuclust.algorithms.scale:Identity"),)
_UNIT_LENGTH = (Implementation("gpuclust.algorithms.scale:UnitLength"),)
_ZSCORE = (Implementation("gpuclust.algorithms.scale:ZScore"),)

REDUCERS: dict[str, Method] = {
    "none": Method(
        summary="no reduction: the embedding itself",
        cpu=_IDENTITY,
        gpu=_IDENTITY,
        seconds=lambda n, d, k: 0.0,
    ),
    "l2": Method(
        summary="every sample scaled to length 1",
        cpu=_UNIT_LENGTH,
        gpu=_UNIT_LENGTH,
        seconds=lambda n, d, k: 4e-9 * n * d,
        growth=linear,
    ),
    "zscore": Method(
        summary="every dimension to mean 0, sd 1",
        cpu=_ZSCORE,
        gpu=_ZSCORE,
        seconds=lambda n, d, k: 1e-8 * n * d,
        growth=linear,
    ),
    "pca": Method(
        summary="principal components: a number of them, or a share of the variance",
        cpu=(Implementation("sklearn.decomposition:PCA", to.seeded),),
        gpu=(Implementation("gpuclust.algorithms.cuml:PCA", to.pca_gpu),),
        params={
            "n_components": Param(50, (int, float)),
            "whiten": flag(default=False),
        },
        check=to.check_components,
        needs=to.pca_needs,
        seconds=lambda n, d, k: 1e-10 * n * d * min(n, d),
        growth=linear,
        # The covariance matrix, or one product of the same size.
        work=lambda n, d, k: Work(4.0 * n * d, 2.0 * n * d * min(n, d)),
    ),
    "umap": Method(
        summary="UMAP with the study's settings: 50 dimensions, 30 neighbors, min_dist 0",
        cpu=(
            Implementation(
                "gpuclust.algorithms.umap:UMAP",
                to.umap_cpu,
                ahead="gpuclust.algorithms.umap.ahead:prepare",
            ),
        ),
        gpu=(Implementation("cuml.manifold:UMAP", to.umap_gpu),),
        params={
            "n_components": count(50),
            "n_neighbors": count(30, low=2),
            "min_dist": Param(0.0, (float,), low=0, high=1),
            "metric": Param("euclidean", choices=METRICS),
            # False: another layout in every run, so cuML may use its faster random updates.
            "seeded": flag(default=True),
        },
        needs=to.umap_needs,
        seconds=lambda n, d, k: 1.5 + 3.5e-4 * n + 1.4e-11 * n * n * d,
        growth=quadratic,
        work=all_pairs,
    ),
    "pacmap": Method(
        summary="PaCMAP on the CPU",
        cpu=(Implementation("pacmap:PaCMAP", to.seeded),),
        params={
            "n_components": count(50),
            "n_neighbors": count(None, low=2, optional=True),
        },
        needs=to.pacmap_needs,
        extra="pacmap",
        seconds=lambda n, d, k: 5.0 + 3e-3 * n,
        growth=linear,
    ),
}
