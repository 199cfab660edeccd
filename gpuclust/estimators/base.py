"""Base of the estimators: input, device, parameters and the class to run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import array_api_compat
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ..api.words import errors_in_python
from ..arrays import accept, distances, parameters
from ..arrays.number_dtypes import InputTypeError
from ..arrays.transfer import to_device, to_host
from ..device import backend
from ..device.backend import Backend
from ..errors import CellError, InputError
from ..methods.build import build, neighbors_of
from ..methods.method import Fit, Method
from ..methods.param import Param
from ..methods.table import CLUSTERERS, REDUCERS


class Ready(NamedTuple):
    """Samples on the device of a fit, and the estimator to be fitted to them."""

    X: Any
    estimator: Any


class Estimator(BaseEstimator):
    """Base of the estimators: an entry of `gpuclust.methods` with scikit-learn's conventions."""

    _entry: str  # key of the table of methods
    device: str

    def _ready(self, X: Any, *, k: int | None = None) -> Ready:
        """Check samples and parameters, and construct the class that runs on their device."""
        on = self._backend(X)
        Z = self._samples(X, on, reset=True)
        n, d = Z.shape
        if k is not None and k > n:
            raise InputError(f"n_clusters is {k}, but X has n_samples={n}. Give at most {n}.")
        params = self._params(n, d)
        graph = neighbors_of(Z, on, most=params.get("n_neighbors") or 0)
        fit = Fit(n=n, d=d, k=k, seed=self._seed(), trees={}, neighbors=graph)
        built = build(self._entry, params, fit, on)
        self.backend_, self.ran_ = on.name, built.path
        return Ready(Z, built.estimator)

    def _backend(self, X: Any) -> Backend:
        """Choose the device: that of an array on a GPU, otherwise as `device` says."""
        device = parameters.choice("device", self.device, backend.BACKENDS)
        return backend.select("gpu" if device == "auto" and accept.on_gpu(X) else device)

    def _samples(self, X: Any, on: Backend, *, reset: bool) -> Any:
        """Return samples as float32 or float64 on the device; check or learn their features."""
        if on.name == "cpu" and array_api_compat.is_torch_array(X):
            X = X.cpu()
        array = accept.samples(X, least=2 if reset else 1)
        array = distances.check_array(array_api_compat.array_namespace(array), array)
        named = hasattr(X, "columns") or hasattr(X, "__dataframe__")
        try:
            validate_data(self, X if named else array, skip_check_array=True, reset=reset)
        except TypeError as error:  # names of columns that are partly texts
            raise InputTypeError(str(error)) from error
        except ValueError as error:  # other features than in the fit
            raise InputError(str(error)) from error
        return to_host(array) if on.name == "cpu" else on.put(array)

    def _again(self, X: Any) -> Any:
        """Return new samples on the device of the fit."""
        check_is_fitted(self)
        return self._samples(X, backend.named(self.backend_), reset=False)

    def _params(self, n: int, d: int) -> dict[str, Any]:
        """Return the parameters of the table's entry, checked."""
        method: Method = (REDUCERS | CLUSTERERS)[self._entry]
        given, name = self._given(n, d), type(self).__name__
        checked = {
            key: param.check(name, key, _plain(given[key], param))
            if key in given
            else param.default
            for key, param in method.params.items()
        }
        method.check(name, checked)
        return checked

    def _given(self, n: int, d: int) -> dict[str, Any]:
        """Return the parameters under the names of the table; `n` and `d` resolve defaults."""
        del n, d
        return self.get_params(deep=False)

    def _seed(self) -> int:
        state = parameters.seed(self.random_state) if hasattr(self, "random_state") else 0
        if isinstance(state, int):
            return state
        return int(check_random_state(state).randint(parameters.MOST))


def _plain(value: Any, param: Param) -> Any:
    """Return a number or text of NumPy as one of Python.

    Objects that are no value of any parameter become a short text, for the error.
    """
    if isinstance(value, np.generic):
        value = value.item()
    number = isinstance(value, bool | int | float) and not param.choices
    return value if number or value is None or isinstance(value, str) else parameters.short(value)


def kept(values: Any, X: Any) -> Any:
    """Return an attribute of a fitted estimator in the array type of `X`; integers as int64.

    Examples
    --------
    >>> kept(np.array([1, 0], dtype=np.int32), [[0.0], [1.0]]).dtype
    dtype('int64')
    """
    xp = array_api_compat.array_namespace(values)
    if xp.isdtype(values.dtype, "integral"):
        values = xp.astype(values, xp.int64, copy=False)
    return accept.returned(values, X)


def on_device_of(values: Any, Z: Any) -> Any:
    """Return an attribute in the namespace and on the device of the samples `Z`.

    Examples
    --------
    >>> import torch
    >>> on_device_of(torch.zeros(2), np.ones(2))
    array([0., 0.], dtype=float32)
    """
    if isinstance(Z, np.ndarray):
        if array_api_compat.is_torch_array(values):
            values = values.cpu().numpy()
        return to_host(values)
    values = accept.as_array(values, "attribute", "of the fit")
    if isinstance(values, np.ndarray):
        return to_device(array_api_compat.array_namespace(Z), values, Z)
    return values


@contextlib.contextmanager
def input_errors() -> Iterator[None]:
    """Raise a size that the method cannot work on as an InputError, which is a ValueError.

    Messages name arguments of Python instead of options of the command line.

    Examples
    --------
    >>> with input_errors():
    ...     raise CellError("too few samples")
    Traceback (most recent call last):
    ...
    gpuclust.errors.InputError: too few samples
    """
    with errors_in_python():
        try:
            yield
        except CellError as error:
            raise InputError(str(error)) from error
