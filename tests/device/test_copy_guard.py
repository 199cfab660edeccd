"""Counting of device-to-host copies made from Python code (`copy_guard.guard`)."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import copy_guard
import numpy as np
import pytest
import torch

HERE = Path(__file__).name


class OnDevice(torch.Tensor):
    """CPU tensor in the role of a GPU tensor; results of its methods are plain."""

    is_cuda = True
    __torch_function__ = torch._C._disabled_torch_function_impl


@pytest.fixture
def cupy(monkeypatch):
    """Fake CuPy: arrays on the host in the role of GPU arrays."""

    class _Base:
        __cuda_array_interface__ = property(lambda self: pytest.fail("made a costly property"))

        def __init__(self, values):
            self.values, self.nbytes = np.asarray(values), np.asarray(values).nbytes

        def get(self):
            return self.values

        def item(self):
            return self.get().item()

        def tolist(self):
            return self.get().tolist()

    fake = ModuleType("cupy")
    fake.__spec__ = ModuleSpec("cupy", None)
    fake.ndarray = type("ndarray", (_Base,), {"get": _Base.get})
    exec("def asnumpy(array): return array.get()", vars(fake))  # in the module itself
    monkeypatch.setitem(sys.modules, "cupy", fake)
    return fake


def lines_of(copies):
    return [(one.call, one.bytes) for one in copies.seen]


def test_each_way_to_the_host_is_counted_once(cupy):
    array = cupy.ndarray(np.ones(6, np.float32))
    with copy_guard.guard() as copies:
        assert len(array.get()) == 6
        assert array.tolist() == [1.0] * 6
        assert cupy.ndarray(np.float64(2)).item() == 2
        cupy.asnumpy(array)
    assert lines_of(copies) == [
        ("ndarray.get", 24),
        ("ndarray.tolist", 24),
        ("ndarray.item", 8),
        ("ndarray.get", 24),
    ]
    assert (copies.calls, copies.bytes) == (4, 80)


def test_a_copy_is_reported_at_the_line_of_the_caller_of_cupy(cupy):
    with copy_guard.guard() as copies:
        cupy.asnumpy(cupy.ndarray([1]))
        line = sys._getframe().f_lineno - 1
    assert [one.site for one in copies.seen] == [f"{__file__}:{line}"]


def test_only_cuda_tensors_are_counted(monkeypatch):
    for name in ("cpu", "to"):
        monkeypatch.setattr(torch.Tensor, name, lambda self, *_: self.as_subclass(torch.Tensor))
    tensor = torch.ones(5).as_subclass(OnDevice)
    with copy_guard.guard() as copies:
        for one in (torch.ones(5), tensor):
            one.cpu(), one.to("cpu"), one.tolist(), one.numpy(), one[0].item()
    names = ["Tensor.cpu", "Tensor.to", "Tensor.tolist", "Tensor.numpy"]
    assert lines_of(copies) == [(name, 20) for name in names]


def test_a_copy_within_the_device_is_not_counted(monkeypatch):
    tensor = torch.ones(5).as_subclass(OnDevice)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *_: tensor)
    with copy_guard.guard() as copies:
        tensor.to(torch.float64)
    assert copies.calls == 0


def test_a_call_that_fails_copied_nothing(cupy):
    cupy.ndarray.get = lambda self: 1 / 0
    with copy_guard.guard() as copies:
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                cupy.ndarray([1]).tolist()
    assert copies.calls == 0


@pytest.mark.parametrize("fails", [False, True])
def test_the_classes_are_restored_afterwards(cupy, fails):
    before = [dict(vars(cls)) for cls in (cupy.ndarray, torch.Tensor)]
    with pytest.raises(KeyError) if fails else copy_guard.guard(), copy_guard.guard():
        assert vars(cupy.ndarray)["get"] is not before[0]["get"]
        if fails:
            raise KeyError
    assert [dict(vars(cls)) for cls in (cupy.ndarray, torch.Tensor)] == before


def test_copies_within_the_budget_pass(cupy):
    with copy_guard.guard(8):
        cupy.ndarray(np.float64(1)).item()


def test_an_exceeded_budget_lists_every_call_the_largest_first(cupy):
    with pytest.raises(copy_guard.TooManyCopiesError) as caught, copy_guard.guard(100):
        cupy.ndarray(np.ones(1)).item()
        cupy.ndarray(np.ones(100)).get()
    first, second, third = str(caught.value).splitlines()
    assert first == "808 bytes were copied to the host in 2 calls; 100 are allowed:"
    assert HERE in second
    assert second.endswith("ndarray.get, 800 bytes")
    assert third.endswith("ndarray.item, 8 bytes")


def test_at_most_twenty_calls_are_listed(cupy):
    array = cupy.ndarray(np.ones(1))
    with pytest.raises(AssertionError, match=r"\.\.\. and 5 more$"), copy_guard.guard(0):
        [array.item() for _ in range(25)]


def test_an_error_of_the_block_is_not_hidden_by_the_budget(cupy):
    with pytest.raises(KeyError), copy_guard.guard(0):
        cupy.ndarray(np.ones(1)).item()
        raise KeyError


def test_the_methods_of_the_real_cupy_can_be_watched():
    real = pytest.importorskip("cupy")
    before = dict(vars(real.ndarray))
    with copy_guard.guard():
        assert {"get", "item", "tolist"} <= set(vars(real.ndarray))
    assert dict(vars(real.ndarray)) == before
    assert "__cuda_array_interface__" in dir(real.ndarray)


@pytest.mark.gpu
def test_on_a_device_the_guard_sees_real_copies():
    import cupy

    array, tensor = cupy.ones(10, dtype=cupy.float32), torch.ones(10, device="cuda")
    with copy_guard.guard() as copies:
        array.get(), cupy.asnumpy(array), array.sum().item(), array.tolist()
        tensor.cpu(), tensor.to("cpu"), tensor.sum().item(), tensor.tolist()
        tensor.to(torch.float64)
    assert [one.bytes for one in copies.seen] == [40, 40, 4, 40] * 2
