"""Measure the cost of the grid itself: time and memory per cell, resuming, a report of many rows.

    python benchmarks/load.py --out benchmarks/results/load-cpu-DATE.json

Tiny cells (K-Means of 60 digits, scored against the classes) run in one process; overhead is the
time of a cell outside its stages.  Memory is the resident set of that process, read after every
thousand rows.  Then the same command resumes after ten rows were removed, and `report` reads a root
of copies.  All in fresh processes; imports count.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gpuclust.bench.results import provenance, write

GPUCLUST = Path(sys.executable).with_name("gpuclust")
GRID = """
dataset = "folder:{folder}"
encoder = "raw"
clusterer = "kmeans"
k = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
seed = {seeds}
metrics = "external"
"""
# Run a grid; after every `every` rows print rows, seconds, seconds of the stages, resident MiB.
RUN = """
import json, re, sys, time
from pathlib import Path
from gpuclust.device import backend
from gpuclust.events import Watcher
from gpuclust.grid.grid_file import load_grid
from gpuclust.grid.run import run_grid
from gpuclust.store.store import Store

class Listener(Watcher):
    rows, work, start = 0, 0.0, None
    def row(self, row):
        self.start = self.start or time.perf_counter()
        self.rows, self.work = self.rows + 1, self.work + row["seconds"]
        if self.rows % int(sys.argv[3]) == 0:
            status = Path("/proc/self/status").read_text()
            mib = int(re.search(r"VmRSS:\\s+(\\d+)", status).group(1)) / 1024
            print(json.dumps([self.rows, time.perf_counter() - self.start, self.work, mib]))

units = load_grid(Path(sys.argv[1]))
run_grid(units, Store(Path(sys.argv[2])), backend.select("cpu"), watcher=Listener())
"""


def write_images(folder: Path) -> None:
    """Write 60 of the digits, a folder per class."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for i in range(60):
        of_class = folder / str(digits.target[i])
        of_class.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[i] * 15).astype("uint8")).save(of_class / f"{i}.png")


def many_cells(grid: Path, root: Path, cells: int) -> dict[str, Any]:
    """Run the grid once; return the cost of a cell."""
    command = [sys.executable, "-c", RUN, str(grid), str(root), str(min(1000, cells // 4))]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    marks = [json.loads(line) for line in ran.stdout.splitlines()]
    rows, seconds, work, mib = marks[-1]
    return {
        "cells": rows,
        "seconds": seconds,
        "work_seconds": work,
        "overhead_ms_per_cell": 1000 * (seconds - work) / rows,
        "resident_mib": {count: mib for count, _, _, mib in marks},
        "growth_mib": mib - marks[len(marks) // 4][3],
    }


def resume(grid: Path, root: Path) -> dict[str, Any]:
    """Remove ten rows and time the same command up to its first cell, and to its end."""
    for path in sorted(root.glob("rows/*/*/*.json"))[:10]:
        path.unlink()
    start = time.perf_counter()
    begun = None
    command = [str(GPUCLUST), "grid", str(grid), "--root", str(root), "--device", "cpu"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        for line in process.stderr or ():
            if begun is None and re.search(r"10 cells to do", line):
                begun = time.perf_counter() - start
    return {"seconds_to_first_cell": begun, "seconds_in_all": time.perf_counter() - start}


def copies(root: Path, to: Path, count: int) -> None:
    """Write `count` rows in 50 units: copies with keys and scores of their own."""
    row = json.loads(next(root.glob("rows/*/*/*.json")).read_text())
    for i in range(count):
        unit = i % 50
        folder = to / "rows" / f"dataset{unit // 10}-all" / f"encoder{unit % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        row |= {"key": f"{i:024x}", "seed": i, "dataset": f"dataset{unit // 10}"}
        row["encoder"], row["scores"]["ami"] = f"encoder{unit % 10}", i / count
        (folder / f"{row['key']}.json").write_text(json.dumps(row, indent=1))


def timed(*command: object) -> float:
    """Time a gpuclust command."""
    start = time.perf_counter()
    subprocess.run([GPUCLUST, *map(str, command)], check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cells", type=int, default=20_000, help="a multiple of 10")
    parser.add_argument("--rows", type=int, default=100_000)
    args = parser.parse_args()
    found = provenance(print)
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        write_images(at / "images")
        grid = at / "grid.toml"
        seeds = list(range(args.cells // 10))
        grid.write_text(GRID.format(folder=at / "images", seeds=seeds))
        found["grid"] = many_cells(grid, at / "root", args.cells)
        print(json.dumps(found["grid"]))
        found["resume"] = [resume(grid, at / "root") for _ in range(3)]
        print(json.dumps(found["resume"]))
        copies(at / "root", at / "many", args.rows)
        found["report"] = {
            "rows": args.rows,
            "seconds": [timed("report", "--root", at / "many") for _ in range(3)],
            "seconds_with_csv": timed("report", "--root", at / "many", "--csv", at / "rows.csv"),
            "grid_status_seconds": timed("grid-status", grid, "--root", at / "root"),
        }
        print(json.dumps(found["report"]))
    write(args.out, found)


if __name__ == "__main__":
    main()
