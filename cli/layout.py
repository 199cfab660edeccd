"""Layout of a table: columns side by side, or one block of fields per line where it is narrow."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from gpuclust.files.visible import visible

# A column of text is folded to no fewer cells than this; numbers are never folded.
NARROWEST = 8
GAP = 2  # cells between two columns


def table(
    header: Sequence[str], lines: Sequence[Sequence[str]], width: int | None
) -> Iterator[tuple[Any, int]]:
    """Yield the parts of a table, renderables of rich, each with the width to print it at.

    Parameters
    ----------
    header, lines : sequence of str, sequence of sequence of str
        Texts of the cells; control characters are escaped here.
    width : int or None
        Width of the terminal in cells; None for a file or a pipe, where nothing is folded.
    """
    head = [visible(text) for text in header]
    body = [[visible(text) for text in line] for line in lines]
    columns = [[name, *(line[i] for line in body)] for i, name in enumerate(head)]
    natural = [max(map(cell_len, column)) for column in columns]
    whole = sum(natural) + GAP * len(head)
    numeric = [bool(body) and all(map(_is_number, column[1:])) for column in columns]
    least = [w if n else min(w, NARROWEST) for w, n in zip(natural, numeric, strict=True)]
    if width is not None and sum(least) + GAP * len(head) > width:
        for line in body:
            yield _block(head, line, width), width
        return
    widths = natural if width is None or whole <= width else least
    yield _side_by_side(head, body, widths, numeric), (whole if width is None else width)


def _side_by_side(
    head: Sequence[str],
    body: Sequence[Sequence[str]],
    widths: Sequence[int],
    numeric: Sequence[bool],
) -> Any:
    """Return a table that folds texts, where it must, and never a number."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    for name, least, right in zip(head, widths, numeric, strict=True):
        justify: Any = "right" if right else "left"
        made.add_column(Text(name), justify=justify, overflow="fold", min_width=least)
    for line in body:
        made.add_row(*map(Text, line))
    return made


def _block(head: Sequence[str], line: Sequence[str], width: int) -> Text:
    """Return one line as ``heading value`` pairs over several lines; a pair is not parted."""
    fields = [f"{name} {text}" if name else text for name, text in zip(head, line, strict=True)]
    fields = [text for text, value in zip(fields, line, strict=True) if value]
    rows = [""]
    for field in fields:
        longer = f"{rows[-1]}  {field}" if rows[-1] else field
        if not rows[-1].strip() or cell_len(longer) <= width:
            rows[-1] = longer
        else:
            rows.append(f"  {field}")
    folded = [part for row in rows for part in textwrap.wrap(row, width, subsequent_indent="    ")]
    return Text("\n".join(folded or [""]))


def _is_number(text: str) -> bool:
    try:
        float(text or 0)
    except ValueError:
        return False
    return True
