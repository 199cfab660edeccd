"""How cost grows with n: what is promised, what is fitted, and where memory ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..methods.table import CLUSTERERS, REDUCERS
from ..metrics.suite import INTERNAL

# Below, fixed costs are a good part of the time: exponents are fitted from here on.
LARGE = 5_000


class Promise(NamedTuple):
    """What the docstrings say.

    Attributes
    ----------
    power : float
        Of n, in the time.
    bytes : (c, p) or None
        The buffer of c n^p bytes that ends the memory; None where everything is in proportion to n.
    """

    power: float
    bytes: tuple[float, float] | None = None


class End(NamedTuple):
    """How many samples fill a memory, and by what that is known."""

    n: int
    by: str


_PAIRS = Promise(2)
_LINEAR = Promise(1)
_MATRIX = Promise(2, (4, 2))
# By the name of a subject, else by that of its method; one that is not here is taken for n^2.
_PROMISES = {
    **dict.fromkeys(("l2", "zscore", "pca", "pacmap", "kmeans"), _LINEAR),
    **dict.fromkeys(("ami", "calinski_harabasz", "davies_bouldin"), _LINEAR),
    **{f"agglomerative(linkage={one})": _MATRIX for one in ("average", "complete", "weighted")},
    "affinity": Promise(2, (5.5, 2)),
}


def subjects() -> list[str]:
    """Name every method and the main scores, as `work.Job.what` takes them; UMAP comes last.

    They come from the tables, so a new method is among them.  One whose first parameter is the
    linkage is there in each.
    """
    names = [name for name in REDUCERS if name not in ("none", "umap")]
    for name, method in CLUSTERERS.items():
        first = next(iter(method.params), "")
        choices = method.params[first].choices if first == "linkage" else ()
        names += [f"{name}(linkage={one})" for one in choices] or [name]
    return [*names, "ami", *INTERNAL, "umap"]


def family(subject: str) -> str:
    """Say whether a subject is one of the ``reducers``, ``clusterers`` or ``scores``."""
    method = subject.partition("(")[0]
    kinds = {"reducers": REDUCERS, "clusterers": CLUSTERERS}
    return next((kind for kind, table in kinds.items() if method in table), "scores")


def promise(subject: str) -> Promise:
    """Find what a subject promises."""
    return _PROMISES.get(subject, _PROMISES.get(subject.partition("(")[0], _PAIRS))


def exponent(values: Mapping[int, float]) -> float | None:
    """Fit log value = c + e log n from n = `LARGE` on; None with fewer than two points there."""
    kept = {n: value for n, value in values.items() if n >= LARGE and value > 0}
    if len(kept) < 2:
        return None
    return float(np.polyfit(np.log(list(kept)), np.log(list(kept.values())), 1)[0])


def expected(subject: str, n: int, seconds: Mapping[int, float]) -> float | None:
    """Expect the seconds of n samples from the largest size that is known; None without any.

    By the power that was fitted, and as long as there is none by the one that is promised.
    """
    if not seconds:
        return None
    last = max(seconds)
    return seconds[last] * (n / last) ** (exponent(seconds) or promise(subject).power)


def memory_end(subject: str, d: int, peak_mib: Mapping[int, float], gib: float) -> End | None:
    """Say how many samples of d float32 dimensions fill so many GiB; None where nothing is known.

    By the buffer that is promised; else from the largest n that was measured, its input included,
    in proportion to n, or to the higher power that was fitted.
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
