"""Reasons of failed cells, each once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MOST = 30
_LONGEST = 1000  # characters; the way out is at the end of a message
_LISTED = 3  # entries of a list, such as bad images


def reasons(rows: Iterable[Mapping[str, Any]], *, cells: bool = True) -> list[str]:
    """List the reasons of the failed rows in one line each, the most frequent first.

    At most `MOST` lines, and one with the number of the others.

    Parameters
    ----------
    rows : iterable of mapping
        Rows as in a store; those that did not fail are not counted.
    cells : bool
        Count the rows as cells, and not only their units.

    Examples
    --------
    >>> row = {"status": "failed", "dataset": "lsun", "split": "val", "encoder": "raw",
    ...        "preprocess": "own", "error": {"message": "lsun is not in /data."}}
    >>> reasons([row, row, row | {"encoder": "resnet50"}])
    ['lsun is not in /data. (2 units, 3 cells)']
    """
    counts: dict[str, int] = {}
    units: dict[str, set[tuple[str, ...]]] = {}
    for row in rows:
        if row["status"] != "failed":
            continue
        reason = _line(row["error"]["message"])
        counts[reason] = counts.get(reason, 0) + 1
        unit = tuple(str(row[key]) for key in ("dataset", "split", "encoder", "preprocess"))
        units.setdefault(reason, set()).add(unit)
    often = sorted(counts, key=lambda reason: -counts[reason])
    lines = []
    for reason in often[:MOST]:
        count = [_count(len(units[reason]), "unit")]
        count += [_count(counts[reason], "cell")] if cells else []
        lines.append(f"{reason} ({', '.join(count)})")
    if more := often[MOST:]:
        lines.append(f"and {_count(len(more), 'more reason')}")
    return lines


def _line(message: str) -> str:
    """Return the first line of a message, with the beginning of the list that it announces."""
    line, *listed = message.strip().split("\n")
    if line.endswith(":") and listed:
        shown = [entry.strip() for entry in listed[:_LISTED]]
        line = "; ".join([f"{line} {shown[0]}", *shown[1:], *(["..."] if listed[_LISTED:] else [])])
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
