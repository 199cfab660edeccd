"""Parse encoder names such as ``"random/resnet18?pool=avg&seed=1"`` and write them back."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError, UnknownNameError, unknown
from ..registry import find, load_target
from .entry import POOLS, EncoderEntry
from .table import ENCODERS

_SEE = "`gpuclust list encoders` shows all."
_MAX_SIZE = 4096


@dataclass(frozen=True)
class EncoderName:
    """Parsed name of one encoder.

    Attributes
    ----------
    source : str
        Key of `table.ENCODERS`.
    model : str
        Rest of the name: the model within the source, or a path for ``file:``.  Empty for an entry
        that is one encoder.
    options : tuple of (str, str)
        Options whose value is not the default, sorted.

    Notes
    -----
    Names of the same encoder are equal, independent of the text that they were parsed from.
    """

    source: str
    model: str = ""
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        text = f"{self.source}{ENCODERS[self.source].separator}{self.model}"
        query = "&".join(f"{key}={value}" for key, value in self.options)
        return f"{text}?{query}" if query else text

    def option(self, key: str) -> str:
        """Return the value of an option, or its default.

        Examples
        --------
        >>> parse("random/resnet18").option("seed")
        '0'
        """
        return dict(self.options).get(key, ENCODERS[self.source].options[key])

    @property
    def pool(self) -> str:
        """Requested pooling; empty for the model's own feature."""
        return dict(self.options).get("pool", "")


def parse(name: str) -> EncoderName:
    """Parse an encoder name; needs no library and no weights.

    Raises
    ------
    UnknownNameError
        For an unknown source, option or pooling; the message suggests the nearest ones.
    InputError
        For a source without a model, an option without a value or given twice, a seed that is
        not a whole number of at least 0, or a size that is not one from 1 to 4096 pixels.

    Examples
    --------
    >>> parse("random/resnet18?seed=1")
    EncoderName(source='random', model='resnet18', options=(('seed', '1'),))
    """
    # A file name may contain a question mark: only the last one starts the options, and only if
    # what follows looks like some.
    body, mark, query = name.rpartition("?")
    if not mark or "=" not in query:
        body, query = name, ""
    found = find(body, ENCODERS)
    if found is None:
        raise _unknown_source(name, body)
    return EncoderName(found.key, found.rest, _options(name, query, found.key))


def entry_of(name: str | EncoderName) -> EncoderEntry:
    """Find the registry entry of an encoder; raises as `parse`.

    Examples
    --------
    >>> entry_of("efficientnet_lite0?pool=avg").licence
    'Apache-2.0'
    """
    return ENCODERS[(parse(name) if isinstance(name, str) else name).source]


def check(name: str | EncoderName) -> EncoderName:
    """Validate a name as far as possible without weights; a grid then fails early.

    Returns
    -------
    EncoderName
        The parsed name.

    Raises
    ------
    UnknownNameError
        For a model that its library does not have; the message suggests the nearest ones.
    WeightsError
        For a checkpoint file that does not exist or has an unsupported format.
    InputError
        For a pooling that the model does not have, a size that it cannot take, or a missing
        ``arch``.

    Examples
    --------
    >>> str(check("raw"))
    'raw'
    """
    parsed = parse(name) if isinstance(name, str) else name
    entry = ENCODERS[parsed.source]
    if entry.check is not None:
        load_target(entry.check, entry.extra)(parsed)
    return parsed


def _unknown_source(name: str, body: str) -> UnknownNameError:
    head = body.replace(":", "/").split("/")[0]
    entry = ENCODERS.get(head)
    if entry is not None and entry.rest:
        template = entry.template(head)
        return unknown("encoder", name, [template], f"Write {template!r}. {_SEE}")
    where = f"In {name!r}." if head != name else f"A model of timm is 'timm/{name}'."
    return unknown("encoder", head, ENCODERS, f"{where} {_SEE}")


def _options(name: str, query: str, key: str) -> tuple[tuple[str, str], ...]:
    entry = ENCODERS[key]
    given: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        option, _, value = part.partition("=")
        if not entry.options:
            raise InputError(f"encoder {key!r} takes no options; got {part!r}.")
        if option not in entry.options:
            raise unknown(
                f"option of {entry.template(key)}", option, entry.options, f"In {name!r}."
            )
        if not value or option in given:
            fault = "is given twice" if option in given else "has no value"
            raise InputError(f"option {option!r} of {name!r} {fault}; write {option}=<value>.")
        given[option] = _value(option, value)
    return tuple(sorted(item for item in given.items() if item[1] != entry.options[item[0]]))


def _value(option: str, value: str) -> str:
    if option == "pool" and value not in POOLS:
        raise unknown("pooling", value, POOLS)
    if option == "size":
        return _size(value)
    if option != "seed":
        return value
    if not (value.isascii() and value.isdigit() and int(value) < 2**63):
        raise InputError(f"a seed is a whole number of at least 0; got {value!r}.")
    return str(int(value))


def _size(value: str) -> str:
    """Return a size in pixels in its one spelling, without zeros in front."""
    if not (
        value.isascii() and value.isdigit() and len(value) < 20 and 1 <= int(value) <= _MAX_SIZE
    ):
        raise InputError(
            f"a size is a whole number of pixels from 1 to {_MAX_SIZE}, for height and width; "
            f"got {value!r}."
        )
    return str(int(value))
