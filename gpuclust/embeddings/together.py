"""Embed many units; the encoders of a dataset share the decoding of its images.

Decoding takes most of the time of small encoders, and of all encoders on a fast GPU.  Encoders with
the same geometry of preprocessing (see `encoders.geometry`) get the same decoded images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..device.backend import Backend
from ..events import Stopped, Watcher
from ..store.store import Store
from .group import embed_missing, look
from .load import Lookup, Options

if TYPE_CHECKING:
    from ..cell import Unit
    from ..errors import GpuclustError
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
    """Embed units; the images of a dataset are decoded once for all encoders with one geometry.

    The vectors are those of `embed.embed`, bit for bit.  Stored embeddings are taken as they are.
    As many encoders are used together as memory holds; the others follow in another pass over the
    images.  Several processes may call this for the same units: each takes units of its own, and
    helps the others when it has none.

    Parameters
    ----------
    units : sequence of Unit
        In any order; units of one dataset and split are embedded together.
    store : Store
        Place of the embeddings.
    on : Backend
        Device of the encoders.
    options : Options
        See `embed.embed`.
    watcher : Watcher
        Receives progress of every unit, and notes.
    stop : callable () -> bool
        Asked between units, and while waiting for another process.

    Returns
    -------
    list of (Unit, EmbeddingMeta or GpuclustError)
        In the order of `units`.  A unit that fails does not end the others.

    Raises
    ------
    Stopped
        When the watcher or `stop` asks to stop.  Everything encoded is kept, for all encoders.

    Examples
    --------
    >>> from gpuclust.cell import Unit
    >>> from gpuclust.device import backend
    >>> from gpuclust.embeddings.load import Options
    >>> from gpuclust.events import Watcher
    >>> from gpuclust.store.store import Store
    >>> place = {"dataset": "digits", "split": "all", "encoder": "raw", "cells": ()}
    >>> units = [Unit(preprocess="own", **place), Unit(preprocess="study", **place)]
    >>> store = Store(tmp_path)
    >>> done = embed_together(units, store, backend.select("cpu"), Options(), Watcher())
    >>> [(meta.n, meta.d) for unit, meta in done]
    [(1797, 192), (1797, 192)]
    """
    found: dict[Unit, EmbeddingMeta | GpuclustError] = {}
    missing: dict[tuple[str, str], dict[Unit, Lookup]] = {}
    for unit in dict.fromkeys(units):
        if stop():
            raise Stopped("the run was asked to stop")
        looked = look(unit, store, options, watcher)
        if isinstance(looked, Lookup):
            missing.setdefault((unit.dataset, unit.split), {})[unit] = looked
        else:
            found[unit] = looked
    for wanted in missing.values():
        found |= embed_missing(wanted, store, on, options=options, watcher=watcher, stop=stop)
    return [(unit, found[unit]) for unit in units]
