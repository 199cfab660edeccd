"""Text to encoder name and back: ``"random/resnet18?pool=avg&seed=1"`` <-> `EncoderName`."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError, UnknownNameError, unknown
from .table import POOLS, SOURCES, Source

_SEE = "`gpuclust list encoders` shows all."


@dataclass(frozen=True)
class EncoderName:
    """One encoder, read from its name.

    Attributes
    ----------
    source : str
        Key of `table.SOURCES`.
    model : str
        What the source calls it (a file name for ``file:``); empty for a source that is one
        encoder.
    options : tuple of (str, str)
        The options whose value is not the default, sorted: two names are equal when they mean
        the same encoder.
    """

    source: str
    model: str = ""
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        text = f"{self.source}{SOURCES[self.source].separator}{self.model}"
        query = "&".join(f"{key}={value}" for key, value in self.options)
        return f"{text}?{query}" if query else text

    def option(self, key: str) -> str:
        """Give the value of an option of the source, or its default."""
        return dict(self.options).get(key, dict(SOURCES[self.source].options)[key])

    @property
    def pool(self) -> str:
        """Which pooling was asked for; empty for the model's own feature."""
        return dict(self.options).get("pool", "")


def parse(name: str) -> EncoderName:
    """Read an encoder name; needs no library and no weights.

    Raises
    ------
    UnknownNameError
        For a source, an option or a pooling that does not exist, with the nearest ones.
    InputError
        For a name that lacks its model, an option without a value or given twice, or a seed that
        is not a whole number from 0 on.
    """
    # A file name may contain a question mark: only the last one starts the options, and only if
    # what follows looks like some.
    body, mark, query = name.rpartition("?")
    if not mark or "=" not in query:
        body, query = name, ""
    key, model = _source_and_model(name, body)
    return EncoderName(key, model, _options(name, query, key, SOURCES[key]))


def check(name: str | EncoderName) -> EncoderName:
    """Validate everything about a name that needs no weights, so that a grid fails up front.

    Returns
    -------
    EncoderName
        The parsed name.

    Raises
    ------
    UnknownNameError
        For a model that its library does not have, with the nearest ones.
    WeightsError
        For a checkpoint file that does not exist or is of no supported kind.
    InputError
        For a pooling that the model does not have, or a missing ``arch``.
    """
    parsed = parse(name) if isinstance(name, str) else name
    SOURCES[parsed.source].loader().check(parsed)
    return parsed


def _source_and_model(name: str, body: str) -> tuple[str, str]:
    for key, source in SOURCES.items():
        if not source.separator and body == key:
            return key, ""
        if source.separator and body.startswith(key + source.separator):
            model = body[len(key) + 1 :]
            if not model:
                raise InputError(f"{name!r} lacks its model; write {source.form!r}. {_SEE}")
            return key, model
    raise _unknown_source(name, body)


def _unknown_source(name: str, body: str) -> UnknownNameError:
    head = body.replace(":", "/").split("/")[0]
    for key, source in SOURCES.items():
        if head == key and source.separator:
            return unknown("encoder", name, [source.form], f"Write {source.form!r}. {_SEE}")
    where = f"In {name!r}." if head != name else f"A model of timm is 'timm/{name}'."
    return unknown("encoder", head, SOURCES, f"{where} {_SEE}")


def _options(name: str, query: str, key: str, source: Source) -> tuple[tuple[str, str], ...]:
    known = dict(source.options)
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        option, _, value = part.partition("=")
        if not known:
            raise InputError(f"encoder {key!r} takes no options, {part!r} was given.")
        if option not in known:
            raise unknown(f"option of {source.form}", option, known, f"In {name!r}.")
        if not value or option in found:
            fault = "is given twice" if option in found else "has no value"
            raise InputError(f"option {option!r} of {name!r} {fault}; write {option}=<value>.")
        found[option] = _value(option, value)
    return tuple(sorted(item for item in found.items() if item[1] != known[item[0]]))


def _value(option: str, value: str) -> str:
    if option == "pool" and value not in POOLS:
        raise unknown("pooling", value, POOLS)
    if option != "seed":
        return value
    if not (value.isascii() and value.isdigit() and int(value) < 2**63):
        raise InputError(f"a seed is a whole number from 0 on, {value!r} was given.")
    return str(int(value))
