"""Stand-in for cuDF on a machine without a GPU: only calls of cuDF, computed with pandas.

Signatures are those of cuDF 26.10 without the parameters that gpuclust does not pass;
tests/contract compares them with the installed cuDF.  Two habits of cuDF are kept: a text in
quotes is never compared with `na_values`, and label codes of missing values are null.
"""

import re
from pathlib import Path

import pandas as pd
import pyarrow as pa

__version__ = "26.10.0"
TEXT = pd.ArrowDtype(pa.string())


def inner(value):
    return value._inner if isinstance(value, Series) else value


class Series:
    def __init__(self, values):
        self._inner = values

    def __len__(self):
        return len(self._inner)

    def __getitem__(self, arg):
        assert isinstance(arg, Series)
        return Series(self._inner[arg._inner])

    def __and__(self, other):
        return Series(self._inner & inner(other))

    def __radd__(self, other):
        assert isinstance(other, str)
        return Series(other + self._inner)

    def isin(self, values):
        assert isinstance(values, list)
        return Series(self._inner.isin(values))

    def isna(self):
        return Series(self._inner.isna())

    def notna(self):
        return Series(self._inner.notna())

    def any(self):
        return bool(self._inner.any())

    def sum(self):
        return int(self._inner.sum())

    def fillna(self, value):
        value = inner(value)
        if isinstance(value, pd.Series):
            value = value.reindex(self._inner.index)
        return Series(self._inner.fillna(value))

    def mask(self, cond, other=None):
        other = inner(other)
        return Series(self._inner.mask(inner(cond), pd.NA if other is None else other))

    def astype(self, dtype):
        assert dtype in ("category", "int64")
        if dtype == "int64":  # nulls stay null
            return Series(self._inner.astype("Int64"))
        return Series(self._inner.astype("category"))

    def to_numpy(self):
        return self._inner.to_numpy()

    @property
    def cat(self):
        return CategoricalAccessor(self._inner.cat)

    @property
    def str(self):
        return StringMethods(self._inner.str)


class CategoricalAccessor:
    def __init__(self, accessor):
        self._inner = accessor

    @property
    def codes(self):
        codes = self._inner.codes.astype("Int64")
        return Series(codes.mask(codes < 0))

    @property
    def categories(self):
        return Index(self._inner.categories)


class Index:
    def __init__(self, values):
        self._inner = values

    def to_numpy(self):
        return self._inner.to_numpy()


class StringMethods:
    def __init__(self, accessor):
        self._inner = accessor

    def split(self, pat=None, n=-1, expand=False):
        assert expand, "without it cuDF returns lists"
        found = self._inner.split(pat, n=n, expand=True)
        return {column: Series(found[column]) for column in found.columns}


def read_csv(
    filepath_or_buffer, sep=",", usecols=None, dtype=None, na_values=None, keep_default_na=True
):
    assert keep_default_na is False
    assert set(dtype) == set(usecols)
    assert set(dtype.values()) == {"str"}
    header, *lines = Path(filepath_or_buffer).read_text(encoding="utf-8-sig").splitlines()
    field = re.compile(rf'(?:^|{sep})("(?:[^"]|"")*"|[^{sep}]*)')
    names = [text.strip('"') for text in field.findall(header)]
    rows = [[_value(text, na_values) for text in field.findall(line)] for line in lines]
    columns = dict(zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True))
    return {name: Series(pd.Series(columns[name], dtype=TEXT)) for name in usecols}


def _value(text, na_values):
    if text.startswith('"'):
        return text[1:-1].replace('""', '"') or None
    return None if text in na_values else text
