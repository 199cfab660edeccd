"""Units of a preset: the cells of every encoder's own row, for each dataset."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence

from ..cell import Cell, Place, Unit, canonical_dataset, canonical_encoder, place, units_of
from ..errors import InputError
from ..vectors.dataset import is_own
from .preset import Preset, Rule
from .table import ours

_log = logging.getLogger(__name__)


def units(
    preset: Preset,
    *,
    datasets: Sequence[str] | None = None,
    encoders: Sequence[str] | None = None,
    splits: Sequence[str | None] = (None,),
    vectors: Sequence[Place] = (),
    preprocess: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    k: Sequence[int | None] = (None,),
    metrics: Sequence[str] = ("default",),
    say: Callable[[str], object] = _log.info,
) -> list[Unit]:
    """Return the cells of a preset as units, dataset by dataset.

    Parameters
    ----------
    preset : Preset
        The rows of the encoders.
    datasets, encoders : sequence of str, optional
        Names; those of the preset by default.  An encoder may also be named as in the code of the
        study.
    splits : sequence of str or None
        Splits of every dataset; None is the split of the preset, or the dataset's default.
    vectors : sequence of Place
        Vectors of the user's own; they get the default row.
    preprocess, seeds
        Those of the preset by default.
    k, metrics
        As in a grid file.
    say : callable (str)
        Receives one sentence about the encoders without a row; by default the log.

    Raises
    ------
    InputError
        For an unknown name, a preset without datasets or encoders of its own where none are given,
        and an encoder without a row in a preset without a default.

    Examples
    --------
    >>> from gpuclust import presets
    >>> (unit,) = presets.units(presets.load("study"), datasets=["digits"], encoders=["raw"])
    >>> len(unit.cells), unit.preprocess, unit.cells[0].seed
    (6, 'study', 1)
    """
    if datasets is None and vectors:
        datasets = ()
    if datasets is not None:
        vectors = [*vectors, *(place(one, None, "vectors") for one in datasets if is_own(one))]
        datasets = [one for one in datasets if not is_own(one)]
    places = _places(preset, datasets, encoders, splits)
    _say_default(preset, [*places, *vectors], say)
    seeds = (preset.seed,) if seeds is None else seeds
    preprocess = (preset.preprocess,) if preprocess is None else preprocess
    groups: list[tuple[Sequence[Place], Sequence[str]]] = [(places, preprocess), (vectors, ["own"])]
    return units_of(
        Cell.of(
            **at,
            preprocess=way,
            reducer=recipe.reducer,
            clusterer=recipe.clusterer,
            k=one_k,
            seed=seed,
            metrics=metrics,
        )
        for group, ways in groups
        for at in group
        for recipe in preset.recipes(at["encoder"], at["dataset"])
        for way, one_k, seed in itertools.product(ways, k, seeds)
    )


def _places(
    preset: Preset,
    datasets: Sequence[str] | None,
    encoders: Sequence[str] | None,
    splits: Sequence[str | None],
) -> list[Place]:
    """Return the embeddings, all encoders of one dataset together."""
    if datasets is None:
        datasets = _own("dataset", preset, list(preset.datasets))
    if encoders is None and datasets:
        names = _own("encoder", preset, list(preset.encoders))  # checked when the file was read
    else:
        # Checking a name may import a library: once per encoder, not once per dataset.
        names = list(dict.fromkeys(encoder_named(one) for one in encoders or ()))
    found = []
    for dataset, split in itertools.product(datasets, splits):
        rule = preset.datasets.get(canonical_dataset(dataset), Rule())
        at = place(dataset, rule.split if split is None else split, "raw")
        found += [Place(dataset=at["dataset"], split=at["split"], encoder=one) for one in names]
    return found


def _own(what: str, preset: Preset, names: list[str]) -> list[str]:
    if not names:
        raise InputError(
            f"preset {preset.name} names no {what}s. Give --{what}, or {what} = [...] in a grid "
            "file."
        )
    return names


def encoder_named(name: str) -> str:
    """Return the canonical name of an encoder; it may be given as in the code of the study.

    Examples
    --------
    >>> encoder_named("raw")
    'raw'
    """
    return canonical_encoder(ours(name))


def _say_default(preset: Preset, places: Sequence[Place], say: Callable[[str], object]) -> None:
    """Name the encoders without a row in one sentence."""
    without = dict.fromkeys(at["encoder"] for at in places if preset.row_of(at["encoder"]) is None)
    if without and preset.default:
        say(
            f"preset {preset.name} has no row for {', '.join(without)}: its default is used, see "
            f"`gpuclust preset show {preset.name} {next(iter(without))}`"
        )
