"""Device-to-host copies of a unit on a GPU: bookkeeping, never the embedding."""

import functools

import numpy as np
import pytest
from copy_guard import guard
from on_gpu import unit_of, widened

from gpuclust import pipeline
from gpuclust.device import transfers
from gpuclust.embeddings.data import Data
from gpuclust.methods.table import CLUSTERERS
from gpuclust.pipeline import run_unit

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]

SMALL = 0.02  # of X
# Bytes per sample of the trees and graphs that are made on the host. HDBSCAN's and UMAP's, and what
# the eigensolver looks at, are cuML's own; ours were counted on NumPy, with 4,000 samples like
# these: Ward's tree took 313, affinity propagation 25.
PER_SAMPLE = {"agglomerative": 400, "affinity": 50, "spectral": 50, "hdbscan": 200, "umap": 1024}


@pytest.fixture(scope="module")
def wide(digits):
    """4,000 samples of 512 dimensions, 8 MB."""
    return Data(*widened(digits.X, digits.y, 4000, 512), "f")


def test_python_asks_for_little_of_a_unit_and_never_for_the_embedding(wide, gpu, note):
    unit = unit_of(["none", "pca(50)"], ["kmeans", "spectral"], metrics=("default",))
    data = gpu.place(wide)
    with guard(budget=int(SMALL * wide.X.nbytes)) as copies:
        results = list(run_unit(unit, data, gpu))
    assert [r.row["status"] for r in results] == ["ok"] * 4
    note(f"kmeans and spectral: {copies.bytes} bytes in {copies.calls} calls")


def test_no_copy_of_any_method_has_the_size_of_the_embedding(wide, gpu, note):
    data = gpu.place(wide)
    unit = unit_of(["none", "umap"], [*CLUSTERERS, "agglomerative(linkage=average)"])
    with guard() as copies:
        results = list(run_unit(unit, data, gpu))
    assert {r.row["status"] for r in results} == {"ok"}
    largest = max(copies.seen, key=lambda one: one.bytes)
    note(f"{copies.bytes} bytes in {copies.calls} calls, the largest {largest}")
    assert largest.bytes < wide.X.nbytes / 4, largest


def allowed(name: str, n: int, X_bytes: int) -> float:
    """Bytes that a stage may copy to the host."""
    kind = next((kind for kind in PER_SAMPLE if name.startswith(kind)), None)
    return SMALL * X_bytes + PER_SAMPLE.get(kind, 0) * n


def test_the_stages_of_a_unit_copy_to_the_host_what_their_trees_and_graphs_need(wide, gpu, note):
    data = gpu.place(wide)
    unit = unit_of(["none", "pca(50)", "umap"], CLUSTERERS, metrics=("default",))
    list(run_unit(unit, data, gpu))  # what is compiled and loaded once is not looked at
    attempt = functools.partial(pipeline.measured, on=gpu, trace=transfers.trace)
    rows = [result.row for result in run_unit(unit, data, gpu, attempt=attempt)]
    over = []
    for row in rows:
        for stage, found in row["device"].items():
            name = {"reduce": row["reducer"], "cluster": row["clusterer"]}.get(stage, stage)
            share = found["to_host"] / wide.X.nbytes
            line = f"{row['reducer']} | {row['clusterer']}, {stage}: to_host {found['to_host']}"
            note(f"{line}, {100 * share:.2f} % of X, to_device {found['to_device']}")
            if found["to_host"] > allowed(name, 4000, wide.X.nbytes):
                over.append(line)
    assert not over, over


def test_a_memory_mapped_embedding_is_copied_to_the_device_once(tmp_path, gpu):
    import cupy

    X = np.random.default_rng(0).normal(size=(3000, 100)).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    with transfers.trace() as found:
        there = gpu.put(mapped)
        back = there.get()
    assert isinstance(there, cupy.ndarray)
    np.testing.assert_array_equal(back, X)
    assert found["to_device"] == found["to_host"] == X.nbytes
    assert gpu.put(there) is there
