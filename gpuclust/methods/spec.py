"""Parse specs such as ``"zscore|umap(n_components=50)"`` and write them back.

A spec names one entry of `gpuclust.methods.table` and the parameters that differ from its defaults.
Values are Python literals; words need no quotes (``linkage=average``).  One positional value is the
first parameter of the entry: ``pca(0.9)`` means ``pca(n_components=0.9)``.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InputError, unknown
from .method import Method
from .table import CLUSTERERS, REDUCERS


@dataclass(frozen=True)
class Spec:
    """One method with all its parameters resolved.

    Attributes
    ----------
    name : str
        Key of `REDUCERS` or `CLUSTERERS`.
    params : tuple of (str, value)
        Every parameter of the entry with its value, defaults included, sorted by name.
    given : str
        Shortest text that parses to this spec.

    Notes
    -----
    Specs of the same computation are equal, independent of the text that they were parsed from.
    """

    name: str
    params: tuple[tuple[str, Any], ...]
    given: str

    def __str__(self) -> str:
        return self.given

    def resolved(self) -> dict[str, Any]:
        """Return name and all parameters as a dictionary, for the key of a cell and its row."""
        return {"name": self.name, **dict(self.params)}


_METHODS = {**REDUCERS, **CLUSTERERS}
# Method -> parameter -> value.
Common = Mapping[str, Mapping[str, Any]]


def parse_reducer(text: str, common: Common | None = None) -> tuple[Spec, ...]:
    """Parse a chain of reducers such as ``"zscore|pca(0.9)"``.

    Parameters
    ----------
    text : str
        Specs separated by ``|``, applied from the first to the last.
    common : mapping of str to mapping, optional
        Values of the parameters of methods, in place of the registry's defaults.

    Returns
    -------
    tuple of Spec
        ``none`` is dropped from chains of two or more.

    Raises
    ------
    UnknownNameError
        For an unknown name or parameter; the message suggests the nearest ones.
    InputError
        For text that is not a spec, or a value that a parameter does not accept.

    Examples
    --------
    >>> [str(spec) for spec in parse_reducer("zscore | pca(0.9)")]
    ['zscore', 'pca(n_components=0.9)']
    """
    chain = tuple(_parse_one(part, REDUCERS, "reducer", common) for part in _split(text))
    if len(chain) > 1:  # "none" is the identity, so it changes nothing in a chain
        chain = tuple(spec for spec in chain if spec.name != "none") or chain[:1]
    return chain


def parse_clusterer(text: str, common: Common | None = None) -> Spec:
    """Parse one clusterer such as ``"hdbscan(metric=l1)"``; `common` as in `parse_reducer`.

    Raises
    ------
    UnknownNameError, InputError
        As `parse_reducer`.

    Examples
    --------
    >>> parse_clusterer("kmeans(n_init=5)").resolved()
    {'name': 'kmeans', 'init': 'k-means++', 'max_iter': 1000, 'n_init': 5}
    """
    return _parse_one(text, CLUSTERERS, "clusterer", common)


def changed(spec: Spec, values: Mapping[str, Any]) -> Spec:
    """Return a spec with other values of some parameters.

    Raises
    ------
    UnknownNameError, InputError
        As `parse_reducer`.

    Examples
    --------
    >>> str(changed(parse_clusterer("hdbscan(metric=l1)"), {"min_cluster_size": 2}))
    'hdbscan(min_cluster_size=2, metric=l1)'
    """
    return _spec(spec.name, _METHODS[spec.name], {**dict(spec.params), **values})


def chain_text(chain: tuple[Spec, ...]) -> str:
    """Write a chain of reducers as its shortest text.

    Examples
    --------
    >>> chain_text(parse_reducer("none|umap(n_components=50)"))
    'umap'
    """
    return "|".join(map(str, chain))


def whole_text(spec: Spec) -> str:
    """Write a spec with its defaults, but for those that switch something off.

    Examples
    --------
    >>> whole_text(parse_clusterer("agglomerative"))
    'agglomerative(linkage=ward, metric=euclidean)'
    """
    params, values = _METHODS[spec.name].params, dict(spec.params)
    shown = [
        f"{key}={_literal(values[key])}"
        for key, param in params.items()
        if values[key] != param.default or not (values[key] is None or values[key] is False)
    ]
    return f"{spec.name}({', '.join(shown)})" if shown else spec.name


def _split(text: str) -> list[str]:
    """Split a chain at every ``|``."""
    if not isinstance(text, str):
        raise InputError(f"a method is a text such as 'umap(n_components=10)'; got {text!r}.")
    return [part.strip() for part in text.split("|")]


def _parse_one(
    text: str, table: Mapping[str, Method], kind: str, common: Common | None = None
) -> Spec:
    name, args, keywords = _call(text, kind)
    if name not in table:
        raise unknown(kind, name, table, hint=f"`gpuclust list {kind}s` shows them all.")
    method = table[name]
    first = _bind_positional(name, method, args)
    for key in first.keys() & keywords.keys():
        raise _twice(text, key)
    return _spec(name, method, {**(common or {}).get(name, {}), **first, **keywords})


def _spec(name: str, method: Method, values: Mapping[str, Any]) -> Spec:
    """Check the values of parameters and fill in the defaults."""
    for key in values:
        if key not in method.params:
            of_k = "The number of clusters is k: --k, or k in a grid file."
            hint = of_k if key == "n_clusters" else ""
            raise unknown(f"parameter of {name}", key, method.params, hint=hint)
    given = {key: method.params[key].check(name, key, value) for key, value in values.items()}
    params = {key: param.default for key, param in method.params.items()} | given
    method.check(name, params)
    differs = {key: v for key, v in params.items() if v != method.params[key].default}
    short = ", ".join(f"{key}={_literal(value)}" for key, value in differs.items())
    return Spec(name, tuple(sorted(params.items())), f"{name}({short})" if short else name)


def _call(text: str, kind: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Read ``name`` or ``name(value, key=value)`` without evaluating anything."""
    if not isinstance(text, str):
        raise InputError(f"a {kind} is a text such as 'name(parameter=value)'; got {text!r}.")
    shown = text if len(text) <= 100 else f"{text[:97]}..."
    problem = (
        f"{shown!r} is not a {kind}. Write name or name(parameter=value), "
        "for example 'umap(n_components=10)' or 'agglomerative(linkage=average)'."
    )
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # all of hostile text
        raise InputError(problem) from error
    if isinstance(node, ast.Name):
        return node.id, [], {}
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise InputError(problem)
    if any(keyword.arg is None for keyword in node.keywords):
        raise InputError(problem)
    keywords: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg in keywords:
            raise _twice(text, str(keyword.arg))
        keywords[str(keyword.arg)] = _value(keyword.value, problem)
    return node.func.id, [_value(arg, problem) for arg in node.args], keywords


def _twice(text: str, key: str) -> InputError:
    return InputError(f"{text!r} gives {key} twice. Give it once.")


def _value(node: ast.expr, problem: str) -> Any:
    if isinstance(node, ast.Name):
        return node.id  # a bare word: linkage=average
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise InputError(problem) from error


def _bind_positional(name: str, method: Method, args: list[Any]) -> dict[str, Any]:
    if len(args) > min(1, len(method.params)):
        allowed = "one value" if method.params else "no value"
        raise InputError(
            f"{name} takes {allowed} without a name; got {len(args)}. "
            f"Name them: {', '.join(method.params) or 'it has no parameters'}."
        )
    return dict(zip(method.params, args, strict=False))


def _literal(value: Any) -> str:
    """Write a value as text; `_value` reads it back."""
    return value if isinstance(value, str) and value.isidentifier() else repr(value)
