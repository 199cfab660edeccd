"""Files of predicted labels: one line per sample, readable by people and programs."""

import csv
import os

import numpy as np
import pandas as pd
import pytest

from gpuclust.errors import DamagedFileError, InputError
from gpuclust.store import labels
from gpuclust.store.labels import Assignments

# Names that a spreadsheet or a parser might take for something else.
NAMES = ["=1+2.png", "+a", "-b", "@c", 'a,b\n"c".png', "NA", "", "ä.png", os.fsdecode(b"\xff.png")]
CLUSTER = np.array([0, 1, -1, 0, 1, -1, 2, 2, 0])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_names_and_clusters_come_back_as_they_were(tmp_path, suffix):
    path = tmp_path / f"clusters{suffix}"
    labels.write(path, Assignments(CLUSTER, NAMES, NAMES, CLUSTER / 10), suffix)
    how = {"keep_default_na": False}
    table = pd.read_csv(path, **how) if suffix == ".csv" else pd.read_parquet(path)
    expected = [*NAMES[:-1], "\\xff.png"]
    assert list(table.columns) == ["path", "cluster", "truth", "strength"]
    assert table["path"].tolist() == table["truth"].tolist() == expected
    assert table["cluster"].tolist() == CLUSTER.tolist()
    assert table["strength"].tolist() == (CLUSTER / 10).tolist()


def test_text_is_in_quotes_and_numbers_are_not(tmp_path):
    labels.write(tmp_path / "x.csv", Assignments(np.array([-1]), ["=cmd()"], ["cat"]))
    assert (tmp_path / "x.csv").read_text().splitlines()[1] == '"=cmd()",-1,"cat",'


def test_vectors_without_names_are_numbered_and_a_missing_truth_is_empty(tmp_path):
    labels.write(tmp_path / "x.csv", Assignments(np.array([4, 5]), None, [7, None]))
    lines = list(csv.reader((tmp_path / "x.csv").read_text().splitlines()))
    assert lines[1:] == [["0", "4", "7", ""], ["1", "5", "", ""]]


def test_clusters_and_strength_are_read_again(tmp_path):
    path, strength = tmp_path / "x.csv", np.linspace(0, 1, 9) / 3
    labels.write(path, Assignments(CLUSTER, NAMES, NAMES, strength))
    found = labels.read(path)
    np.testing.assert_array_equal(found.cluster, CLUSTER)
    np.testing.assert_array_equal(found.strength, strength)
    labels.write(path, Assignments(CLUSTER, NAMES))
    assert labels.read(path).strength is None
    assert labels.read(tmp_path / "none.csv") is None


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY\x01\x00", b"path,label\na,1\n", b"cluster\nx\n"]
)
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"x\.csv"):
        labels.read(tmp_path / "x.csv")


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"must end in .csv or .parquet"):
        labels.check_suffix(tmp_path / "clusters.xlsx")
