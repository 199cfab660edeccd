"""Arrays and parameters given by users."""

import numpy as np
import pandas as pd
import pytest
import torch

from gpuclust.arrays import accept, parameters
from gpuclust.errors import InputError, UnknownNameError


def test_arrays_of_a_library_are_passed_on_without_a_copy(xp):
    X = xp.put(np.ones((3, 2)))
    assert accept.samples(X) is X
    labels = xp.put(np.array([1, 0, 1]))
    assert accept.labels(labels) is labels


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        ([[1, 2], [3, 4]], "i8"),
        ([[1.5, 2], [3, 4]], "f8"),
        (((True, False), (True, True)), "?"),
        (pd.DataFrame({"a": [1, 2], "b": [0.5, 1]}), "f8"),
        (pd.DataFrame({"a": [True, False], "b": [0.5, 1]}), "f8"),
        (pd.DataFrame({"a": pd.array([1, 2], dtype="Int64"), "b": [0.5, 1]}), "f8"),
        (np.ones((2, 2), ">i2"), "i2"),
        (np.ones((2, 2), ">f4"), "f4"),
        (np.ones((2, 2), np.longdouble), "f8"),
        (torch.ones(2, 2, dtype=torch.bfloat16), "f4"),
        (torch.ones(2, 2, dtype=torch.float8_e4m3fn), "f4"),
        (torch.ones(2, 2, dtype=torch.int32), "i4"),
        ([torch.ones(2), torch.zeros(2)], "f4"),
        (np.array([[2**53, 1], [0.5, True]], dtype=object), "f8"),
    ],
)
def test_samples_are_numbers_of_a_native_dtype(given, dtype):
    got = accept.samples(given)
    assert got.dtype == np.dtype(dtype)
    assert got.shape == (2, 2)


def test_integers_that_float64_would_round_are_refused():
    with pytest.raises(InputError, match="beyond"):
        accept.samples([[2**70 + 1, 1], [1, 1]])


def test_a_memory_map_is_not_copied(tmp_path):
    np.save(tmp_path / "X.npy", np.ones((4, 3)))
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert np.shares_memory(accept.samples(X), X)


def test_masked_arrays_are_read_without_masked_values_and_refused_with_some():
    values = np.eye(3)
    np.testing.assert_array_equal(accept.samples(np.ma.masked_array(values)), values)
    with pytest.raises(InputError, match="3 masked values"):
        accept.samples(np.ma.masked_equal(values, 1))
    with pytest.raises(InputError, match="labels is a masked array with 1"):
        accept.labels(np.ma.masked_equal([0, 1, 2], 1))
    with pytest.raises(InputError, match="masked"):
        accept.as_array(np.ma.masked_array([True], [True]), "mask", "(n,)")


@pytest.mark.parametrize(
    "given",
    [["a", "b"], np.array(["a", "b"], dtype=object), pd.Series(["a", "b"]), [0, 1], [True, False]],
)
def test_labels_are_whole_numbers_or_text(given):
    assert accept.labels(given).shape == (2,)


@pytest.mark.parametrize(
    "given",
    [
        [1, None],
        ["a", None],
        np.array([np.nan, "a"], dtype=object),
        np.array(["a", 1], dtype=object),
        [0.0, np.nan],
        [1j, 2],
        [[0, 1]],
        [[0], [1, 2]],
        3,
        None,
        np.array(["2026-01-01", "NaT"], dtype="M8[D]"),
        pd.Series([1, None], dtype="Int64"),
        pd.Series(["a", None]),
        torch.tensor([0.0, float("nan")]),
    ],
)
def test_labels_that_miss_entries_or_mix_kinds_are_refused(given):
    with pytest.raises(InputError):
        accept.labels(given)


@pytest.mark.parametrize("kind", [int, np.int8, np.uint64])
def test_whole_numbers_of_python_and_numpy_are_counts(kind):
    assert type(parameters.whole("k", kind(3))) is int


@pytest.mark.parametrize(
    "value", [0, -1, True, np.True_, 2.0, "3", None, [3], np.array(3), float("nan")]
)
def test_no_other_value_is_a_count(value):
    with pytest.raises(InputError, match="k is"):
        parameters.whole("k", value)


def test_a_number_of_thousands_of_digits_is_refused_in_one_line():
    with pytest.raises(InputError, match="k is a number of thousands of digits"):
        parameters.whole("k", 10**5000)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, True, "1", None, [1.0], 1j, -0.1, 1.0])
def test_no_other_value_is_a_number_from_0_to_below_1(value):
    with pytest.raises(InputError, match="a finite number, at least 0 and below 1"):
        parameters.number("share", value, low=0, high=1, below=True)


def test_a_number_beyond_float64_is_refused():
    with pytest.raises(InputError, match="finite"):
        parameters.number("height", 10**400)


@pytest.mark.parametrize("value", ["wards", ["ward"], None, 1, ("ward",)])
def test_no_other_value_is_a_choice(value):
    with pytest.raises(UnknownNameError, match="linkage"):
        parameters.choice("linkage", value, ("ward", "single"))


@pytest.mark.parametrize("value", [-1, 2**32, 1.0, "0", True, [0], np.random.default_rng(0)])
def test_no_other_value_is_a_seed(value):
    with pytest.raises(InputError, match="random_state"):
        parameters.seed(value)
