"""Agreement of CPU and GPU: labels and scores of both backends on the same embeddings.

Different libraries draw different random numbers, so two backends agree at most as well as one
backend agrees with itself under another seed: that spread is reported beside every difference.
Both use ordinary rows of a store, with their labels; existing rows are not computed again, so they
may come from two machines that share a root.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..cell import Cell, ResolvedUnit, Unit
from ..embeddings.load import DEFAULT_OPTIONS, Options, look_up
from ..errors import DamagedFileError, InputError
from ..events import Watcher
from ..metrics import adjusted_rand_score
from ..store import labels
from ..store.store import Store

BACKENDS = ("cpu", "gpu")


class Found(NamedTuple):
    """Row and labels (n,) of a cell on one backend."""

    row: Mapping[str, Any]
    labels: np.ndarray


class Line(NamedTuple):
    """Agreement of the two backends on one combination, over its seeds.

    Attributes
    ----------
    what : str
        Unit, reducer, clusterer and k.
    seeds : tuple of int
        Seeds that both backends have.
    ari : tuple of float
        Adjusted Rand index between the backends, per seed.
    spread : tuple of float
        Adjusted Rand index between two seeds of the CPU backend, for every pair of seeds.
    scores : dict
        By score, ``{"cpu": mean, "gpu": mean, "difference": mean of gpu - cpu, "sd": standard
        deviation of the CPU backend over the seeds}``; None with fewer than two seeds.
    missing : tuple of str
        Messages about rows that are missing or failed.
    """

    what: str
    seeds: tuple[int, ...]
    ari: tuple[float, ...]
    spread: tuple[float, ...]
    scores: dict[str, dict[str, float | None]]
    missing: tuple[str, ...]


def compare(units: Iterable[Unit], store: Store, options: Options = DEFAULT_OPTIONS) -> list[Line]:
    """Compare the rows of CPU and GPU of the same cells.

    O(n) time per pair of labelings, plus reading them; the seeds of one combination are compared
    pairwise.

    Parameters
    ----------
    units : iterable of Unit
        The cells, several seeds each.
    store : Store
        With rows and labels of both backends (``save_labels`` of `gpuclust.grid.run.run_grid`).

    Returns
    -------
    list of Line
        One per combination of unit, reducer, clusterer and k.
    """
    lines = []
    for unit in units:
        found = look_up(unit, store, options, Watcher())
        resolved = {name: found.resolve(name) for name in BACKENDS}
        groups: dict[Cell, list[int]] = {}
        for i, cell in enumerate(unit.cells):
            groups.setdefault(dataclasses.replace(cell, seed=0), []).append(i)
        for cell, members in groups.items():
            pairs, missing = _pairs(members, resolved, store)
            lines.append(_line(f"{unit}: {_name(cell)}", pairs, missing))
    return lines


def _name(cell: Cell) -> str:
    return f"{cell.reducer_text} | {cell.clusterer}" + (f", k={cell.k}" if cell.k else "")


def _pairs(
    members: Sequence[int], resolved: Mapping[str, ResolvedUnit], store: Store
) -> tuple[dict[int, tuple[Found, Found]], list[str]]:
    """Read the rows of both backends for every seed, with messages about missing rows."""
    pairs: dict[int, tuple[Found, Found]] = {}
    missing = []
    for i in members:
        seed = resolved["cpu"].cells[i].cell.seed
        read = [_read(unit, i, store) for unit in resolved.values()]
        missing += [f"seed {seed}: {one}" for one in read if isinstance(one, str)]
        cpu, gpu = read
        if isinstance(cpu, Found) and isinstance(gpu, Found):
            pairs[seed] = cpu, gpu
    return pairs, missing


def _read(resolved: ResolvedUnit, i: int, store: Store) -> Found | str:
    key, name = resolved.cells[i].key, resolved.backend
    try:
        row = store.read_row(store.row_path(resolved.unit, key))
        found = labels.read(store.labels_path(key))
    except DamagedFileError as error:
        return f"damaged on {name}: {error}"
    if row is None:
        return f"no {name} row"
    if row["status"] == "failed":
        return f"failed on {name}: {row['error']['message']}"
    if found is None:
        return f"no labels of the {name} row; compute it again with --save-labels"
    return Found(row, found.cluster)


def _line(what: str, found: Mapping[int, tuple[Found, Found]], missing: Sequence[str]) -> Line:
    cpu = [one for one, _ in found.values()]
    gpu = [one for _, one in found.values()]
    return Line(
        what=what,
        seeds=tuple(found),
        ari=tuple(_ari(a, b) for a, b in zip(cpu, gpu, strict=True)),
        spread=tuple(_ari(a, b) for a, b in itertools.combinations(cpu, 2)),
        scores={name: _scores(name, cpu, gpu) for name in _names(cpu + gpu)},
        missing=tuple(missing),
    )


def _ari(a: Found, b: Found) -> float:
    if a.labels.shape != b.labels.shape:
        raise InputError(
            f"the two backends clustered {len(a.labels)} and {len(b.labels)} samples, so their "
            "embeddings differ. Give both one root."
        )
    return float(adjusted_rand_score(a.labels, b.labels))


def _names(found: Sequence[Found]) -> list[str]:
    """Return the scores defined in all rows of both backends."""
    if not found:
        return []
    names = [name for name, value in found[0].row["scores"].items() if value is not None]
    return [n for n in names if all(one.row["scores"].get(n) is not None for one in found)]


def _scores(name: str, cpu: Sequence[Found], gpu: Sequence[Found]) -> dict[str, float | None]:
    a = [float(one.row["scores"][name]) for one in cpu]
    b = [float(one.row["scores"][name]) for one in gpu]
    return {
        "cpu": statistics.fmean(a),
        "gpu": statistics.fmean(b),
        "difference": statistics.fmean(y - x for x, y in zip(a, b, strict=True)),
        "sd": statistics.stdev(a) if len(a) > 1 else None,
    }


def table(lines: Iterable[Line], score: str = "ami") -> tuple[list[str], list[list[str]]]:
    """Return the header and the cells of a table of lines, as text.

    The ARI columns are ``mean (smallest)``; `score` is shown beside the score with the largest
    relative difference.
    """
    header = ["cell", "seeds", "ARI cpu-gpu", "ARI cpu-cpu"]
    header += [f"{score} cpu", "gpu", "difference", "sd over seeds", "differs most", ""]
    return header, [_cells(line, score) for line in lines]


def _cells(line: Line, score: str) -> list[str]:
    one = line.scores.get(score, {})
    numbers = [_number(one.get(key)) for key in ("cpu", "gpu", "difference", "sd")]
    most = max(line.scores, key=lambda n: _relative(line.scores[n]), default="")
    if most:
        most = f"{most} {line.scores[most]['difference']:+.3g}"
    first = [line.what, str(len(line.seeds)), _aris(line.ari), _aris(line.spread)]
    return [*first, *numbers, most, "; ".join(line.missing)]


def _relative(score: Mapping[str, float | None]) -> float:
    """Return the size of a difference relative to the score."""
    size = max(abs(score["cpu"] or 0.0), abs(score["gpu"] or 0.0))
    return abs(score["difference"] or 0.0) / size if size else 0.0


def _aris(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.3f} ({min(values):.3f})" if values else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
