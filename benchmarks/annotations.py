"""Measure reading an annotation table with the columns of BIOSCAN-5M, against plain pandas.

    python benchmarks/annotations.py --rows 5000000 --out annotations-cpu-DATE.json

The table is synthetic: the true columns and numbers of taxa, the published share of labelled rows
where known, and DNA barcodes of 100 instead of about 650 letters.  Two programs read eight
taxonomic levels, the ids and the splits, fill missing genera and subfamilies, number the categories
over all rows, and choose the rows of test and test_unseen: `gpuclust.datasets.annotations` (with
cuDF on a GPU), and pandas with its C parser and Python objects.  They run in turn, each in a fresh
process, so that its peak memory is its own; imports do not count.  The results must be equal.  On
a machine with other work (load in the JSON) compare the CPU seconds, not the ratio of times.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from gpuclust.bench.results import provenance, write

LEVELS = ("phylum", "class", "order", "family", "subfamily", "genus", "species", "dna_bin")
COLUMNS = (
    *("processid", "sampleid", "taxon", *LEVELS, "dna_barcode", "country", "province_state"),
    *("coord-lat", "coord-lon", "image_measurement_value", "area_fraction", "scale_factor"),
    *("inferred_ranks", "split", "index_bioscan_1M_insect", "chunk"),
)
# Number of taxa, and share of rows with a label.  The shares above species are estimates.
TAXA = {
    "phylum": (1, 1.0),
    "class": (10, 0.999),
    "order": (55, 0.99),
    "family": (934, 0.95),
    "subfamily": (1_542, 0.28),
    "genus": (7_605, 0.24),
    "species": (22_622, 0.09),
    "dna_bin": (324_411, 0.99),
}
SPLITS = {"pretrain": 0.908, "train": 0.056, "other_heldout": 0.015, "test": 0.0076}
BARCODE = 100
BATCH = 250_000


def make_table(path: Path, rows: int) -> None:
    """Write the table in batches, in little memory."""
    import pyarrow as pa
    from pyarrow import csv

    make = np.random.default_rng(0)
    names = {level: _names(level, count) for level, (count, _) in TAXA.items()}
    options = csv.WriteOptions(quoting_style="needed")
    writer = None
    for start in range(0, rows, BATCH):
        batch = pa.table(_batch(make, names, start, min(BATCH, rows - start))).select(COLUMNS)
        writer = writer or csv.CSVWriter(path, batch.schema, write_options=options)
        writer.write_table(batch)
    if writer is not None:
        writer.close()


def _names(level: str, count: int) -> Any:
    import pyarrow as pa

    if level == "species":
        genera = TAXA["genus"][0]
        return pa.array([f"Genus{i % genera:05d} species{i:05d}" for i in range(count)])
    if level == "dna_bin":
        return pa.array([f"BOLD:AA{i:06d}" for i in range(count)])
    return pa.array([f"{level.title()}{i:05d}" for i in range(count)])


def _batch(make: np.random.Generator, names: dict[str, Any], start: int, n: int) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    # A few species have most of the rows, as in nature.
    species = (TAXA["species"][0] * make.random(n) ** 3).astype(np.int64)
    found: dict[str, Any] = {}
    for level, (count, share) in TAXA.items():
        taxon = make.integers(0, count, n) if level == "dna_bin" else species % count
        texts = names[level].take(pa.array(taxon))
        found[level] = pc.if_else(
            pa.array(make.random(n) < share), texts, pa.scalar(None, "string")
        )
    splits = [*SPLITS, "test_unseen"]
    place = np.searchsorted(np.cumsum(list(SPLITS.values())), make.random(n))
    ids = pa.array([f"BIOSC{i:07d}-22" for i in range(start, start + n)])
    letters = np.frombuffer(b"ACGT", np.uint8)[make.integers(0, 4, n * BARCODE)]
    ends = pa.py_buffer((np.arange(n + 1) * BARCODE).astype(np.int32))
    return found | {
        "processid": ids,
        "sampleid": ids,
        "taxon": found["family"],
        "dna_barcode": pa.Array.from_buffers(pa.string(), n, [None, ends, pa.py_buffer(letters)]),
        "country": pa.array(["Costa Rica"] * n),
        "province_state": pa.array(["Guanacaste, Área de Conservación"] * n),
        "coord-lat": pa.array(make.random(n).round(5) * 90),
        "coord-lon": pa.array(make.random(n).round(5) * 180),
        "image_measurement_value": pa.array(make.integers(1_000, 90_000, n)),
        "area_fraction": pa.array(make.random(n).round(6)),
        "scale_factor": pa.array(make.random(n).round(6)),
        "inferred_ranks": pa.array(make.integers(0, 3, n)),
        "split": pa.array(splits).take(pa.array(place)),
        "index_bioscan_1M_insect": pa.array(make.integers(0, 1_100_000, n)),
        "chunk": pa.array([f"{i:02x}" for i in range(256)]).take(
            pa.array(make.integers(0, 256, n))
        ),
    }


def ours(path: Path) -> tuple[dict[str, float], dict[str, Any]]:
    """Read, clean, encode and choose with `gpuclust.datasets.annotations`."""
    from gpuclust.datasets.annotations import Table, first_word, read, unassigned
    from gpuclust.device import backend

    backend.frames()  # imports the library
    clock = Clock()
    table = read(path, ["processid", "split", "chunk", *LEVELS])
    clock("read")
    columns = dict(table.columns)
    columns["genus"] = first_word(columns["genus"], of=columns["species"])
    known = columns["genus"].notna()
    columns["subfamily"] = unassigned(columns["subfamily"], columns["family"], where=known)
    table = Table(path, columns, table.read_with, table.said)
    clock("clean")
    levels = {level: table.encode(level) for level in LEVELS}
    clock("encode")
    ids = table.texts("processid", table.chosen("split", ["test", "test_unseen"]))
    clock("choose")
    found = {"levels": {name: tuple(level) for name, level in levels.items()}, "ids": ids}
    return clock.seconds, found | {"library": table.read_with}


def plain(path: Path) -> tuple[dict[str, float], dict[str, Any]]:
    """Do the same with pandas' C parser and Python objects."""
    import pandas as pd

    clock = Clock()
    df = pd.read_csv(path, usecols=["processid", "split", "chunk", *LEVELS], dtype=object)
    clock("read")
    lacks = df["genus"].isna() & df["species"].notna()
    df.loc[lacks, "genus"] = df.loc[lacks, "species"].apply(lambda text: text.split(" ")[0])
    lacks = df["subfamily"].isna() & df["genus"].notna()
    df.loc[lacks, "subfamily"] = "unassigned " + df.loc[lacks, "family"]
    clock("clean")
    levels = {}
    for level in LEVELS:
        found = df[level].astype("category").cat
        levels[level] = found.codes.to_numpy().astype(np.int64), tuple(found.categories)
    clock("encode")
    ids = df.loc[df["split"].isin(["test", "test_unseen"]), "processid"].to_numpy()
    clock("choose")
    return clock.seconds, {"levels": levels, "ids": ids, "library": f"pandas {pd.__version__}"}


class Clock:
    """Seconds of each step since the last call."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def __call__(self, step: str) -> None:
        """Note the seconds of a finished step."""
        now = time.perf_counter()
        self.seconds[step], self._last = now - self._last, now


def digest(found: dict[str, Any]) -> str:
    """Return the SHA-256 of label codes, category names and chosen ids."""
    whole = hashlib.sha256()
    for level, (numbers, names) in found["levels"].items():
        whole.update(level.encode())
        whole.update(np.ascontiguousarray(numbers, np.int64))
        whole.update("\0".join(names).encode())
    whole.update("\0".join(found["ids"]).encode())
    return whole.hexdigest()


def work(program: str, path: Path) -> None:
    """Run one program in this process and print its figures."""
    programs: dict[str, Callable[[Path], tuple[dict[str, float], dict[str, Any]]]]
    programs = {"ours": ours, "plain": plain}
    load, before = os.getloadavg()[0], time.process_time()
    seconds, found = programs[program](path)
    cpu = time.process_time() - before
    status = Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 2**20  # type: ignore[union-attr]
    facts = {"seconds": seconds, "total": sum(seconds.values()), "cpu": cpu, "peak_gib": peak}
    facts |= {"load": load, "library": found["library"], "digest": digest(found)}
    print(json.dumps(facts))


def measured(path: Path, repeats: int) -> dict[str, Any]:
    """Run both programs in turn; return every run, the medians and their ratio."""
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "plain": []}
    for i in range(repeats):
        for program in sorted(runs, reverse=bool(i % 2)):
            command = [sys.executable, __file__, "--work", program, "--table", str(path)]
            ran = subprocess.run(command, check=True, capture_output=True, text=True)
            runs[program].append(json.loads(ran.stdout))
            print(program, {k: v for k, v in runs[program][-1].items() if k != "digest"})
    if len({run["digest"] for each in runs.values() for run in each}) != 1:
        raise SystemExit("the two programs found different categories")
    values = {
        key: {name: [run[key] for run in each] for name, each in runs.items()}
        for key in ("total", "cpu", "peak_gib")
    }
    pairs = zip(values["total"]["ours"], values["total"]["plain"], strict=True)
    medians = {
        key: {name: float(np.median(each)) for name, each in found.items()}
        for key, found in values.items()
    }
    ratios = [theirs / mine for mine, theirs in pairs]
    return {"equal": True, "speedup": float(np.median(ratios)), "speedups": ratios} | {
        "medians": medians,
        "runs": runs,
    }


def main() -> None:
    """Write the table, run both programs in turn, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the table is written, then deleted")
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    parser.add_argument("--work", choices=("ours", "plain"), help=argparse.SUPPRESS)
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work, args.table)
        return
    content = provenance(print)
    content["pyarrow"] = version("pyarrow")
    with tempfile.TemporaryDirectory(prefix="annotations-", dir=args.folder) as folder:
        path = Path(folder) / "table.csv"
        make_table(path, args.rows)
        size = path.stat().st_size / 1e9
        print(f"{args.rows:,} rows, {len(COLUMNS)} columns, {size:.2f} GB")
        content["table"] = {"rows": args.rows, "columns": len(COLUMNS), "gigabytes": size}
        content["table"]["barcode_letters"] = BARCODE
        content |= measured(path, args.repeats)
    print(f"{content['speedup']:.2f} times as fast; medians {content['medians']}")
    if args.out:
        write(args.out, content)


if __name__ == "__main__":
    main()
