"""Image data sets: one table (`registry`), one module per layout on disk that no library reads."""

from .dataset import Dataset
from .registry import available, check, default_split, load, splits

__all__ = ["Dataset", "available", "check", "default_split", "load", "splits"]
