"""A GPU out of memory: a second try with smaller blocks, then a failed row; the rest goes on."""

import json

import pytest
from on_gpu import in_a_process

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]

# A process with a pool of 1 GiB and no more; `cells` are the clusterers of one grid.
GRID = """
    import json, sys, tempfile
    from pathlib import Path

    import numpy as np
    import rmm.mr

    MOST = 1 << 30
    small = rmm.mr.PoolMemoryResource(
        rmm.mr.CudaMemoryResource(), initial_pool_size=MOST, maximum_pool_size=MOST
    )
    rmm.mr.set_current_device_resource(small)

    from gpuclust.device import backend, block_size
    from gpuclust.cell import Cell, units_of
    from gpuclust.grid.run import run_grid
    from gpuclust.embeddings.data import Data
    from gpuclust.embeddings.load import Options
    from gpuclust.store.store import Store

    def run(X, y, cells):
        how = dict(dataset="d", split="s", encoder="e", metrics=["external"])
        units = units_of(Cell.of(**how, clusterer=clusterer) for clusterer in cells)
        store = Store(Path(tempfile.mkdtemp()))
        run_grid(units, store, backend.select("gpu"), options=Options(vectors=Data(X, y, "f")))
        rows, problems = store.rows()
        assert not problems, problems
        return {row["clusterer"]: row for row in rows}

    def show(row):
        keys = ("status", "warnings", "error")
        return {**{k: row.get(k) for k in keys}, "memory": row["device"]["memory"]}

    y = np.arange(20_000) % 10
    X = np.random.default_rng(0).normal(size=(20_000, 8)).astype(np.float32) + 9 * y[:, None]
    X = X.astype(np.float32)
"""


def test_a_cell_beyond_the_memory_is_a_failed_row_and_the_next_succeeds():
    output = in_a_process(
        GRID
        + """
    rows = run(X, y, ["affinity(max_iter=5)", "kmeans"])  # three matrices of 1.6 GB
    print(json.dumps({name: show(row) for name, row in rows.items()}))
    """
    )
    rows = json.loads(output.splitlines()[-1])
    failed = rows["affinity(max_iter=5)"]
    assert failed["status"] == "failed"
    assert "Memory" in failed["error"]["type"]  # Python's, or CuPy's own
    assert rows["kmeans"]["status"] == "ok"
    assert rows["kmeans"]["memory"] == "given"


def test_a_cell_that_fits_in_smaller_blocks_succeeds_at_the_second_try():
    output = in_a_process(
        GRID
        + """
    import cupy
    from gpuclust.algorithms.linkage.agglomerative import Agglomerative
    fit, asked = Agglomerative.fit_predict, []

    def hungry(self, X):
        size = block_size.block_bytes(cupy, asked=int(1.5 * MOST))
        asked.append(size / MOST)
        cupy.empty(size, dtype=cupy.uint8)
        return fit(self, X[:500])[cupy.arange(len(X)) % 500]

    Agglomerative.fit_predict = hungry
    rows = run(X, y, ["agglomerative", "kmeans"])
    print(json.dumps([asked, show(rows["agglomerative"]), show(rows["kmeans"])]))
    """
    )
    asked, row, following = json.loads(output.splitlines()[-1])
    assert asked == [1.5, 0.75]
    assert row["status"] == "ok"
    assert "ran out of memory" in row["warnings"][-1]
    assert following["status"] == "ok"
    assert not any("memory" in text for text in following["warnings"])
