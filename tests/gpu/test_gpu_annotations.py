"""cuDF and pandas read the same texts and categories from a table."""

import random

import numpy as np
import pytest

from gpuclust.datasets import annotations
from gpuclust.datasets.readers import bioscan
from gpuclust.device import backend

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]


def make_table(path, rows):
    make = random.Random(5)
    options = {
        "family": ["F1", "F2", "not_classified", ""],
        "subfamily": ["S1", "not_classified", ""],
        "tribe": ["T1", "Asteiini", "NA", '"NA"', '"T, 2"'],
        "genus": ["Asteia", "Nemorilla", "Philaenus", "G1", "not_classified", ""],
        "species": ["Asteia b", "G1 c d", "G2", "É f", "not_classified", '""', "a b", "B"],
        "chunk": ["07", "7", "1e2", "True"],
    }
    lines = [
        ",".join([f"id{i}", *(make.choice(texts) for texts in options.values())])
        for i in range(rows)
    ]
    header = ",".join(["id", *options])
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return ["id", *options]


def read_and_encode(path, columns):
    table = annotations.read(path, columns, missing=["not_classified"])
    table = annotations.Table(
        path, {**table.columns, **bioscan.clean(table.columns)}, table.read_with, table.said
    )
    chosen = table.chosen("id", [f"id{i}" for i in range(0, 10**5, 7)])
    levels = {name: table.encode(name) for name in columns[1:]}
    return table, levels, chosen.to_numpy().astype(bool), table.texts("chunk", chosen)


def test_cudf_and_pandas_read_the_same_categories(gpu, tmp_path):
    columns = make_table(tmp_path / "t.csv", 20_000)
    backend.select("cpu")
    table, levels, rows, chunks = read_and_encode(tmp_path / "t.csv", columns)
    assert table.read_with.startswith("pandas")
    backend.select("gpu")
    table, found, there, texts = read_and_encode(tmp_path / "t.csv", columns)
    assert table.read_with.startswith("cudf")
    for name, level in levels.items():
        assert found[name].names == level.names
        np.testing.assert_array_equal(found[name].codes, level.codes)
    np.testing.assert_array_equal(there, rows)
    assert texts.tolist() == chunks.tolist()
