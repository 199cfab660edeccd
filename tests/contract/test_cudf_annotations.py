"""cuDF has every call of the annotation tables, with the same parameters.

The calls are those of tests/cudf_standin.py: all of `gpuclust.datasets.annotations` and the
clean-up of BIOSCAN-1M run on it in tests/datasets, where any other call raises.  Here its
signatures are compared with the installed cuDF; tests/gpu compares the values.
"""

import inspect

import cudf
import cudf_standin
import pandas as pd
import pytest
from cudf.core.accessors.categorical import CategoricalAccessor
from cudf.core.accessors.string import StringMethods

from gpuclust.datasets import annotations
from gpuclust.device import backend

PAIRS = {
    cudf_standin.Series: cudf.Series,
    cudf_standin.CategoricalAccessor: CategoricalAccessor,
    cudf_standin.StringMethods: StringMethods,
    cudf_standin.Index: cudf.Index,
}
CALLS = [
    (ours, real, name)
    for ours, real in PAIRS.items()
    for name in vars(ours)
    if name not in ("__init__", "__module__", "__dict__", "__weakref__", "__doc__")
]


def same_call(ours, real):
    """Every parameter of ours is one of the real call, in its place, with its default."""
    theirs = inspect.signature(real).parameters
    for place, (name, parameter) in enumerate(inspect.signature(ours).parameters.items()):
        assert name in theirs, name
        there = theirs[name]
        if parameter.default is parameter.empty:
            assert list(theirs)[place] == name
            assert there.default is there.empty
        else:
            assert there.default == parameter.default


@pytest.mark.parametrize(("ours", "real", "name"), CALLS)
def test_cudf_has_the_call_with_these_parameters(ours, real, name):
    mine, theirs = inspect.getattr_static(ours, name), getattr(real, name)
    if isinstance(mine, property):
        assert isinstance(inspect.getattr_static(real, name), property)
    elif name in ("__and__", "__radd__"):  # made by a mixin with (self, other)
        assert callable(theirs)
    elif name == "__getitem__":
        assert list(inspect.signature(theirs).parameters) == ["self", "arg"]
    else:
        same_call(mine, theirs)


def test_read_csv_has_these_parameters():
    theirs = inspect.signature(cudf.read_csv).parameters
    for name, parameter in inspect.signature(cudf_standin.read_csv).parameters.items():
        assert theirs[name].default == parameter.default, name


def test_without_a_gpu_pandas_reads_and_is_named(tmp_path):
    if backend.why_no_gpu() is None:
        pytest.skip("there is a GPU: tests/gpu compares cuDF with pandas")
    (tmp_path / "t.csv").write_text("id,chunk\na,07\n")
    backend.select("auto")
    table = annotations.read(tmp_path / "t.csv", ["chunk"])
    assert table.read_with == f"pandas {pd.__version__}"
    assert table.encode("chunk").names == ("07",)
