"""Image datasets: a registry of entries, and one reader per file layout."""

from .dataset import Dataset
from .registry import available, check, default_split, entry_of, full_name, load, splits

__all__ = [
    "Dataset",
    "available",
    "check",
    "default_split",
    "entry_of",
    "full_name",
    "load",
    "splits",
]
