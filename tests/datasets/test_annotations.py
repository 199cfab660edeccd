"""Columns of csv and tsv files as text, and their categories: pandas and cuDF agree."""

import csv
import random

import cudf_standin
import numpy as np
import pandas as pd
import pytest

from gpuclust.datasets import annotations
from gpuclust.datasets.annotations import first_word, read, unassigned
from gpuclust.device import backend
from gpuclust.errors import InputError

LIBRARIES = {"pandas": pd, "cudf": cudf_standin}


@pytest.fixture(params=LIBRARIES)
def library(request, monkeypatch):
    frames = backend.Frames(request.param, LIBRARIES[request.param])
    monkeypatch.setattr(backend, "frames", lambda asked=None: frames)
    return request.param


@pytest.fixture
def on_cpu():
    backend.select("cpu")


def write(path, text):
    path.write_bytes(text.encode())
    return path


def texts(series):
    values = getattr(series, "_inner", series)
    return [None if value is pd.NA else value for value in values]


# Read.


def test_texts_keep_their_zeros_and_letters_and_the_library_is_named(library, tmp_path):
    path = write(tmp_path / "t.csv", "a,chunk\nx,07\ny,1e2\nz,True\n")
    table = read(path, ["chunk", "a"])
    assert texts(table.columns["chunk"]) == ["07", "1e2", "True"]
    assert texts(table.columns["a"]) == ["x", "y", "z"]
    assert len(table) == 3
    assert table.read_with == f"{library} {LIBRARIES[library].__version__}"
    assert table.said == (f"{path}: 3 rows, read with {table.read_with}.",)


def test_quotes_umlauts_tabs_and_line_ends_of_windows_are_read(library, tmp_path):
    tsv = write(tmp_path / "t.tsv", 'k\tv\r\n1\t"a ""b"", c"\r\n2\tÄmeise 蚂蚁\r\n')
    assert texts(read(tsv, ["v"], delimiter="\t").columns["v"]) == ['a "b", c', "Ämeise 蚂蚁"]
    mark = write(tmp_path / "m.csv", "\ufeffk,v\n1,x\n")
    assert texts(read(mark, ["k"]).columns["k"]) == ["1"]


def test_missing_values_are_those_of_pandas_in_quotes_too(library, tmp_path):
    from pandas._libs.parsers import STR_NA_VALUES

    assert set(annotations.MISSING) == STR_NA_VALUES
    given = [*sorted(annotations.MISSING), "not_classified", "Nana", "none", "0"]
    lines = [f"{i},{text}" for i, text in enumerate(given)]
    lines += [f'{i},"{text}"' for i, text in enumerate(given)]
    path = write(tmp_path / "t.csv", "i,v\n" + "\n".join(lines) + "\n")
    expected = pd.read_csv(path, dtype=object, na_values=["not_classified"])["v"]
    found = texts(read(path, ["v"], missing=["not_classified"]).columns["v"])
    assert found == [None if pd.isna(value) else value for value in expected]
    assert found[-3:] == ["Nana", "none", "0"]


def test_categories_are_sorted_over_all_rows_and_missing_is_minus_one(library, tmp_path):
    path = write(tmp_path / "t.csv", "i,v\n1,b\n2,é\n3,\n4,B\n5,a b\n6,b\n7,zz\n")
    level = read(path, ["i", "v"]).encode("v")
    assert level.names == ("B", "a b", "b", "zz", "é")
    assert level.codes.tolist() == [2, 4, -1, 0, 1, 2, 3]
    assert level.codes.dtype == np.int64
    rows = np.array([True, False, True, False, False, True, False])
    assert level.texts(rows).tolist() == ["b", None, "b"]


def test_a_column_without_any_value_has_no_category(library, tmp_path):
    table = read(write(tmp_path / "t.csv", "i,v\n1,\n2,\n"), ["i", "v"])
    assert table.encode("v").names == ()
    assert table.encode("v").codes.tolist() == [-1, -1]
    assert table.encode("v").texts(np.array([True, True])).tolist() == [None, None]


def test_more_than_127_categories_keep_their_numbers(library, tmp_path):
    names = [f"{i:05d}" for i in range(300)]
    random.Random(0).shuffle(names)
    path = write(tmp_path / "t.csv", "v\n" + "\n".join(names) + "\n")
    assert read(path, ["v"]).encode("v").codes.tolist() == [int(name) for name in names]


def test_rows_are_chosen_in_the_order_of_the_file(library, tmp_path):
    table = read(write(tmp_path / "t.csv", "id,v\nc,1\na,2\nb,3\na,4\n,5\n"), ["id", "v"])
    chosen = table.chosen("id", {"a", "b", "unseen"})
    assert chosen.to_numpy().tolist() == [False, True, True, True, False]
    assert table.texts("v", chosen).tolist() == ["2", "3", "4"]
    assert not table.chosen("id", ["unseen"]).any()
    with pytest.raises(InputError, match="1 of the 1 chosen rows have no id"):
        table.texts("id", table.chosen("v", ["5"]))


def test_first_words_and_unassigned_levels_fill_missing_values_only(library, tmp_path):
    path = write(tmp_path / "t.csv", "genus,species\nA,B b\n,C c d\n,\n,D\n")
    columns = read(path, ["genus", "species"]).columns
    assert texts(first_word(columns["genus"], of=columns["species"])) == ["A", "C", None, "D"]
    full = read(write(tmp_path / "u.csv", "genus,species\nA,B b\n"), ["genus", "species"]).columns
    assert texts(first_word(full["genus"], of=full["species"])) == ["A"]
    levels = read(write(tmp_path / "v.csv", "l,up,w\nx,F,1\n,F,1\n,,1\n,F,\n"), ["l", "up", "w"])
    where = levels.columns["w"].notna()
    found = unassigned(levels.columns["l"], levels.columns["up"], where=where)
    assert texts(found) == ["x", "unassigned F", None, None]


def test_pandas_and_the_stand_in_agree_with_the_parser_of_pandas(tmp_path, monkeypatch):
    make = random.Random(1)
    words = ["Apis", "Zelus", "Élan", "a,b", 'q"q', "NA", "", "none", "not_classified", "x y"]
    rows = [[str(i), make.choice(words), make.choice(words)] for i in range(3000)]
    with (tmp_path / "t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([["id", "u", "v"], *rows])
    asked = {"dtype": object, "na_values": ["not_classified"]}
    expected = pd.read_csv(tmp_path / "t.csv", engine="python", **asked)
    for name, library in LIBRARIES.items():
        frames = backend.Frames(name, library)
        monkeypatch.setattr(backend, "frames", lambda asked=None, frames=frames: frames)
        table = read(tmp_path / "t.csv", ["id", "u", "v"], missing=["not_classified"])
        for column in ("u", "v"):
            category = expected[column].astype("category")
            assert table.encode(column).codes.tolist() == category.cat.codes.tolist()
            assert table.encode(column).names == tuple(category.cat.categories)


# The library.


def test_the_library_follows_the_last_backend_that_was_selected(monkeypatch):
    backend.select("auto")
    assert backend.frames().library is pd
    monkeypatch.setattr(backend, "why_no_gpu", lambda: None)
    backend.select("cpu")
    assert backend.frames().name == "pandas"
    monkeypatch.setattr("gpuclust.device.memory.share_pool", lambda: None)
    monkeypatch.setitem(__import__("sys").modules, "cudf", cudf_standin)
    assert backend.frames("auto").title == "cudf 26.10.0"
    backend.select("gpu")
    assert backend.frames().library is cudf_standin
    assert backend.frames("cpu").name == "pandas"
    backend.select("cpu")


def test_a_table_that_does_not_fit_on_the_gpu_is_read_on_the_cpu_and_said(tmp_path, monkeypatch):
    def full(*_, **__):
        raise MemoryError("std::bad_alloc: out_of_memory: RMM failure")

    monkeypatch.setattr(cudf_standin, "read_csv", full)
    given = {None: backend.Frames("cudf", cudf_standin), "cpu": backend.Frames("pandas", pd)}
    monkeypatch.setattr(backend, "frames", lambda asked=None: given[asked])
    table = read(write(tmp_path / "t.csv", "v\nb\na\n"), ["v"])
    assert table.encode("v").codes.tolist() == [1, 0]
    assert table.read_with.startswith("pandas")
    assert "does not fit into the memory of the GPU" in table.said[1]


def test_another_error_of_cudf_is_not_hidden(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("CUDF failure at: csv.cu")

    monkeypatch.setattr(cudf_standin, "read_csv", broken)
    frames = backend.Frames("cudf", cudf_standin)
    monkeypatch.setattr(backend, "frames", lambda asked=None: frames)
    with pytest.raises(RuntimeError, match=r"csv\.cu"):
        read(write(tmp_path / "t.csv", "v\nb\n"), ["v"])


# Bad input.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a;b\n1;2\n", "has no column b: its fields are separated by semicolons, expected are c"),
        ("a\tb\n1\t2\n", "has no column b: its fields are separated by tabs, expected are commas"),
        ("a,c\n1,2\n", "has no column b; its first line has a, c. Is it another file"),
        ("", "has no column b; its first line has nothing"),
        ("version https://git-lfs.github.com/spec/v1\n", "has no column b; its first line has ver"),
        ("a,b,b\n1,2,3\n", "two columns with the name b"),
        ("a,b,c\n1,2,3\n4,5", "the last row of .*t.csv has 2 of 3 fields: the file is not comp"),
        ("a,b,c\n1,2,3\n4\n", "the last row of .* has 1 of 3 fields"),
        ("a,b\n1,2\n3\n4,5\n", "cannot be read as a table: .*Expected 2 columns, got 1"),
        ("a,b\n1,2,3\n4,5\n", "cannot be read as a table: .*Expected 2 columns, got 3"),
    ],
)
def test_a_damaged_table_is_refused_with_its_name(content, message, tmp_path, on_cpu):
    path = write(tmp_path / "t.csv", content)
    with pytest.raises(InputError, match=message) as refused:
        read(path, ["b"])
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    "content", [b"a,b\n1,\xff\xfe\n", b"a,b\n1,\xff\xfe\n3,4\n", b"\xff,b\n1,2\n"]
)
def test_a_table_that_is_no_utf_8_is_refused(content, tmp_path, on_cpu):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"t\.csv cannot be read as a table"):
        read(path, ["b"])


def test_a_missing_table_and_a_folder_are_refused(tmp_path, on_cpu):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InputError, match="cannot be read as a table of text"):
            read(path, ["b"])


def test_a_last_row_without_a_line_break_is_said(tmp_path, on_cpu):
    table = read(write(tmp_path / "t.csv", "a,b\n1,2\n3,4"), ["a"])
    assert texts(table.columns["a"]) == ["1", "3"]
    assert "does not end with a line break: its last row may be cut" in table.said[1]


def test_a_table_without_rows_is_empty(library, tmp_path):
    table = read(write(tmp_path / "t.csv", "a,b\n"), ["a"])
    assert len(table) == 0
    assert table.encode("a").codes.tolist() == []
