"""Read presets of gpuclust by name, and a user's own by the path of a file.

A preset is a TOML file; docs/study.md has its keys.
"""

from __future__ import annotations

import importlib.resources
import os
from pathlib import Path

from ..errors import unknown
from ..files.paths import expand
from ..files.toml_file import Kind, parse_toml, read_toml
from .preset import Preset
from .table import EXAMPLE, preset_of

KIND = Kind("preset", f"{EXAMPLE} below [default]")
_ROOM = "gpuclust.presets"


def available() -> list[str]:
    """List the presets of gpuclust by name.

    Examples
    --------
    >>> available()
    ['study']
    """
    files = importlib.resources.files(_ROOM).iterdir()
    return sorted(Path(one.name).stem for one in files if one.name.endswith(".toml"))


def load(preset: str | os.PathLike[str]) -> Preset:
    """Read a preset.

    Parameters
    ----------
    preset : str or path
        A name of `available`, or the path of a TOML file.

    Raises
    ------
    UnknownNameError
        For a name that is neither.
    InputError
        For a file that cannot be read or is no preset; the message names the file and the key.

    Examples
    --------
    >>> study = load("study")
    >>> len(study.datasets), len(study.encoders), len(study.default)
    (26, 20, 6)
    """
    given = os.fspath(preset)
    if given in available():
        text = importlib.resources.files(_ROOM).joinpath(f"{given}.toml").read_text("utf-8")
        return preset_of(parse_toml(text, f"preset {given}", KIND), given, f"preset {given}")
    if not _is_path(given):
        raise unknown("preset", given, available(), "A preset of your own is a path: ./mine.toml.")
    return preset_of(read_toml(expand(given), KIND), given, given)


def _is_path(given: str) -> bool:
    looks = given.endswith(".toml") or os.sep in given
    return looks or (bool(given) and "\0" not in given and Path(given).is_file())
