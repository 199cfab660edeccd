"""Embed images with several encoders in this process, in one decoding pass or in one for each.

``python -m gpuclust.bench.passes '{"setting": {...}, "how": "one_pass"}'`` answers with one line of
JSON: the seconds, without loading of libraries, and the hash of each encoder's vectors.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .. import encoders
from ..cell import Unit
from ..device import backend
from ..embeddings.group import embed_missing
from ..embeddings.load import Lookup, Options
from ..events import Watcher
from ..store.store import Store
from .embedding import Setting, open_subset


def run(setting: Setting, how: str) -> dict[str, Any]:
    """Embed in the way `how`, ``"one_pass"`` or ``"pass_each"``."""
    data, on = open_subset(setting), backend.select(setting.device)
    units = [Unit(data.name, data.split, name, setting.preprocess, ()) for name in setting.encoders]
    for unit in units:  # loads the libraries, and the weights from the disk
        encoders.load(unit.encoder, preprocess=unit.preprocess, image_size=data.image_size)
    options = Options(batch_size=setting.batch_size, workers=setting.loaders, skip_bad=True)
    passes = [units] if how == "one_pass" else [[unit] for unit in units]
    found: dict[Unit, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        for some in passes:
            wanted = {unit: Lookup(unit, dataset=data) for unit in some}
            store = Store(Path(folder))
            found |= embed_missing(wanted, store, on, options=options, watcher=Watcher())
        seconds = time.perf_counter() - began
    for outcome in found.values():
        if isinstance(outcome, Exception):
            raise outcome
    hashes = {unit.encoder: meta.sha256 for unit, meta in found.items()}
    return {"seconds": seconds, "sha256": dict(sorted(hashes.items()))}


def main() -> None:
    """Answer the request of the command line."""
    given = json.loads(sys.argv[1])
    setting = given["setting"] | {"encoders": tuple(given["setting"]["encoders"])}
    sys.stdout.write(json.dumps(run(Setting(**setting), given["how"])) + "\n")


if __name__ == "__main__":
    main()
