"""Presets: reducers and clusterers chosen for every encoder, as data files."""

from .preset import Preset, Recipe
from .read import available, load
from .units import units

__all__ = ["Preset", "Recipe", "available", "load", "units"]
