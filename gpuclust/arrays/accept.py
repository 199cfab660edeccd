"""Arrays given by users: one check for samples, one for labels, and the way back to their type.

Lists, NumPy arrays, DataFrames, torch tensors, CuPy arrays and arrays of other namespaces become an
array of one namespace.  Everything else is refused by a sentence.  For arrays of NumPy and CuPy the
checks look at type, dtype and shape only, so that calls inside the library cost microseconds;
finite values are checked where the values are read, see `gpuclust.arrays.distances.check_array`.
"""

from __future__ import annotations

from typing import Any

import array_api_compat as compat
import numpy as np

from ..device import dlpack
from ..errors import InputError
from . import label_entries
from .number_dtypes import as_numbers, holds_numbers
from .transfer import to_device, to_host


def samples(X: Any, *, name: str = "X", least: int = 1) -> Any:
    """Return samples (n, d) as an array of real numbers, without a copy where possible.

    O(1) time for arrays of NumPy and CuPy; lists and objects are read once.

    Parameters
    ----------
    X : array-like (n, d)
        List of rows, NumPy array, DataFrame, torch tensor or array of another namespace.
    name : str
        Name in messages.
    least : int
        Smallest number of samples.

    Returns
    -------
    array (n, d) of bool, integers or floats
        NumPy for lists, DataFrames and tensors on the CPU; CuPy for CUDA tensors; arrays of other
        namespaces stay what they are.  bfloat16 and float16 tensors become float32.

    Raises
    ------
    InputError
        For sparse matrices, masked arrays with masked values, complex numbers, text, dates,
        ragged lists, another number of dimensions than two, no features, or too few samples.

    Examples
    --------
    >>> samples([[1, 2], [3, 4]]).dtype
    dtype('int64')
    >>> samples([[1, 2], [3]])
    Traceback (most recent call last):
    ...
    gpuclust.errors.InputError: X cannot be read as an array (n samples, d features): setting an ...
    """
    X = as_array(X, name, "(n samples, d features)")
    if not holds_numbers(X):
        X = as_numbers(X, name)
    return _with_shape(X, name, least)


def labels(values: Any, *, name: str = "labels") -> Any:
    """Return labels (n,) as an array of numbers or text.

    O(1) time for integers of NumPy and CuPy, O(n) for floats, text and lists.

    Raises
    ------
    InputError
        For another number of dimensions than one, NaN and infinity, missing entries, complex
        numbers, masked values, and entries that cannot be compared with each other.

    Examples
    --------
    >>> labels(["b", "a", "b"]).tolist()
    ['b', 'a', 'b']
    """
    given, values = values, as_array(values, name, "(n,)")
    if isinstance(given, list | tuple) and values.dtype.kind in "US":
        label_entries.check_list(given, name)  # NumPy has turned NaN into the text "nan"
    if values.ndim != 1:
        raise InputError(
            f"{name} has shape {tuple(values.shape)}; a label array is one-dimensional, one label "
            "per sample. Pass integer labels rather than one-hot rows."
        )
    if holds_numbers(values):
        xp = compat.array_namespace(values)
        floating = xp.isdtype(values.dtype, "real floating")
        if floating and not bool(xp.all(xp.isfinite(values))):
            raise InputError(
                f"{name} contains NaN or infinity. Label unclustered samples -1, or drop them "
                "from the input."
            )
        return values
    return _as_text(values, name)


def as_array(X: Any, name: str, shape: str) -> Any:
    """Return `X` as an array of any dtype; NumPy where it has no namespace of its own.

    Parameters
    ----------
    X : array-like
        As given by the user.
    name, shape : str
        Its name and shape, for messages.

    Raises
    ------
    InputError
        For sparse matrices, masked values, and what is no array.

    Examples
    --------
    >>> as_array([True, False], "mask", "(n,)")
    array([ True, False])
    """
    if type(X) is np.ndarray:
        return X
    if _is_sparse(X):
        raise InputError(
            f"{name} is sparse ({type(X).__name__}); gpuclust takes dense arrays. Convert it with "
            "toarray() or to_dense(), or reduce it first, for example with "
            "sklearn.decomposition.TruncatedSVD."
        )
    if isinstance(X, np.ma.MaskedArray):
        return _unmasked(X, name)
    if compat.is_torch_array(X):
        return _from_torch(X, name)
    if _has_namespace(X):
        return X
    if hasattr(X, "to_cupy"):  # a DataFrame of cuDF
        return X.to_cupy()
    return _on_host(X, name, shape)


def returned(values: Any, given: Any) -> Any:
    """Return an array in the type of a user's array, on its device.

    Parameters
    ----------
    values : array
        Result, of NumPy or of the namespace that computed it.
    given : array-like
        Input of the user: a torch tensor gives a tensor on its device, an array of CuPy or of
        another namespace gives an array there, everything else gives NumPy.

    Examples
    --------
    >>> import torch
    >>> returned(np.array([1, 2]), torch.zeros(1))
    tensor([1, 2])
    """
    if compat.is_torch_array(given):
        import torch

        if isinstance(values, np.ndarray):
            return torch.from_numpy(np.ascontiguousarray(values)).to(given.device)
        return torch.from_dlpack(values).to(given.device)
    if not _has_namespace(given):
        return to_host(values)
    if isinstance(values, np.ndarray):
        return to_device(compat.array_namespace(given), values, given)
    return values


def on_gpu(X: Any) -> bool:
    """Return whether `X` is a CuPy array, a CUDA tensor or a DataFrame of cuDF.

    Examples
    --------
    >>> on_gpu(np.zeros((2, 2)))
    False
    """
    if compat.is_torch_array(X):
        return bool(X.is_cuda)
    return bool(compat.is_cupy_array(X)) or hasattr(X, "to_cupy")


# ---- reading ------------------------------------------------------------------------------------


def _has_namespace(X: Any) -> bool:
    """Return whether results for `X` stay arrays of its namespace."""
    elsewhere = (compat.is_numpy_array, compat.is_torch_array, compat.is_jax_array)
    return compat.is_array_api_obj(X) and not any(one(X) for one in (*elsewhere, _is_dask))


def _is_dask(X: Any) -> bool:
    return compat.is_dask_array(X)


def _is_sparse(X: Any) -> bool:
    if compat.is_torch_array(X):
        return str(X.layout) != "torch.strided"
    return compat.is_pydata_sparse_array(X) or hasattr(X, "tocsr")


def _unmasked(X: Any, name: str) -> np.ndarray:
    hidden = int(np.count_nonzero(np.ma.getmaskarray(X)))
    if hidden:
        raise InputError(
            f"{name} is a masked array with {hidden} masked values, and a mask is not supported. "
            f"Fill them with {name}.filled(value), or drop these samples."
        )
    return np.asarray(X)


def _from_torch(X: Any, name: str) -> Any:
    X = X.detach()
    if not X.is_cuda:
        X = X.cpu()
    if X.is_floating_point() and X.element_size() == 1:
        X = X.float()  # float8, which NumPy does not have
    try:
        return dlpack.from_torch(X)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{name} is a CUDA tensor, and the package {error.name} is not installed (extra "
            f"gpu-cu13 or gpu-cu12). Install it, or give {name}.cpu()."
        ) from error


def _on_host(X: Any, name: str, shape: str) -> np.ndarray:
    try:
        found = np.asarray(X)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"{name} cannot be read as an array {shape}: {error}. Give rows of equal length."
        ) from error
    if found.ndim == 0:
        raise InputError(
            f"{name} is one {type(X).__name__}, not an array {shape}. Give a list, a NumPy array, "
            "a DataFrame or a tensor."
        )
    return found


def _as_text(values: Any, name: str) -> np.ndarray:
    """Return label arrays of text and objects; refuse all other entries."""
    if not isinstance(values, np.ndarray) or values.dtype.kind == "c":
        raise InputError(f"{name} has dtype {values.dtype}; give integer labels or text.")
    if values.dtype.kind in "iuf":
        return labels(as_numbers(values, name), name=name)
    return label_entries.from_entries(values, name)


# ---- shapes -------------------------------------------------------------------------------------


def _with_shape(X: Any, name: str, least: int) -> Any:
    shape = tuple(X.shape)
    if X.ndim != 2:
        raise InputError(
            f"{name} has shape {shape}; it must be (n samples, d features). Reshape your data: one "
            "feature to (n, 1), images to (n, d)."
        )
    if shape[1] == 0:
        raise InputError(
            f"{name} has 0 feature(s) (shape={shape}) while a minimum of 1 is required."
        )
    if shape[0] < least:
        some = "one sample" if least == 1 else f"{least} samples"
        count = "1 sample" if shape[0] == 1 else f"{shape[0]} samples"
        raise InputError(f"{name} has {count} (shape={shape}); give at least {some}.")
    return X
