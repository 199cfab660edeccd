"""Check the content of a preset file and make the preset of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from ..cell import canonical_dataset, canonical_encoder, check_preprocess
from ..errors import InputError, unknown
from ..methods.spec import chain_text, parse_clusterer, parse_reducer
from ..methods.table import CLUSTERERS, REDUCERS
from .preset import Preset, Recipe, Rule

TEXTS = ("summary", "source", "version", "preprocess")
TABLES = ("parameters", "datasets", "default", "encoders", "same")
KEYS = (*TEXTS, "seed", *TABLES)
LARGEST_SEED = 2**32 - 1
_METHODS = {**REDUCERS, **CLUSTERERS}
EXAMPLE = 'kmeans = ["umap", "kmeans"]'
_CELL = 'a reducer and a clusterer, such as ["umap", "kmeans"]'
Parameters = Mapping[str, Mapping[str, Any]]


def preset_of(table: Mapping[str, Any], name: str, source: str) -> Preset:
    """Make a preset from the content of its file.

    Parameters
    ----------
    table : mapping
        Keys `KEYS`, all optional, but `default` or `encoders` must have a row.
    name : str
        Name of the preset.
    source : str
        Name of the file in messages.

    Raises
    ------
    InputError
        For an unknown key, a value of another type, and an unknown method, encoder or dataset.

    Examples
    --------
    >>> row = {"mine": ["zscore|pca(0.9)", "kmeans"]}
    >>> preset_of({"default": row}, "mine", "mine.toml").recipes("raw")[0].texts
    ('zscore|pca(n_components=0.9)', 'kmeans')
    >>> preset_of({"default": {"mine": ["umap", "kmean"]}}, "mine", "mine.toml")
    Traceback (most recent call last):
        ...
    gpuclust.errors.InputError: default.mine in mine.toml: unknown clusterer 'kmean'. Did you mean \
'kmeans'? Known: affinity, agglomerative, agglomerative_threshold, hdbscan, kmeans, spectral. \
`gpuclust list clusterers` shows them all.
    """
    for key in table:
        if key not in KEYS:
            raise unknown(f"key in {source}", key, KEYS)
    texts = {key: _typed(table[key], str, key, source) for key in TEXTS if key in table}
    with _named("preprocess", source):
        check_preprocess(texts.get("preprocess", "own"))
    parts = {key: _typed(table.get(key, {}), dict, key, source) for key in TABLES}
    common = parts["parameters"]
    _check_parameters(common, "parameters", source)
    default = _row(parts["default"], common, "default", source)
    rows = _rows(parts["encoders"], common, source)
    if not (default or any(rows.values())):
        raise InputError(
            f"{source} has no cells. Write some below [default] or [encoders.<name>], such as "
            f"{EXAMPLE}."
        )
    rules = {
        _dataset(one, source): _rule(rule, f"datasets.{one}", source)
        for one, rule in parts["datasets"].items()
    }
    seed = _seed(table.get("seed", 0), source)
    same = _same(parts["same"], rows, source)
    return Preset(
        name, **texts, seed=seed, datasets=rules, encoders=rows, default=default, same=same
    )


@contextlib.contextmanager
def _named(where: str, source: str) -> Iterator[None]:
    """Put the place in the file before the message of an error."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{where} in {source}: {error}") from error


def _typed(value: Any, kind: type, where: str, source: str) -> Any:
    if type(value) is not kind:
        words = "a text" if kind is str else f"a table: [{where}]"
        raise InputError(f"{where} in {source} must be {words}; got {_shown(value)}.")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _seed(value: Any, source: str) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST_SEED:
        raise InputError(
            f"seed in {source} must be a whole number from 0 to {LARGEST_SEED}; got "
            f"{_shown(value)}."
        )
    return value


def _check_parameters(values: Mapping[str, Any], where: str, source: str) -> None:
    """Check a mapping method -> parameter -> value."""
    for name, params in values.items():
        if name not in _METHODS:
            raise unknown(f"method in {where} of {source}", name, _METHODS)
        _typed(params, dict, f"{where}.{name}", source)
        with _named(f"{where}.{name}", source):
            if name in REDUCERS:
                parse_reducer(name, {name: params})
            else:
                parse_clusterer(name, {name: params})


def _rows(
    tables: Mapping[str, Any], common: Parameters, source: str
) -> dict[str, tuple[Recipe, ...]]:
    """Read the row of every encoder, by its canonical name."""
    rows: dict[str, tuple[Recipe, ...]] = {}
    for given, table in tables.items():
        where = f"encoders.{given}"
        row, name = _row(table, common, where, source), _encoder(given, source, where)
        if not row:
            raise InputError(f"{where} in {source} has no cells. Write some, such as {EXAMPLE}.")
        if name in rows:
            raise InputError(f"{where} in {source}: {name} has a row already. Give it once.")
        rows[name] = row
    return rows


def _row(row: Any, common: Parameters, where: str, source: str) -> tuple[Recipe, ...]:
    """Read the cells of one encoder."""
    recipes: list[Recipe] = []
    for name, cell in _typed(row, dict, where, source).items():
        place = f"{where}.{name}"
        if not (type(cell) is list and len(cell) == 2 and all(type(one) is str for one in cell)):
            raise InputError(f"{place} in {source} must be {_CELL}; got {_shown(cell)}.")
        with _named(place, source):
            made = Recipe(name, parse_reducer(cell[0], common), parse_clusterer(cell[1], common))
        twin = [one.name for one in recipes if one[1:] == made[1:]]
        if twin:
            raise InputError(
                f"{place} in {source} is the same cell as {where}.{twin[0]}: "
                f"{chain_text(made.reducer)}, {made.clusterer}. Give it once."
            )
        recipes.append(made)
    return tuple(recipes)


def _rule(rule: Any, where: str, source: str) -> Rule:
    """Read the split and the parameters of a dataset."""
    values = dict(_typed(rule, dict, where, source))
    split = values.pop("split", None)
    if split is not None:
        _typed(split, str, f"{where}.split", source)
    for name in values:
        if name not in _METHODS:
            raise unknown(f"key in {where} of {source}", name, ("split", *_METHODS))
    _check_parameters(values, where, source)
    return Rule(split, values)


def _same(table: Mapping[str, Any], rows: Mapping[str, Any], source: str) -> dict[str, str]:
    """Read the further names of encoders with a row."""
    same = {}
    for given, row in table.items():
        where = f"same.{given}"
        if _typed(row, str, where, source) not in rows:
            raise unknown(f"encoder in {where} of {source}", row, rows, "Name one with a row.")
        name = _encoder(given, source, where)
        if name in rows:
            raise InputError(f"{where} in {source}: {name} has a row of its own. Leave it out.")
        same[name] = row
    return same


def _encoder(name: str, source: str, where: str) -> str:
    """Return the canonical name of an encoder; nothing is loaded for it."""
    from .. import encoders

    with _named(where, source):
        parsed = encoders.parse(ours(name))
        return canonical_encoder(name) if encoders.entry_of(parsed).is_path else str(parsed)


def ours(name: str) -> str:
    """Return our name of an encoder that is named as in the code of the study.

    Examples
    --------
    >>> ours("none"), ours("raw"), ours("timm/resnet18")
    ('raw', 'raw', 'timm/resnet18')
    """
    from ..encoders.table import ENCODERS

    if name in ENCODERS:
        return name
    return next((key for key, entry in ENCODERS.items() if entry.study == name), name)


def _dataset(name: str, source: str) -> str:
    with _named(f"datasets.{name}", source):
        return canonical_dataset(name)
