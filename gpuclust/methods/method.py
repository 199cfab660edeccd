"""Entry of the registry of methods: implementations, parameters and optional cost formulas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..errors import InputError, unknown
from ..registry import Entry

Params = Mapping[str, Any]


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


@dataclass(frozen=True)
class Param:
    """A parameter: its default and its allowed values.

    Attributes
    ----------
    default : object
        Value when none is given.
    kinds : tuple of type
        Allowed types.  A bool never counts as a number.
    low, high : float or None
        Inclusive limits of numbers.
    choices : tuple
        Allowed words; replaces `kinds`.
    optional : bool
        Whether None is allowed.
    """

    default: Any
    kinds: tuple[type, ...] = ()
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    optional: bool = False

    def check(self, method: str, name: str, value: Any) -> Any:
        """Return the value, converted to float for a parameter that takes only floats.

        Raises
        ------
        InputError
            When the value has another type, is out of range or is not among the choices.

        Examples
        --------
        >>> Param(0.9, (float,), low=0.5).check("affinity", "damping", 1)
        1.0
        """
        if value is None and self.optional:
            return None
        if self.choices:
            if value not in self.choices:
                raise unknown(f"{name} of {method}", value, self.choices)
            return value
        if float in self.kinds and int not in self.kinds and type(value) is int:
            value = float(value)
        in_range = type(value) in self.kinds and self._within(value)
        if not in_range:
            raise InputError(f"{method}: {name} must be {self.allowed()}; got {value!r}.")
        return value

    def _within(self, value: Any) -> bool:
        if isinstance(value, bool):
            return True
        low_ok = self.low is None or value >= self.low
        return low_ok and (self.high is None or value <= self.high)

    def allowed(self) -> str:
        """Describe the allowed values in words, for error messages."""
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        names = {int: "a whole number", float: "a number", bool: "True or False"}
        text = " or ".join(names[kind] for kind in self.kinds)
        if self.low is not None and self.high is not None:
            text += f" from {self.low:g} to {self.high:g}"
        elif self.low is not None:
            text += f" of at least {self.low:g}"
        return text + (" or None" if self.optional else "")


def count(default: int | None, *, low: int = 1, optional: bool = False) -> Param:
    """Make a parameter that takes whole numbers of at least `low`."""
    return Param(default, (int,), low=low, optional=optional)


def flag(default: bool) -> Param:  # noqa: FBT001 - the value of the flag
    """Make a parameter that takes True or False."""
    return Param(default, (bool,))


class Growth(NamedTuple):
    """Growth of time and memory with the number of samples n.

    Attributes
    ----------
    power : float
        Time grows like n^power.
    bytes : (c, p) or None
        The largest buffer takes c n^p bytes; None when memory grows in proportion to n.
    """

    power: float
    bytes: tuple[float, float] | None = None


class Work(NamedTuple):
    """Lower bound of the work of a fit: bytes moved and float32 operations.

    Arrays smaller than n x n or n x d count as cached, so they are read from memory once.
    """

    moved: float
    operations: float


def linear(params: Params) -> Growth:
    """Time and memory in proportion to n, for every choice of parameters."""
    del params
    return Growth(1)


def quadratic(params: Params) -> Growth:
    """Time in proportion to n^2 and memory in proportion to n, for every choice of parameters."""
    del params
    return Growth(2)


def all_pairs(n: int, d: int, k: int) -> Work:
    """Count reading the samples once and computing each pairwise distance once."""
    del k
    return Work(4.0 * n * d, 1.0 * n * n * d)


def _accept_params(name: str, params: Params) -> None:
    """Accept every combination of parameters."""


def _accept_size(params: Params, fit: Fit) -> None:
    """Accept every number of samples, dimensions and clusters."""


def _supports_all(params: Params, fit: Fit) -> bool:
    """Support every input."""
    return True


def _same_keywords(params: Params, fit: Fit) -> dict[str, Any]:
    """Pass the parameters on under their own names."""
    return dict(params)


@dataclass(frozen=True)
class Implementation:
    """A class that runs a method, and the translation of parameters to its keywords.

    Attributes
    ----------
    target : str
        ``"module:Class"``, imported when an estimator is built.
    bind : callable (params, fit) -> dict
        Keywords of the constructor.  Differences between libraries are handled only here.
    supports : callable (params, fit) -> bool
        Whether the class can run this fit; when it cannot, the next implementation is tried.
    """

    target: str
    bind: Callable[[Params, Fit], dict[str, Any]] = _same_keywords
    supports: Callable[[Params, Fit], bool] = _supports_all


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
    takes_k: bool = False
    seconds: Callable[[int, int, int], float] | None = None
    growth: Callable[[Params], Growth] | None = None
    work: Callable[[int, int, int], Work] | None = None

    def wants_k(self, params: Params) -> bool:
        """Whether the number of clusters is an input, given these parameters."""
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
        """
        self.needs(params, fit)
        candidates: tuple[Implementation, ...] = getattr(self, backend)
        return next((one for one in candidates if one.supports(params, fit)), None)

    def describe(self, name: str) -> dict[str, Any]:
        """Give the metadata of the entry as JSON values."""
        return {
            "name": name,
            "summary": self.summary,
            "parameters": {key: param.default for key, param in self.params.items()},
            "backends": list(self.backends),
            "takes_k": self.takes_k,
            "extra": self.extra,
        }
