"""Common shape of the registries of methods, encoders and datasets.

A registry is a plain dictionary from a name to a frozen entry.  An entry holds metadata and names
its code as text, ``"module:attribute"``.  The code is imported when it is used, so listing and
checking names imports neither torch nor scikit-learn nor cuML.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, TypeVar

from .errors import BackendError, InputError

UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Fields of every entry.

    Attributes
    ----------
    summary : str
        One line for ``gpuclust list``.
    extra : str or None
        Optional dependency of gpuclust that installs the needed package.
    """

    summary: str
    extra: str | None = None


@dataclass(frozen=True, kw_only=True)
class Resource(Entry):
    """Fields shared by encoders and datasets: where they come from and how to load them.

    Attributes
    ----------
    target : str
        ``"module:attribute"`` of the function that loads the resource.
    check : str or None
        ``"module:attribute"`` of a function that raises for a name that cannot work, without
        loading weights or images.  None: every name works.
    rest : str
        Text after the key for an entry that stands for many names, such as ``":<path>"`` or
        ``"/<name>"``; its first character is the separator.  Empty for an entry with one name.
    licence : str
        Licence of the weights or images.
    url : str
        Address or command to get it from; empty when the user's own files are meant.
    """

    target: str
    check: str | None = None
    rest: str = ""
    licence: str = UNKNOWN
    url: str = ""

    @property
    def separator(self) -> str:
        """Character between the key and the rest of a name; empty for an entry with one name."""
        return self.rest[:1]

    @property
    def is_path(self) -> bool:
        """True when the rest of a name is a path of the user's own files."""
        return self.rest.startswith(":<path>")

    def template(self, key: str) -> str:
        """Write the names of this entry as one text, such as ``"folder:<path>"``.

        Examples
        --------
        >>> Resource(summary="", target="", rest=":<path>").template("folder")
        'folder:<path>'
        """
        return key + self.rest


R = TypeVar("R", bound=Resource)


class Found(NamedTuple):
    """Key of an entry and the rest of the name, empty for an entry with one name."""

    key: str
    rest: str


def find(name: str, table: Mapping[str, R]) -> Found | None:
    """Split a name into the key of an entry and the rest; None when no entry matches.

    Raises
    ------
    InputError
        When the name stops after the separator, as in ``"folder:"``.

    Examples
    --------
    >>> from gpuclust.datasets.table import DATASETS
    >>> find("folder:/photos", DATASETS)
    Found(key='folder', rest='/photos')
    >>> find("digits", DATASETS)
    Found(key='digits', rest='')
    """
    for key, entry in table.items():
        if not entry.rest and name == key:
            return Found(key, "")
        if entry.rest and name.startswith(key + entry.separator):
            rest = name[len(key) + 1 :]
            if not rest:
                wanted = entry.rest[1:].partition(">")[0].lstrip("<")
                raise InputError(f"{name!r} has no {wanted}; write {entry.template(key)!r}.")
            return Found(key, rest)
    return None


def describe(name: str, entry: Resource) -> dict[str, Any]:
    """Return the metadata of an entry as JSON values, without its targets.

    Examples
    --------
    >>> from gpuclust.datasets.table import DATASETS
    >>> describe("digits", DATASETS["digits"])["classes"]
    10
    """
    hidden = ("target", "check", "names", "rest", "download")
    values = {f.name: getattr(entry, f.name) for f in fields(entry) if f.name not in hidden}
    return {"name": name} | {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()
    }


def load_target(target: str, extra: str | None = None) -> Callable[..., Any]:
    """Import ``"module:attribute"``.

    Parameters
    ----------
    target : str
        Module and attribute, separated by a colon.
    extra : str, optional
        Optional dependency of gpuclust that installs the package.

    Raises
    ------
    BackendError
        When the package is not installed; the message says how to install it.

    Examples
    --------
    >>> load_target("math:sqrt")(9.0)
    3.0
    """
    module, _, attribute = target.partition(":")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        install = f'pip install "gpuclust[{extra}]"' if extra else f"pip install {error.name}"
        raise BackendError(f"{error.name} is not installed. Run {install}.") from error
    return found
