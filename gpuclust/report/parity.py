"""Do CPU and GPU find the same? Labels and scores of both engines on the same embeddings.

Different libraries draw different random numbers, so two runs agree at most as well as one engine
agrees with itself under another seed: that spread stands beside every difference.  Both sides are
ordinary rows of a store, with their labels; what is there is not computed again, so the two sides
may come from two machines that share a root.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..cell import Cell, Unit
from ..device.backend import named
from ..embeddings.load import DEFAULT_OPTIONS, Options, known_of
from ..errors import InputError
from ..events import Watcher
from ..grid.states import key_of
from ..metrics import adjusted_rand_score
from ..store.store import Store

SIDES = ("cpu", "gpu")


class Found(NamedTuple):
    """What one side has of a cell: its row and its labels (n,)."""

    row: Mapping[str, Any]
    labels: np.ndarray


class Line(NamedTuple):
    """The agreement of two sides on one combination, over its seeds.

    Attributes
    ----------
    what : str
        Unit, reducer, clusterer and k.
    seeds : tuple of int
        Seeds that both sides have.
    ari : tuple of float
        Adjusted Rand index between the sides, per seed.
    spread : tuple of float
        Adjusted Rand index between two seeds of the first side, for every pair of them.
    scores : dict
        By score, ``{"cpu": mean, "gpu": mean, "difference": mean of gpu - cpu, "sd": standard
        deviation of the first side over the seeds}``; None where it takes two seeds.
    missing : tuple of str
        What is not there or has failed, in words.
    """

    what: str
    seeds: tuple[int, ...]
    ari: tuple[float, ...]
    spread: tuple[float, ...]
    scores: dict[str, dict[str, float | None]]
    missing: tuple[str, ...]


def compare(units: Iterable[Unit], store: Store, options: Options = DEFAULT_OPTIONS) -> list[Line]:
    """Compare the rows that CPU and GPU have of the same cells.

    O(n) time per pair of labellings beside reading them; seeds of one combination are compared
    pairwise.

    Parameters
    ----------
    units : iterable of Unit
        The same cells for both sides, several seeds each.
    store : Store
        With rows and labels of both sides (``save_labels`` of `gpuclust.grid.run.run_grid`).

    Returns
    -------
    list of Line
        One per combination of unit, reducer, clusterer and k.
    """
    lines = []
    for unit in units:
        known = known_of(unit, store, options, Watcher())
        groups: dict[Cell, list[Cell]] = {}
        for cell in unit.cells:
            groups.setdefault(dataclasses.replace(cell, seed=0), []).append(cell)
        for cells in groups.values():
            found, missing = _both(unit, cells, store, known)
            lines.append(_line(f"{unit}: {_name(cells[0])}", found, missing))
    return lines


def _name(cell: Cell) -> str:
    return f"{cell.reducer_text} | {cell.clusterer}" + (f", k={cell.k}" if cell.k else "")


def _both(
    unit: Unit, cells: Sequence[Cell], store: Store, known: Any
) -> tuple[dict[int, tuple[Found, Found]], list[str]]:
    """Read both sides of every seed; those that one side lacks are told."""
    found, missing = {}, []
    for cell in cells:
        sides = {name: _read(unit, cell, store, known, name) for name in SIDES}
        missing += [f"seed {cell.seed}: {why}" for why in sides.values() if isinstance(why, str)]
        if all(isinstance(one, Found) for one in sides.values()):
            found[cell.seed] = tuple(sides.values())
    return found, missing


def _read(unit: Unit, cell: Cell, store: Store, known: Any, name: str) -> Found | str:
    key = key_of(cell, known, named(name))
    row = store.read_row(store.row_path(unit, key))
    if row is None:
        return f"no {name} row"
    if row["status"] == "failed":
        return f"failed on {name}: {row['error']['message']}"
    path = store.labels_path(key)
    if not Path(path).exists():
        return f"no labels of the {name} row; compute it again with --save-labels"
    return Found(row, np.load(path, allow_pickle=False))


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
            f"the two sides clustered {len(a.labels)} and {len(b.labels)} samples: they are not of "
            "one embedding. Give both one root."
        )
    return float(adjusted_rand_score(a.labels, b.labels))


def _names(found: Sequence[Found]) -> list[str]:
    """The scores that are defined in every row of both sides."""
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
    """Write lines for people: header and cells.

    The ARI columns are ``mean (smallest)``; `score` is shown beside the one that differs most.
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
    told = [line.what, str(len(line.seeds)), _aris(line.ari), _aris(line.spread)]
    return [*told, *numbers, most, "; ".join(line.missing)]


def _relative(score: Mapping[str, float | None]) -> float:
    """How large a difference is beside the score itself."""
    size = max(abs(score["cpu"] or 0.0), abs(score["gpu"] or 0.0))
    return abs(score["difference"] or 0.0) / size if size else 0.0


def _aris(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.3f} ({min(values):.3f})" if values else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
