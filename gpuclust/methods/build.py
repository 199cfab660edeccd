"""Construct the estimator that runs a method on a backend."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..arrays.shared_neighbors import SharedNeighbors
from ..device.backend import Backend
from ..errors import BackendError
from .method import Fit
from .table import CLUSTERERS, KNEIGHBORS, REDUCERS


class Built(NamedTuple):
    """An estimator and the import path of its class, which the row records."""

    estimator: Any
    path: str


def build(name: str, params: Mapping[str, Any], fit: Fit, on: Backend) -> Built:
    """Import the class that runs a reducer or clusterer on a backend and construct it.

    Raises
    ------
    CellError
        When the method cannot work on data of this shape.
    BackendError
        When the method has no implementation on this backend, or its package is not installed.
    """
    table = REDUCERS if name in REDUCERS else CLUSTERERS
    method = table[name]
    form = method.form(on.name, params, fit)
    if form is None:
        other = "cpu" if on.name == "gpu" else "gpu"
        offered = ", ".join(key for key, one in table.items() if getattr(one, on.name))
        raise BackendError(
            f"{name} has no {on.name} implementation. Run it with --device {other}, or choose "
            f"another method: {offered}."
        )
    return Built(load_class(form.path, method.extra)(**form.bind(params, fit)), form.path)


def neighbors_of(X: Any, on: Backend, most: int = 0) -> SharedNeighbors:
    """Return the neighbor graph of `X`, searched on a backend when it is first asked for."""
    search = load_class(KNEIGHBORS[on.name])
    return SharedNeighbors(functools.partial(search, X, include_self=True), X.shape[0], most)


def load_class(path: str, extra: str | None = None) -> Callable[..., Any]:
    """Import ``"module:attribute"``.

    Raises
    ------
    BackendError
        When the package is not installed; the message names the extra that brings it.
    """
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        install = f'pip install "gpuclust[{extra}]"' if extra else f"pip install {error.name}"
        raise BackendError(f"{error.name} is not installed. Run {install}.") from error
