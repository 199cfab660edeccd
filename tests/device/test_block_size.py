import contextlib
import math
import sys
import types

import numpy as np
import pytest

from gpuclust.device import block_size
from gpuclust.errors import InputError

MIB = 1 << 20


class CudaMemoryResource:
    """Bottom of RMM's memory resources; keeps no memory of its own."""


class FakeResource:
    """Another memory resource of RMM; attributes are given as keywords."""

    def __init__(self, upstream=None, **attributes):
        self.__dict__ |= attributes
        if upstream is not None:
            self.upstream_mr = upstream


CUDA = CudaMemoryResource()


def counting(upstream, used):
    counts = types.SimpleNamespace(current_bytes=used)
    return FakeResource(upstream, allocation_counts=counts)


@pytest.fixture
def fake_gpu(monkeypatch):
    """Function to make a stand-in for CuPy with the given free memory."""

    def with_memory(free, *, held_by_cupy=0, resource=None):
        attributes = {"held": 700 * MIB, "used": 100 * MIB}
        runtime = types.SimpleNamespace(
            memGetInfo=lambda: (free, 1 << 40),
            cudaMemPoolAttrReservedMemCurrent="held",
            cudaMemPoolAttrUsedMemCurrent="used",
            memPoolGetAttribute=lambda pool, attribute: attributes[attribute],
        )
        cupy = types.ModuleType("cupy")
        cupy.cuda = types.SimpleNamespace(runtime=runtime)
        cupy.get_default_memory_pool = lambda: types.SimpleNamespace(
            free_bytes=lambda: held_by_cupy
        )
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        if resource is None:
            monkeypatch.delitem(sys.modules, "rmm", raising=False)
        else:
            rmm = types.ModuleType("rmm")
            rmm.mr = types.SimpleNamespace(get_current_device_resource=lambda: resource)
            monkeypatch.setitem(sys.modules, "rmm", rmm)
        return cupy

    return with_memory


def test_a_block_fits_the_cache_on_numpy_and_has_256_mib_on_a_device(device_xp):
    assert block_size.block_bytes(np) == 4 * MIB
    assert block_size.block_bytes(np, cached=3) == 3
    assert block_size.block_bytes(device_xp.namespace, cached=3) == 256 * MIB


def test_a_device_with_little_memory_has_blocks_of_a_sixteenth_of_it(fake_gpu):
    assert block_size.block_bytes(fake_gpu(160 * MIB)) == 10 * MIB
    assert block_size.block_bytes(fake_gpu(100 * MIB, held_by_cupy=60 * MIB)) == 10 * MIB
    assert block_size.block_bytes(fake_gpu(1 << 40)) == 256 * MIB
    assert block_size.block_rows(fake_gpu(0), 1000) == 1


@pytest.mark.parametrize(
    ("resource", "free"),
    [
        (CUDA, 16),
        (counting(CUDA, 5), 16),
        (counting(FakeResource(CUDA, pool_size=lambda: 90), 30), 76),
        (counting(FakeResource(CUDA, pool_size=lambda: 20), 30), 16),
        (FakeResource(FakeResource(pool_size=lambda: 90), get_allocated_bytes=lambda: 40), 66),
        (FakeResource(CUDA, pool_size=lambda: 90), math.inf),
        (counting(FakeResource(), 5), math.inf),
        (FakeResource(pool_handle=lambda: 7), 16 + 600 * MIB),
    ],
    ids=[
        "no pool",
        "counted",
        "counted pool",
        "full pool",
        "limited pool",
        "silent pool",
        "unknown",
        "async",
    ],
)
def test_unused_memory_of_an_rmm_pool_counts_as_free(fake_gpu, resource, free):
    assert block_size.free_bytes(fake_gpu(16, resource=resource)) == free


def test_the_free_memory_of_other_namespaces_is_unknown():
    assert block_size.free_bytes(np) == math.inf


def test_blocks_are_as_before_after_an_error():
    with contextlib.suppress(MemoryError), block_size.smaller_blocks(0.5):
        raise MemoryError
    assert block_size.block_bytes(np) == 4 * MIB


@pytest.mark.parametrize("factor", [0.0, 1.5, -1.0, math.nan])
def test_a_factor_above_one_or_not_positive_raises(factor):
    with pytest.raises(InputError, match="factor is"), block_size.smaller_blocks(factor):
        pass
