"""Embeddings computed on a GPU: the array on the device equals the file."""

import numpy as np
import pytest
from on_gpu import unit_of

from gpuclust.embeddings import embed
from gpuclust.embeddings.load import DEFAULT_OPTIONS, Options, load_unit, look_up
from gpuclust.events import Watcher
from gpuclust.grid.run import run_grid
from gpuclust.store.store import Store

pytest.importorskip("timm")
pytest.importorskip("torchvision")
pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]

ENCODER = "random/resnet10t"  # timm's smallest, weights drawn from a seed


@pytest.fixture
def unit():
    return unit_of(["none"], ["kmeans"], encoder=ENCODER, metrics=("external",))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_array_on_the_device_equals_the_file(unit, gpu, tmp_path, note, workers):
    import cupy

    store = Store(tmp_path)
    options = Options(workers=workers)
    found = look_up(unit, store, options, Watcher())
    data = load_unit(found, store, gpu, options, Watcher())
    assert isinstance(data.X, cupy.ndarray)
    assert isinstance(data.y, cupy.ndarray)
    assert data.X.dtype == np.float32
    assert data.X.flags.c_contiguous
    X, y, meta = embed.load(store.embedding(unit))
    np.testing.assert_array_equal(data.X.get(), X)
    np.testing.assert_array_equal(data.y.get(), y)
    assert meta.device.startswith("cuda")
    note(f"{meta.images_per_second} images/s in {meta.precision} with {meta.workers} workers")
    found = look_up(unit, store, DEFAULT_OPTIONS, Watcher())
    again = load_unit(found, store, gpu, DEFAULT_OPTIONS, Watcher())
    np.testing.assert_array_equal(again.X.get(), X)
    assert again.fingerprint == data.fingerprint


def test_a_traced_grid_records_one_copy_of_the_embedding_for_the_file(unit, gpu, tmp_path, note):
    store = Store(tmp_path)
    summary = run_grid([unit], store, gpu, trace=True)
    assert (summary.computed, summary.failed) == (1, 0), summary.errors
    (row,), problems = store.rows()
    assert not problems
    X_bytes = 4 * row["n"] * row["d"]
    loaded, clustered = row["device"]["load"], row["device"]["cluster"]
    note(f"X {X_bytes} bytes, load {loaded}, cluster {clustered}")
    assert X_bytes <= loaded["to_host"] < 1.1 * X_bytes
    assert clustered["to_host"] < 0.02 * X_bytes
