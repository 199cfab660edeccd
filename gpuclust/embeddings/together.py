"""Embed many units."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..device.backend import Backend
from ..errors import GpuclustError
from ..events import Stopped, Watcher
from ..store.store import Store
from . import load
from .load import Options

if TYPE_CHECKING:
    from ..cell import Unit
    from .files import EmbeddingMeta


def embed_together(
    units: Sequence[Unit],
    store: Store,
    on: Backend,
    options: Options,
    watcher: Watcher,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> list[tuple[Unit, EmbeddingMeta | GpuclustError]]:
    """Embed units one by one; a unit that fails does not end the others."""
    return [
        (unit, _alone(unit, store, on, options=options, watcher=watcher, stop=stop))
        for unit in units
    ]


def _alone(
    unit: Unit,
    store: Store,
    on: Backend,
    *,
    options: Options,
    watcher: Watcher,
    stop: Callable[[], bool],
) -> EmbeddingMeta | GpuclustError:
    if stop():
        raise Stopped("the run was asked to stop")
    look = functools.partial(load.look_up, unit, store, options, watcher)
    try:
        found = look()
        if found.problem is not None:
            return found.problem
        if found.meta is not None:
            return found.meta
        return load.embed_or_wait(
            found, look, store, on, options=options, watcher=watcher, stop=stop
        ).meta
    except Stopped:
        raise
    except GpuclustError as error:
        return error
