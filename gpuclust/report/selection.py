"""Select rows by names, in the spellings of `run` and `grid`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from ..encoders import names as encoder_names
from ..errors import InputError
from ..files.paths import expand
from ..files.visible import visible
from .versions import made_by

# Names of datasets with a path, see `gpuclust.datasets.table`, and of vectors from a file.
_KINDS = ("folder", "vectors")


def selection(
    dataset: str | None = None, encoder: str | None = None, gpuclust: str | None = None
) -> Callable[[Mapping[str, Any]], bool]:
    """Return a test of rows: of a dataset, an encoder, a version of gpuclust.

    Parameters
    ----------
    dataset : str, optional
        Name, as `run` takes it; for a folder or a file of vectors also its path, relative or not.
    encoder : str, optional
        Name, as `run` takes it, in any spelling of its options.
    gpuclust : str, optional
        Version that computed the rows.

    Examples
    --------
    >>> wanted = selection(encoder="random/resnet18?seed=0")
    >>> wanted({"encoder": "random/resnet18"}), wanted({"encoder": "raw"})
    (True, False)
    """
    datasets = None if dataset is None else dataset_names(dataset)
    encoders = None if encoder is None else _encoder_names(encoder)

    def wanted(row: Mapping[str, Any]) -> bool:
        return (
            (datasets is None or row["dataset"] in datasets)
            and (encoders is None or row["encoder"] in encoders)
            and (gpuclust is None or made_by(row).version == gpuclust)
        )

    return wanted


def dataset_names(given: str) -> set[str]:
    """Return all possible names of a dataset in a row, for the name given by a user.

    Examples
    --------
    >>> sorted(dataset_names("/photos"))
    ['/photos', 'folder:/photos', 'vectors:/photos']
    """
    kind, colon, path = given.partition(":")
    names = {given}
    kinds = (kind,) if colon and kind in _KINDS else _KINDS
    path = path if kinds == (kind,) else given
    with contextlib.suppress(InputError):
        names |= {f"{kind}:{_absolute(path)}" for kind in kinds}
    return {visible(name) for name in names}


def _encoder_names(given: str) -> set[str]:
    names = {given}
    kind, colon, rest = given.partition(":")
    if colon and kind == "file":
        path, mark, options = rest.partition("?")
        names.add(f"file:{_absolute(path)}{mark}{options}")
    for name in tuple(names):
        with contextlib.suppress(InputError):  # not a name of this version
            names.add(str(encoder_names.parse(name)))
    return {visible(name) for name in names}


def _absolute(path: str) -> str:
    return str(expand(path).resolve())
