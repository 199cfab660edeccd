"""Copies between host and device, summed over the rows of a unit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..cell import Unit
from .tables import Brief


def transfers(rows: Iterable[Mapping[str, Any]]) -> Brief:
    """Sum the copies between host and device, by unit and stage.

    A stage that several cells shared is counted once.  Rows without a trace are left out.
    """
    lines = []
    for unit, members in _by_unit(rows).items():
        X_bytes = 4 * members[0]["n"] * members[0]["d"]
        for stage, shared_by in _SHARED_BY.items():
            runs = {shared_by(row): row["device"].get(stage, {}) for row in members}
            traced = [one for one in runs.values() if "to_host" in one]
            if traced:
                sums = {key: sum(one[key] for one in traced) for key in _COPIES}
                lines.append([unit, stage, str(len(traced)), *_copies(sums, X_bytes)])
    header = ["unit", "stage", "times", "to host", "of X", "large", "to device"]
    common = "MiB between host and device; `of X`: as a share of the embedding; large: over 1 MiB"
    return Brief(common, header, lines)


_COPIES = ("to_host", "to_device", "to_host_large")
# Cells with the same value share one run of the stage: all cells share the loading, the cells of
# one representation its reduction and its scores.
_SHARED_BY: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "load": lambda row: row["backend"],
    "reduce": lambda row: (row["reducer"], row["seed"]),
    "cluster": lambda row: row["key"],
    "score": lambda row: (row["reducer"], row["seed"]),
}


def _by_unit(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    units: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if "device" in row and row["status"] == "ok":
            unit = Unit(row["dataset"], row["split"], row["encoder"], row["preprocess"], cells=())
            units.setdefault(str(unit), []).append(row)
    return units


def _copies(sums: Mapping[str, int], X_bytes: int) -> list[str]:
    mib = {key: f"{value / 2**20:.3f}" for key, value in sums.items()}
    share = f"{100 * sums['to_host'] / X_bytes:.2f} %"
    return [mib["to_host"], share, str(sums["to_host_large"]), mib["to_device"]]
