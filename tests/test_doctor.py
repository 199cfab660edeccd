import sys
import types

import pytest
import standin

from gpuclust import doctor
from gpuclust.device import backend
from gpuclust.errors import BackendError


def found(tmp_path, **how):
    return {check.name: check for check in doctor.checks(root=tmp_path, **how)}


def test_an_exception_is_a_failed_check_and_the_others_still_run(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_weights", lambda: 1 / 0)
    checks = found(tmp_path, fits=False)
    assert checks["encoder weights"].ok is False
    assert "ZeroDivisionError" in checks["encoder weights"].found
    assert checks["root"].ok


def test_without_a_gpu_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "why_no_gpu", lambda: "the package cupy is not installed")
    gpu = found(tmp_path, fits=False)["GPU"]
    assert gpu.ok is None
    assert "cupy is not installed" in gpu.found
    assert "gpuclust[gpu-cu13]" in gpu.found


def test_with_a_gpu_every_gpu_check_runs(tmp_path, monkeypatch):
    standin.install(monkeypatch)
    monkeypatch.setattr(backend, "why_no_gpu", lambda: None)
    checks = found(tmp_path)
    assert set(doctor._GPU_CHECKS) <= set(checks)
    # The stand-in computes, but has no driver, so this check fails without the others.
    assert checks["GPU"].ok is False
    assert checks["allocator"].ok
    fits = {name: check for name, check in checks.items() if name.startswith("fit: ")}
    assert len(fits) == len(doctor._CPU_FITS) + len(doctor._GPU_FITS)
    assert all(check.ok for name, check in fits.items() if "UMAP" not in name), fits


def cuda(monkeypatch, *, driver, runtime, torch):
    fake = types.ModuleType("cupy")
    fake.cuda = types.SimpleNamespace(
        runtime=types.SimpleNamespace(
            driverGetVersion=lambda: driver, runtimeGetVersion=lambda: runtime
        )
    )
    monkeypatch.setitem(sys.modules, "cupy", fake)
    import torch as real

    monkeypatch.setattr(real.version, "cuda", torch)


def test_cuda_versions_that_agree_are_listed(monkeypatch):
    cuda(monkeypatch, driver=13000, runtime=13020, torch="13.0")
    assert doctor._cuda() == "driver 13, cupy 13, torch 13"


@pytest.mark.parametrize(
    ("driver", "runtime", "torch"), [(13000, 12090, "13.0"), (12080, 13000, "13.0")]
)
def test_cuda_versions_that_do_not_agree_fail(monkeypatch, driver, runtime, torch):
    cuda(monkeypatch, driver=driver, runtime=runtime, torch=torch)
    with pytest.raises(BackendError, match="do not agree"):
        doctor._cuda()


def test_a_bad_fit_fails(monkeypatch):
    monkeypatch.setattr(
        "gpuclust.pipeline.run_unit",
        lambda *a: [types.SimpleNamespace(row={"scores": {"ami": 0.0}, "ran": {"clusterer": "x"}})],
    )
    with pytest.raises(BackendError, match=r"AMI 0\.00"):
        doctor._fit_on("cpu", "none", "kmeans")


@pytest.mark.parametrize("kind", ["a file", "below a file"])
def test_a_root_that_cannot_be_a_folder_fails(tmp_path, kind):
    (tmp_path / "file").touch()
    root = tmp_path / "file" if kind == "a file" else tmp_path / "file" / "root"
    check = doctor._attempt("root", lambda: doctor._root(root))
    assert check.ok is False
    assert "is not a folder" in check.found


def test_a_root_is_ok_when_a_file_could_be_written(tmp_path, monkeypatch):
    assert "can be written" in doctor._root(tmp_path / "new" / "root")
    assert list(tmp_path.iterdir()) == []

    def refuse(**how):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "NamedTemporaryFile", refuse)
    check = doctor._attempt("root", lambda: doctor._root(tmp_path))
    assert check.ok is False
    assert "cannot be written: Permission denied" in check.found


def test_damaged_images_of_a_dataset_fail(tmp_path):
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (tmp_path / name).write_bytes(b"no images")
    assert doctor._fashionmnist(tmp_path).ok is not True
