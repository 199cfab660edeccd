"""CuPy has every array function called by gpuclust; without a device the error says why."""

import ast
import importlib
from pathlib import Path

import array_api_compat.cupy
import pytest

import gpuclust
from gpuclust.device import backend
from gpuclust.errors import BackendError

FILES = sorted(Path(gpuclust.__file__).parent.rglob("*.py"))


def names_of(path: Path, *owners: str) -> set[str]:
    """List the dotted names in a file after one of the owners: ``linalg.svd`` of ``xp``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            names, inner = [node.attr], node.value
            while isinstance(inner, ast.Attribute):
                names.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name) and inner.id in owners:
                found.add(".".join(reversed(names)))
    return found


def used(*owners: str) -> list[str]:
    return sorted({name for path in FILES for name in names_of(path, *owners)})


ARRAY_FUNCTIONS = [name for name in used("xp", "own") if name != "__name__"]
LIBRARY_FUNCTIONS = [
    (library, name) for library in ("cupy", "cudf", "rmm") for name in used(library)
]


def look_up(owner, name):
    """Follow a dotted name up to the first function."""
    for part in name.split("."):
        owner = getattr(owner, part)
        if callable(owner) and not isinstance(owner, type):
            return


def test_the_list_of_functions_is_not_empty():
    assert len(ARRAY_FUNCTIONS) > 40
    assert {"linalg.svd", "unique_all", "argsort", "take_along_axis"} <= set(ARRAY_FUNCTIONS)
    assert {library for library, _ in LIBRARY_FUNCTIONS} == {"cupy", "rmm"}


@pytest.mark.parametrize("name", ARRAY_FUNCTIONS)
def test_cupy_has_the_array_function(name):
    look_up(array_api_compat.cupy, name)


@pytest.mark.parametrize(("library", "name"), LIBRARY_FUNCTIONS)
def test_the_library_has_every_function_we_call(library, name):
    importlib.import_module("rmm.mr")
    look_up(importlib.import_module(library), name)


def test_the_source_holds_no_raw_cuda_kernel():
    # A future kernel must be compiled here by NVRTC for sm_75 to sm_120.
    for path in FILES:
        for word in ("RawKernel", "RawModule", "ElementwiseKernel", "ReductionKernel"):
            assert word not in path.read_text(encoding="utf-8"), path


def test_auto_and_gpu_use_a_gpu_or_say_why_not():
    missing = backend.why_no_gpu()
    if missing is None:
        assert backend.select("auto").name == "gpu"
        return
    assert "CUDA" in missing
    assert backend.select("auto").name == "cpu"
    with pytest.raises(BackendError, match="CUDA"):
        backend.select("gpu")
