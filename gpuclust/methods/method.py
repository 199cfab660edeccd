"""Entry of the registry of methods, and the description of a fit it gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..registry import Entry
from .costs import Growth, Work
from .param import Param, Params


def _no_neighbors(k: int, metric: str) -> tuple[Any, Any]:
    raise TypeError(f"this Fit has no neighbor graph: {k} {metric} neighbors were requested")


class Fit(NamedTuple):
    """Input of one fit, as far as a method needs it to choose its implementation and keywords.

    Attributes
    ----------
    n, d : int
        Number of samples and of dimensions.
    k : int or None
        Number of clusters; None for reducers and for clusterers that find it.
    seed : int
        Random seed.
    trees : dict
        Linkage trees of this representation by (linkage, metric), shared by all its clusterers.
    neighbors : callable (k, metric) -> (distances, indices)
        The k nearest neighbors of every sample, the sample itself first: two arrays (n, k) on the
        device of the data.  The search runs once and is shared by all methods.
    """

    n: int
    d: int
    k: int | None
    seed: int
    trees: dict[tuple[str, str], Any]
    neighbors: Callable[[int, str], tuple[Any, Any]] = _no_neighbors


def _accept_params(name: str, params: Params) -> None:
    """Accept every combination of parameters."""


def _accept_size(params: Params, fit: Fit) -> None:
    """Accept every number of samples, dimensions and clusters."""


def _no_remark(params: Params, labels: Any) -> str | None:
    """Make no remark."""


def _supports_all(params: Params, fit: Fit) -> bool:
    """Support every input."""
    return True


def _same_keywords(params: Params, fit: Fit) -> dict[str, Any]:
    """Pass the parameters on under their own names."""
    return dict(params)


@dataclass(frozen=True)
class Implementation:
    """The class of a method, and the translation of parameters to its keywords.

    Attributes
    ----------
    target : str
        ``"module:Class"``, imported when an estimator is built.
    bind : callable (params, fit) -> dict
        Keywords of the constructor.  Differences between libraries are handled only here.
    supports : callable (params, fit) -> bool
        Whether the class can run this fit; when it cannot, the next implementation is tried.
    ahead : str or None
        ``"module:function"`` called before the first stage of a unit is timed: it imports and
        compiles what the first fit would.
    """

    target: str
    bind: Callable[[Params, Fit], dict[str, Any]] = _same_keywords
    supports: Callable[[Params, Fit], bool] = _supports_all
    ahead: str | None = None


@dataclass(frozen=True, kw_only=True)
class Method(Entry):
    """Entry of a reducer or clusterer.  `summary` and `cpu` suffice; all else has a default.

    Attributes
    ----------
    summary : str
        One line for ``gpuclust list``.
    cpu, gpu : tuple of Implementation
        Implementations of each backend in order of preference; empty when there is none.
    params : mapping of str to Param
        The first one may be given without its name.
    check : callable (name, params)
        Raises `InputError` for a combination of parameters that can never work.
    needs : callable (params, fit)
        Raises `CellError` when this number of samples, dimensions or clusters cannot work.
    remark : callable (params, labels) -> str or None
        Remark on the labels (n,) of a clusterer for its row and the user, such as a limit that
        took effect.
    takes_k : bool
        Whether the number of clusters is an input; see `wants_k`.
    extra : str or None
        Optional dependency of gpuclust that installs the package.
    seconds : callable (n, d, k) -> float, or None
        Estimated seconds on two cores, within a factor of three.  None: unknown, so the time of
        a grid with this method is not estimated.
    growth : callable (params) -> Growth, or None
        Growth with n.  None: unknown; benchmarks assume n^2.
    work : callable (n, d, k) -> Work, or None
        Lower bound of the work, for the roofline.  None: unknown, no share of the limit is given.
    """

    cpu: tuple[Implementation, ...]
    gpu: tuple[Implementation, ...] = ()
    params: Mapping[str, Param] = field(default_factory=dict)
    check: Callable[[str, Params], None] = _accept_params
    needs: Callable[[Params, Fit], None] = _accept_size
    remark: Callable[[Params, Any], str | None] = _no_remark
    takes_k: bool = False
    seconds: Callable[[int, int, int], float] | None = None
    growth: Callable[[Params], Growth] | None = None
    work: Callable[[int, int, int], Work] | None = None

    def wants_k(self, params: Params) -> bool:
        """Whether the number of clusters is an input, given these parameters.

        Examples
        --------
        >>> from gpuclust.methods.table import CLUSTERERS
        >>> CLUSTERERS["agglomerative"].wants_k({"distance_threshold": 2.0})
        False
        """
        return self.takes_k and params.get("distance_threshold") is None

    @property
    def backends(self) -> tuple[str, ...]:
        """Backends with an implementation, of ``cpu`` and ``gpu``."""
        return tuple(name for name in ("cpu", "gpu") if getattr(self, name))

    def implementation(self, backend: str, params: Params, fit: Fit) -> Implementation | None:
        """Choose the implementation for a backend, ``cpu`` or ``gpu``; None when there is none.

        Raises
        ------
        CellError
            When the method cannot work on data of this shape, on any backend.

        Examples
        --------
        >>> from gpuclust.methods.table import CLUSTERERS
        >>> hdbscan = CLUSTERERS["hdbscan"]
        >>> params = {key: param.default for key, param in hdbscan.params.items()}
        >>> fit = Fit(n=1000, d=2, k=None, seed=0, trees={})
        >>> hdbscan.implementation("cpu", params, fit).target
        'sklearn.cluster:HDBSCAN'
        """
        self.needs(params, fit)
        candidates: tuple[Implementation, ...] = getattr(self, backend)
        return next((one for one in candidates if one.supports(params, fit)), None)

    def describe(self, name: str) -> dict[str, Any]:
        """Return the metadata of the entry as JSON values.

        Examples
        --------
        >>> from gpuclust.methods.table import REDUCERS
        >>> REDUCERS["pca"].describe("pca")["parameters"]
        {'n_components': 50, 'whiten': False}
        """
        return {
            "name": name,
            "summary": self.summary,
            "parameters": {key: param.default for key, param in self.params.items()},
            "backends": list(self.backends),
            "takes_k": self.takes_k,
            "extra": self.extra,
        }
