"""Miniature trees in the true on-disk layout of every dataset, from real small pictures.

``TREES[name](data_dir)`` writes the tree of a dataset below `data_dir` and returns its true counts.
"""

import importlib
from collections.abc import Callable
from pathlib import Path

from .tree import Tree

__all__ = ["TREES", "Tree"]

TREES: dict[str, Callable[[Path], Tree]] = {}
for _name in ("libraries", "layouts", "bioscan"):
    try:
        TREES |= importlib.import_module(f"{__name__}.{_name}").TREES
    except ModuleNotFoundError as error:  # not written yet
        if error.name != f"{__name__}.{_name}":
            raise
