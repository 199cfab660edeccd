"""Which results stand behind a table of the README?  Writes them down with where they come from.

    gpuclust grid benchmarks/fashionmnist.toml --root /tmp/fm
    python benchmarks/table.py /tmp/fm benchmarks/results/fashionmnist-cpu-DATE.json

The JSON holds hardware, versions, commit and every row's coordinates, stages and scores; the table
is printed as Markdown.
"""

import json
import subprocess
import sys
from pathlib import Path

from gpuclust.device import machine
from gpuclust.report import tables
from gpuclust.store.store import Store

KEPT = ("dataset", "split", "encoder", "preprocess", "reducer", "clusterer", "k", "seed", "backend")


def main(root: str, out: str) -> None:
    """Write the rows of `root` to `out` and print their table, best first."""
    rows, problems = Store(Path(root)).rows()
    if problems or any(row["status"] != "ok" for row in rows):
        sys.exit(f"not every row is sound: {problems or 'some failed'}")
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
    ).stdout.strip()
    sidecars = [json.loads(path.read_text()) for path in Path(root).glob("embeddings/*/*.json")]
    speed = {f"{s['dataset']} x {s['encoder']}": s["images_per_second"] for s in sidecars}
    result = {
        "date": machine.now(),
        "commit": commit,
        "host": machine.facts(),
        "images_per_second": speed,
        "rows": [
            {name: row[name] for name in (*KEPT, "seconds", "stages", "scores")} for row in rows
        ],
    }
    Path(out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    shown = tables.brief(tables.ranked(tables.frame(rows)))
    print(shown.common, tables.markdown(shown.header, shown.lines), sep="\n\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
