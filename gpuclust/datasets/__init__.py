"""Image datasets: a registry of entries, and one reader per file layout."""

from .dataset import Dataset
from .registry import available, check, default_split, entry_of, load, splits

__all__ = ["Dataset", "available", "check", "default_split", "entry_of", "load", "splits"]
