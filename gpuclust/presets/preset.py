"""Presets: the cells of each encoder, with the datasets, preprocessing and seed of a grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..errors import InputError
from ..methods.spec import Spec, chain_text, changed, whole_text


class Recipe(NamedTuple):
    """One cell of a preset: its name in the file, and how to reduce and cluster."""

    name: str
    reducer: tuple[Spec, ...]
    clusterer: Spec

    def changed(self, values: Mapping[str, Mapping[str, Any]]) -> Recipe:
        """Return the cell with other parameters of its methods: method -> parameter -> value."""
        if not values:
            return self
        chain = tuple(changed(spec, values.get(spec.name, {})) for spec in self.reducer)
        return Recipe(
            self.name, chain, changed(self.clusterer, values.get(self.clusterer.name, {}))
        )

    @property
    def texts(self) -> tuple[str, str]:
        """The reducer and the clusterer as their shortest texts."""
        return chain_text(self.reducer), str(self.clusterer)

    @property
    def whole_texts(self) -> tuple[str, str]:
        """The reducer and the clusterer with their defaults."""
        return "|".join(map(whole_text, self.reducer)), whole_text(self.clusterer)


class Rule(NamedTuple):
    """Split of a dataset, None for its default, and parameters for this dataset only."""

    split: str | None = None
    parameters: Mapping[str, Mapping[str, Any]] = {}


@dataclass(frozen=True)
class Preset:
    """Cells of each encoder.

    Attributes
    ----------
    name : str
        Name, or path of the file.
    summary, source, version : str
        Description, and origin of the values; empty when not stated.
    preprocess : str
        Preprocessing of the images.
    seed : int
        Seed of the reducers and clusterers.
    datasets : mapping of str to Rule
        Datasets of the whole grid.
    encoders : mapping of str to tuple of Recipe
        Encoders of the whole grid, each with its row of cells.
    default : tuple of Recipe
        Row of every other encoder; empty when the preset has none.
    same : mapping of str to str
        Further names of networks that have a row, and the encoder of the row.
    """

    name: str
    summary: str = ""
    source: str = ""
    version: str = ""
    preprocess: str = "own"
    seed: int = 0
    datasets: Mapping[str, Rule] = field(default_factory=dict)
    encoders: Mapping[str, tuple[Recipe, ...]] = field(default_factory=dict)
    default: tuple[Recipe, ...] = ()
    same: Mapping[str, str] = field(default_factory=dict)

    def row_of(self, encoder: str) -> str | None:
        """Return the row of the same network; None for the default row.

        Parameters
        ----------
        encoder : str
            Canonical name.

        Examples
        --------
        >>> from gpuclust import presets
        >>> presets.load("study").row_of("efficientnet_lite0") is None
        True
        """
        if encoder in self.encoders:
            return encoder
        if encoder in self.same:
            return self.same[encoder]
        same = _names(encoder)
        return next((row for row in self.encoders if same & _names(row)), None)

    def recipes(self, encoder: str, dataset: str | None = None) -> tuple[Recipe, ...]:
        """Return the cells of an encoder, with the parameters of a dataset if one is given.

        Raises
        ------
        InputError
            For an encoder without a row in a preset without a default.

        Examples
        --------
        >>> from gpuclust import presets
        >>> [str(one.clusterer) for one in presets.load("study").recipes("raw", "celeba")][-1]
        'hdbscan(min_cluster_size=2, max_cluster_size=0.2)'
        """
        row = self.row_of(encoder)
        found = self.default if row is None else self.encoders[row]
        if not found:
            raise InputError(
                f"preset {self.name} has no row for encoder {encoder} and no [default]. It has "
                f"{', '.join(self.encoders) or 'no encoders'}."
            )
        return self._for(dataset, found)

    def of_default(self, dataset: str | None = None) -> tuple[Recipe, ...]:
        """Return the cells of an encoder without a row; empty when the preset has no default."""
        return self._for(dataset, self.default)

    def _for(self, dataset: str | None, row: tuple[Recipe, ...]) -> tuple[Recipe, ...]:
        """Return a row with the parameters of a dataset."""
        rule = self.datasets.get(dataset or "", Rule())
        return tuple(recipe.changed(rule.parameters) for recipe in row)


def _names(encoder: str) -> set[str]:
    """Return the name of an encoder and of the same network in another source."""
    from ..encoders.table import ENCODERS

    # A name with options such as ?pool=avg is another feature, and no key of the table.
    entry = ENCODERS.get(encoder)
    return {encoder, "" if entry is None else entry.stands_for} - {""}
