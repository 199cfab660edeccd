"""dask-cuda accepts every keyword passed by gpuclust, checked with the real package."""

import contextlib
import inspect

import dask_cuda
import distributed
import pytest

from gpuclust.cluster import dask_cluster, plan
from gpuclust.device import backend
from gpuclust.device.backend import Backend
from gpuclust.errors import BackendError
from gpuclust.store.store import Store


def test_dask_cuda_knows_the_keywords_for_one_worker_per_gpu(monkeypatch):
    asked = {}

    @contextlib.contextmanager
    def record(**given):
        asked.update(given)
        yield "a cluster"

    monkeypatch.setattr(dask_cuda, "LocalCUDACluster", record)
    monkeypatch.setattr(backend, "select", lambda name: Backend(name, "as if", name))
    with contextlib.ExitStack() as stack:
        started = plan.start(plan.Plan("cuda", workers=2), "auto", stack)
    assert started == "a cluster"
    assert asked["resources"] == {"GPU": 1}
    assert asked["n_workers"] == 2
    # Each worker creates its own memory pool (Backend.prepare); two would share a device.
    assert not [name for name in asked if "rmm" in name]
    monkeypatch.undo()
    known = set(inspect.signature(dask_cuda.LocalCUDACluster.__init__).parameters)
    passed_on = set(inspect.signature(distributed.LocalCluster.__init__).parameters)
    workers = set(inspect.signature(distributed.Nanny.__init__).parameters)
    assert set(asked) <= known | passed_on | workers
    assert "resources" in workers


def test_without_a_gpu_the_error_is_ours(tmp_path):
    if backend.why_no_gpu() is None:
        pytest.skip("there is a GPU")
    with (
        pytest.raises(BackendError, match="--device gpu is not available"),
        dask_cluster.cluster(plan.Plan("cuda"), Store(tmp_path)),
    ):
        pass
