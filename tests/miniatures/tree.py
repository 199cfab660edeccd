"""True counts of a miniature tree."""

from typing import NamedTuple


class Tree(NamedTuple):
    """True counts of a miniature: images per split, classes in the default split, label columns."""

    splits: dict[str, int]
    classes: int
    columns: tuple[str, ...] = ()
