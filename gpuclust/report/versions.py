"""Versions recorded in rows, compared with this environment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..device import machine


class Made(NamedTuple):
    """Versions behind a row; None where they are not recorded."""

    version: str | None
    libraries: str | None


# Libraries that compute embeddings, labels or scores.
LIBRARIES = (
    "scikit-learn",
    "umap-learn",
    "pacmap",
    "numpy",
    "scipy",
    "torch",
    "cuml-cu13",
    "cupy-cuda13x",
    "cuml-cu12",
    "cupy-cuda12x",
)
_KNOWN: list[tuple[Mapping[str, Any], Made]] = []  # few for all rows of a root


def made_by(row: Mapping[str, Any]) -> Made:
    """Return the versions of gpuclust and of the libraries behind a row.

    Examples
    --------
    >>> made_by({"host": {"versions": {"gpuclust": "0.1.0", "numpy": "2.4.6"}}})
    Made(version='0.1.0', libraries='numpy 2.4.6')
    """
    versions = _versions(row)
    for known, made in _KNOWN:
        if known == versions:
            return made
    text = ", ".join(f"{name} {versions[name]}" for name in LIBRARIES if name in versions)
    made = Made(versions.get("gpuclust"), text or None)
    if len(_KNOWN) >= 8:
        _KNOWN.clear()
    _KNOWN.append((versions, made))
    return made


def of_others(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """Count the rows of other versions of gpuclust or of its libraries, in words.

    O(rows).  None when all rows are of the versions here.

    Examples
    --------
    >>> of_others([{"host": {"versions": {"gpuclust": "0.0.1"}}}])
    '1 row was computed by gpuclust 0.0.1'
    """
    here = machine.versions()
    found: Counter[str] = Counter()
    for row in rows:
        theirs = _versions(row)
        names = ("gpuclust", *LIBRARIES[:2], "cuml-cu13", "cuml-cu12")
        other = [f"{n} {theirs[n]}" for n in names if n in theirs and theirs[n] != here.get(n)]
        if other:
            found[" and ".join(other)] += 1
    if not found:
        return None
    count = found.total()
    makers, more = found.most_common(1)[0][0], len(found) - 1
    others = f" or {more} other sets of versions" if more else ""
    return f"{count} {'row was' if count == 1 else 'rows were'} computed by {makers}{others}"


def _versions(row: Mapping[str, Any]) -> Mapping[str, Any]:
    host = row.get("host") or {}
    versions: Mapping[str, Any] = host.get("versions") or {}
    return versions
