"""Growth of time and memory with n: documented, fitted to measurements, and the memory limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..methods.costs import Growth
from ..methods.spec import parse_clusterer, parse_reducer
from ..methods.table import CLUSTERERS, REDUCERS
from ..metrics.suite import INTERNAL

# Exponents are fitted from this n on: below, fixed costs take a large part of the time.
LARGE = 5_000
# Scores with time in proportion to n, and the growth assumed for anything without an entry.
_LINEAR_SCORES = ("ami", "calinski_harabasz", "davies_bouldin")
_ASSUMED = Growth(2)


class End(NamedTuple):
    """Number of samples that fill a memory, and the formula or measurement behind it."""

    n: int
    by: str


def subjects() -> list[str]:
    """List every method and the main scores, as `work.Job.what` takes them; UMAP comes last.

    Methods come from the registry.  A method whose first parameter is the linkage is listed once
    per linkage.

    Examples
    --------
    >>> subjects()[-1]
    'umap'
    """
    names = [name for name in REDUCERS if name not in ("none", "umap")]
    for name, method in CLUSTERERS.items():
        first = next(iter(method.params), "")
        choices = method.params[first].choices if first == "linkage" else ()
        names += [f"{name}(linkage={one})" for one in choices] or [name]
    return [*names, "ami", *INTERNAL, "umap"]


def family(subject: str) -> str:
    """Return ``reducers``, ``clusterers`` or ``scores``.

    Examples
    --------
    >>> family("agglomerative(linkage=ward)")
    'clusterers'
    """
    method = subject.partition("(")[0]
    kinds = {"reducers": REDUCERS, "clusterers": CLUSTERERS}
    return next((kind for kind, table in kinds.items() if method in table), "scores")


def promise(subject: str) -> Growth:
    """Return the documented growth of a method or score; n^2 when none is documented.

    Parameters
    ----------
    subject : str
        One of `subjects`, or another text.

    Examples
    --------
    >>> promise("agglomerative(linkage=average)")
    Growth(power=2, bytes=(4, 2))
    """
    kind = family(subject)
    if kind == "scores":
        return Growth(1) if subject in _LINEAR_SCORES else _ASSUMED
    try:
        spec = parse_clusterer(subject) if kind == "clusterers" else parse_reducer(subject)[0]
    except InputError:  # a name without valid parameters, such as the title of a figure
        return _ASSUMED
    growth = (REDUCERS | CLUSTERERS)[spec.name].growth
    return growth(dict(spec.params)) if growth else _ASSUMED


def exponent(values: Mapping[int, float]) -> float | None:
    """Fit log value = c + e log n for n >= `LARGE` and return e.

    Parameters
    ----------
    values : mapping of int to float
        Seconds or bytes by n.

    Returns
    -------
    float or None
        None with fewer than two positive values there.

    Examples
    --------
    >>> round(exponent({5_000: 1.0, 10_000: 4.0}), 6)
    2.0
    """
    kept = {n: value for n, value in values.items() if n >= LARGE and value > 0}
    if len(kept) < 2:
        return None
    return float(np.polyfit(np.log(list(kept)), np.log(list(kept.values())), 1)[0])


def expected(subject: str, n: int, seconds: Mapping[int, float]) -> float | None:
    """Extrapolate seconds from the largest measured n; None without measurements.

    The fitted exponent is used when there is one, else the documented one.

    Examples
    --------
    >>> expected("kmeans", 20_000, {1_000: 2.0})
    40.0
    """
    if not seconds:
        return None
    last = max(seconds)
    return seconds[last] * (n / last) ** (exponent(seconds) or promise(subject).power)


def memory_end(subject: str, d: int, peak_mib: Mapping[int, float], gib: float) -> End | None:
    """Compute the number of samples that fill a memory; None without a formula or measurement.

    Parameters
    ----------
    subject : str
        One of `subjects`.
    d : int
        Dimensions of the float32 samples.
    peak_mib : mapping of int to float
        Measured peak memory in MiB by n, without the samples.
    gib : float
        Size of the memory in GiB.

    Notes
    -----
    The documented buffer decides when there is one.  Otherwise the measurement at the largest n,
    samples included, is extrapolated in proportion to n, or to the fitted power when it is higher.

    Examples
    --------
    >>> memory_end("agglomerative(linkage=average)", 50, {}, 16)
    End(n=65536, by='4 n^2 bytes')
    """
    if buffer := promise(subject).bytes:
        c, p = buffer
        return End(int((gib * 2**30 / c) ** (1 / p)), f"{c} n^{p} bytes")
    if not peak_mib:
        return None
    last = max(peak_mib)
    held = peak_mib[last] * 2**20 + 4 * d * last
    power = max(exponent(peak_mib) or 1, 1)
    most = last * (gib * 2**30 / held) ** (1 / power)
    return End(int(most), f"{held / last:.0f} bytes a sample at n = {last}, n^{power:.2f}")
