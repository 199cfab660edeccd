"""Grid files: TOML lists of names; all combinations become cells."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..cell import Cell, Unit, place, units_of
from ..errors import InputError, unknown
from ..methods.spec import parse_clusterer, parse_reducer

GRID_DEFAULTS: dict[str, list[Any]] = {
    "split": [None],
    "preprocess": ["own"],
    "reducer": ["none"],
    "k": [None],
    "seed": [0],
}
PLACE_KEYS = ("dataset", "split", "encoder")
GRID_KEYS = (*PLACE_KEYS, "preprocess", "reducer", "clusterer", "k", "seed", "metrics")


def load_grid(path: Path) -> list[Unit]:
    """Read a grid file: every combination of its lists, as units.

    Parameters
    ----------
    path : Path
        TOML with `dataset`, `encoder`, `clusterer` and optionally `split`, `preprocess`,
        `reducer`, `k`, `seed`, `metrics`; each a list or a single value.

    Raises
    ------
    InputError
        When the file cannot be read, is not TOML, has an unknown key, or names something that does
        not exist.  Every name is checked before anything runs.
    """
    lists = _grid_lists(path)
    metrics = lists.pop("metrics")
    places = [place(*names) for names in itertools.product(*(lists.pop(key) for key in PLACE_KEYS))]
    lists["reducer"] = [parse_reducer(text) for text in lists["reducer"]]  # once, not per cell
    lists["clusterer"] = [parse_clusterer(text) for text in lists["clusterer"]]
    rest = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
    return units_of(Cell.of(**at, **how, metrics=metrics) for at in places for how in rest)


def _grid_lists(path: Path) -> dict[str, list[Any]]:
    table = _read_toml(path)
    for key in table:
        if key not in GRID_KEYS:
            raise unknown(f"key in {path}", key, GRID_KEYS)
    lists = {key: value if isinstance(value, list) else [value] for key, value in table.items()}
    for key in ("dataset", "encoder", "clusterer"):
        if key not in lists:
            raise InputError(f'{path} names no {key}. Write {key} = ["..."].')
    for key, values in lists.items():
        if not values:
            raise InputError(f"{key} in {path} is an empty list. Give it at least one entry.")
        _check_types(path, key, values)
    return {"metrics": ["default"], **GRID_DEFAULTS, **lists}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the grid file {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}.") from error


def _check_types(path: Path, key: str, values: Sequence[Any]) -> None:
    kind, words = (int, "whole numbers") if key in ("k", "seed") else (str, "texts")
    for value in values:
        if type(value) is not kind:
            raise InputError(f"{key} in {path} takes {words}; got {value!r}.")
