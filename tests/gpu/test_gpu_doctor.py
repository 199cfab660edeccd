"""The doctor finds no fault on a GPU machine."""

import pytest

from gpuclust import doctor

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]


def test_every_check_of_the_gpu_passes_its_fits_included(tmp_path, note):
    found = {check.name: check for check in doctor.checks(root=tmp_path)}
    for check in found.values():
        note(f"{check.name}: {check.ok} {check.found}")
    assert found["clustering backend"].found.startswith("gpu")
    expected = [*doctor._GPU_CHECKS, *(f"fit: {name}" for name in doctor._GPU_FITS)]
    assert [name for name in expected if not found[name].ok] == []
