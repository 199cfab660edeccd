"""What we ask of dask-cuda: the keywords it takes, checked against the real package."""

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


def test_a_worker_per_gpu_is_asked_for_in_words_that_dask_cuda_knows(monkeypatch):
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
    # Each worker lays its memory out itself (Backend.prepare): two pools would share one device.
    assert not [name for name in asked if "rmm" in name]
    monkeypatch.undo()
    known = set(inspect.signature(dask_cuda.LocalCUDACluster.__init__).parameters)
    passed_on = set(inspect.signature(distributed.LocalCluster.__init__).parameters)
    workers = set(inspect.signature(distributed.Nanny.__init__).parameters)
    assert set(asked) <= known | passed_on | workers
    assert "resources" in workers


def test_without_a_gpu_it_is_refused_in_our_words(tmp_path):
    if backend.why_no_gpu() is None:
        pytest.skip("there is a GPU")
    with (
        pytest.raises(BackendError, match="--device gpu is not available"),
        dask_cluster.cluster(plan.Plan("cuda"), Store(tmp_path)),
    ):
        pass
