"""Reasons of failed cells, each once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MOST = 30
_LONGEST = 400


def reasons(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """List the reasons of the failed rows in one line each, the most frequent first.

    At most `MOST` lines, and one with the number of the others.

    Parameters
    ----------
    rows : iterable of mapping
        Rows as in a store; those that did not fail are left out.

    Examples
    --------
    >>> row = {"status": "failed", "dataset": "lsun", "split": "val", "encoder": "raw",
    ...        "preprocess": "own", "error": {"message": "lsun is not in /data."}}
    >>> reasons([row, row, row | {"encoder": "resnet50"}])
    ['lsun is not in /data. (2 units, 3 cells)']
    """
    cells: dict[str, int] = {}
    units: dict[str, set[tuple[str, ...]]] = {}
    for row in rows:
        if row["status"] != "failed":
            continue
        reason = _line(row["error"]["message"])
        cells[reason] = cells.get(reason, 0) + 1
        unit = tuple(str(row[key]) for key in ("dataset", "split", "encoder", "preprocess"))
        units.setdefault(reason, set()).add(unit)
    often = sorted(cells, key=lambda reason: -cells[reason])
    lines = [
        f"{reason} ({_count(len(units[reason]), 'unit')}, {_count(cells[reason], 'cell')})"
        for reason in often[:MOST]
    ]
    more = often[MOST:]
    if more:
        lines.append(f"and {len(more)} more reasons of {sum(cells[one] for one in more)} cells")
    return lines


def _line(message: str) -> str:
    """Return the first line of a message, shortened."""
    line = message.strip().partition("\n")[0]
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
