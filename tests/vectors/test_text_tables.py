"""Text tables as libraries write them: lists in cells, comments above the numbers."""

import numpy as np
import pandas as pd
import pytest

from gpuclust.embeddings.vector_files import read_vectors
from gpuclust.errors import InputError
from gpuclust.vectors.summary import facts_of

X = np.random.default_rng(0).normal(size=(12, 3))


@pytest.mark.parametrize(
    "write", [str, lambda row: str(tuple(row)), lambda row: f"[{row[0]}\t 2 3]"]
)
def test_lists_written_as_text_are_vectors(tmp_path, write):
    table = pd.DataFrame(
        {"embedding": [write(row) for row in X.tolist()], "n_tokens": range(9, 21)}
    )
    table.to_csv(tmp_path / "x.csv")
    found = read_vectors(tmp_path / "x.csv")
    assert found.X.shape == (12, 3)
    np.testing.assert_array_equal(found.X[:, 0], X[:, 0])
    assert "not used: '', n_tokens" in found.report


@pytest.mark.parametrize(
    ("cell", "what"), [("[1, 2]", "2 values in row 4"), ("[1, x, 2]", "no list"), ("", "no list")]
)
def test_a_damaged_list_in_text_is_refused_with_its_row(tmp_path, cell, what):
    cells = [str(row) for row in X.tolist()]
    cells[4] = cell
    pd.DataFrame({"embedding": cells}).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(InputError, match=what):
        read_vectors(tmp_path / "x.csv")


def test_other_text_in_brackets_is_no_feature(tmp_path):
    pd.DataFrame(X, columns=list("abc")).assign(tags="[red, blue]").to_csv(tmp_path / "x.csv")
    found = read_vectors(tmp_path / "x.csv")
    np.testing.assert_array_equal(found.X, X)


@pytest.mark.parametrize("delimiter", [" ", ",", ";", "\t"])
@pytest.mark.parametrize("header", ["a b c", "my features\nof today", ""])
def test_comments_above_the_numbers_are_no_row_and_no_column(tmp_path, delimiter, header):
    names = header.replace(" ", delimiter) if header == "a b c" else header
    np.savetxt(tmp_path / "x.txt", X, delimiter=delimiter, header=names)
    found = read_vectors(tmp_path / "x.txt")
    np.testing.assert_array_equal(found.X, X)
    assert ("columns a, b, c" in found.report) == (header == "a b c")


def test_facts_hold_in_every_unit():
    from gpuclust.embeddings.check import check_vectors

    assert facts_of(check_vectors([[3e300, 4e300]] * 2))["norms"] == "from 5e+300 to 5e+300"
    assert facts_of(check_vectors([[3e-300, 4e-300]] * 2))["norms"] == "from 5e-300 to 5e-300"


def test_rows_that_differ_by_the_sign_of_zero_are_repeated_rows():
    from gpuclust.embeddings.check import check_vectors

    assert facts_of(check_vectors([[0.0, 1.0], [-0.0, 1.0]]))["repeated rows"] == "1"
