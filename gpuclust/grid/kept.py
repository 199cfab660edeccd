"""Clusterings on disk that wait for their scores, so that a killed run does not lose them.

Cells of one representation are scored together.  Until then the file of a row holds the labels of
its cell, with the status ``clustered``; the scored row replaces it.  Readers of rows take such a
file for a missing row, and the next run only scores it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays.transfer import to_host
from ..cell import KeyedCell, ResolvedUnit, Unit
from ..device import machine
from ..device.backend import Backend
from ..errors import DamagedFileError
from ..pipeline import Clustered
from ..row import Outcome, asked_values
from ..store.store import CLUSTERED, Store, atomic

# Samples of a representation in its digest, spread evenly.
SAMPLES = 64


def begun(resolved: ResolvedUnit, store: Store) -> list[bool]:
    """Return for each cell of a unit whether its clustering waits for its scores."""
    found = []
    for path in store.row_paths(resolved.unit, (keyed.key for keyed in resolved.cells)):
        try:
            found.append(store.read_row(path, CLUSTERED) is not None)
        except DamagedFileError:
            found.append(False)
    return found


@dataclass(frozen=True)
class Clusterings:
    """Clusterings of one unit between their end and their scores; see `gpuclust.row.Kept`.

    Attributes
    ----------
    store, unit, on
        Place of the files, and the backend that gets the labels.
    run : str
        Name of the run.
    every : bool
        Also use the clusterings of other runs; False when all cells are to be computed again.
    """

    store: Store
    unit: Unit
    on: Backend
    run: str
    every: bool = True

    def find(self, keyed: KeyedCell, Z: Any) -> Outcome | None:
        """Return the clustering of a cell when it was made here, of this very representation.

        Another machine or version may cluster otherwise, and a reducer without a seed gives another
        representation in every run: then the cell is clustered again.
        """
        try:
            path = self.store.row_path(self.unit, keyed.key)
            row = self.store.read_row(path, CLUSTERED)
            mine = row is not None and (self.every or row["run"] == self.run)
            if row is None or not mine or row["host"] != _host(self.on):
                return None
            return _outcome(row, self.on) if row["space"] == _digest(Z) else None
        except (DamagedFileError, KeyError, TypeError, ValueError, zlib.error):
            return None  # half written or changed by hand: clustered again

    def put(self, keyed: KeyedCell, Z: Any, clustered: Outcome) -> None:
        """Write the labels of a cell where its row will be: under a millisecond for 10,000 samples.

        They are not flushed to the disk: whoever loses the whole machine clusters again.

        Raises
        ------
        StorageError
            When the disk is full or the folder cannot be written.
        """
        path = self.store.row_path(self.unit, keyed.key)
        if not self.every and path.exists():
            return  # a row to be computed again stays until the new one is complete
        strength = clustered.value.strength
        row = {
            "status": "clustered",
            "key": keyed.key,
            **asked_values(keyed.cell),
            "backend": self.on.name,
            "ran": clustered.value.ran,
            "seconds": clustered.seconds,
            "warnings": list(clustered.warnings),
            "device": clustered.device,
            "space": _digest(Z),
            "labels": _packed(clustered.value.labels),
            "strength": None if strength is None else _packed(strength),
            "finished": machine.now(),
            "host": _host(self.on),
            "run": self.run,
            "pid": os.getpid(),
        }
        text = json.dumps(row, allow_nan=False)
        with atomic(path, flush=False) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _outcome(row: dict[str, Any], on: Backend) -> Outcome:
    labels = on.put(_unpacked(row["labels"]).astype(np.int64))
    strength = None if row["strength"] is None else on.put(_unpacked(row["strength"]))
    clustered = Clustered(labels, row["ran"], strength)
    return Outcome(clustered, row["seconds"], tuple(row["warnings"]), None, row["device"])


def _host(on: Backend) -> dict[str, Any]:
    """Return the facts of a row about its machine."""
    return {**machine.facts(), **({"gpu": machine.gpu()} if on.name == "gpu" else {})}


def _digest(Z: Any) -> str:
    """Hash some samples of a representation: two layouts of a random reducer differ in all."""
    some = to_host(Z[:: max(1, Z.shape[0] // SAMPLES), :])
    facts = repr((Z.shape, some.dtype.str)).encode()
    return hashlib.sha256(facts + np.ascontiguousarray(some).tobytes()).hexdigest()[:24]


def _packed(values: Any) -> dict[str, str]:
    """Write an array (n,) as compressed text; labels take 4 bytes each."""
    values = to_host(values)
    if values.dtype.kind == "i":
        values = values.astype(np.int32)
    text = base64.b64encode(zlib.compress(np.ascontiguousarray(values).tobytes(), 1))
    return {"dtype": values.dtype.str, "zlib": text.decode("ascii")}


def _unpacked(packed: dict[str, str]) -> np.ndarray:
    content = zlib.decompress(base64.b64decode(packed["zlib"], validate=True))
    return np.frombuffer(content, dtype=np.dtype(packed["dtype"])).copy()
