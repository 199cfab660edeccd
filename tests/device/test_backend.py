"""Choice of the backend, and the reason given for it."""

import importlib.util
import sys

import pytest

from gpuclust.device import backend
from gpuclust.errors import BackendError, UnknownNameError


@pytest.mark.parametrize("missing", [None, "CUDA sees no device"])
def test_auto_takes_the_gpu_if_it_is_available(monkeypatch, missing):
    monkeypatch.setattr(backend, "why_no_gpu", lambda: missing)
    on = backend.select("auto")
    assert (on.name, on.asked) == ("gpu" if missing is None else "cpu", "auto")
    assert missing is None or on.reason == f"no GPU backend: {missing}"


def test_an_explicit_gpu_is_never_replaced_by_the_cpu(monkeypatch):
    monkeypatch.setattr(backend, "why_no_gpu", lambda: "there is no driver")
    with pytest.raises(BackendError, match=r"there is no driver\. Use --device cpu or auto\.$"):
        backend.select("gpu")


def test_a_cupy_that_cannot_be_imported_is_a_reason_and_no_crash(tmp_path, monkeypatch):
    for package in backend.PACKAGES:
        (tmp_path / f"{package}.py").write_text("raise ImportError('libnvrtc.so.13 is missing')\n")
        monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert "libnvrtc.so.13 is missing" in backend.why_no_gpu()
    assert backend.select("auto").name == "cpu"


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert backend.why_no_gpu() == (
        "the package cupy is not installed (extra gpu-cu13 or gpu-cu12)"
    )


def test_an_unknown_name_gets_a_suggestion_and_the_known_names():
    with pytest.raises(UnknownNameError, match="Did you mean 'gpu'"):
        backend.select("gpuu")
    with pytest.raises(UnknownNameError, match="Known: auto, cpu, gpu"):
        backend.select("tpu")
    with pytest.raises(UnknownNameError, match=r"Known: cpu, gpu\."):
        backend.named("auto")


def test_the_cpu_backend_copies_and_measures_nothing():
    on, values = backend.select("cpu"), [1, 2]
    assert on.put(values) is values
    assert on.prepare() is None
    with on.watch() as found:
        on.synchronize()
    assert found == {}
