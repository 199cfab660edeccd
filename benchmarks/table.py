"""Write the results behind a table of the README to a JSON, and print the table as Markdown.

    gpuclust grid benchmarks/fashionmnist.toml --root /tmp/fm
    python benchmarks/table.py /tmp/fm benchmarks/results/fashionmnist-cpu-DATE.json

The JSON holds hardware, versions, commit and every row's coordinates, stages and scores.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gpuclust.bench.results import provenance, write
from gpuclust.report import tables
from gpuclust.store.store import Store

KEPT = ("dataset", "split", "encoder", "preprocess", "reducer", "clusterer", "k", "seed", "backend")


def main(root: str, out: str) -> None:
    """Write the rows of `root` to `out` and print their table, best first."""
    rows, problems = Store(Path(root)).rows()
    if problems or any(row["status"] != "ok" for row in rows):
        sys.exit(f"not every row is sound: {problems or 'some failed'}")
    metas = [json.loads(path.read_text()) for path in Path(root).glob("embeddings/*/*.json")]
    speed = {f"{meta['dataset']} x {meta['encoder']}": meta["images_per_second"] for meta in metas}
    columns = (*KEPT, "seconds", "stages", "scores")
    kept = [{name: row[name] for name in columns} for row in rows]
    write(Path(out), {**provenance(print), "images_per_second": speed, "rows": kept})
    shown = tables.brief(tables.ranked(tables.frame(rows)))
    print(shown.common, tables.markdown(shown.header, shown.lines), sep="\n\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
