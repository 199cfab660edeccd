"""Miniature trees in the true on-disk layout of every dataset, from real small pictures.

``TREES[name](data_dir)`` writes the tree of a dataset below `data_dir` and returns its true counts.
"""

from collections.abc import Callable
from pathlib import Path

from . import bioscan, layouts, libraries
from .tree import Tree

__all__ = ["TREES", "Tree"]

TREES: dict[str, Callable[[Path], Tree]] = {**libraries.TREES, **layouts.TREES, **bioscan.TREES}
