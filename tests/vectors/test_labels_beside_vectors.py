"""Labels of a user's own: integers, text, missing ones; and files of labels."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from gpuclust.embeddings.check import check_vectors
from gpuclust.embeddings.vector_files import read_vectors
from gpuclust.errors import GpuclustNote, InputError
from gpuclust.vectors.labels import encode

N = 12
X = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
NAMES = ["cat", "ant", "bee"] * 4


def with_labels(tmp_path, write, name="y.csv", n=N):
    """Read vectors with a file of labels."""
    np.save(tmp_path / "x.npy", X[:n])
    path = tmp_path / name
    if isinstance(write, str | bytes):
        path.write_bytes(write if isinstance(write, bytes) else write.encode())
    else:
        write(path)
    return read_vectors(tmp_path / "x.npy", path)


def lines(*values, end="\n"):
    return "".join(f"{value}{end}" for value in values)


@pytest.mark.parametrize("value", [None, np.nan, pd.NaT, pd.NA, "", "  ", np.float32("nan")])
def test_every_missing_value_is_a_sample_without_a_label(value):
    raw = np.array(["a", value, "b", "a"], dtype=object)
    found = encode(raw, "y")
    assert found.class_names == ("a", "b")
    assert found.labelled.tolist() == [True, False, True, True]
    assert found.y[found.labelled].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    "raw",
    [
        np.array([3, np.nan, 5]),
        np.ma.masked_array([3, 4, 5], [False, True, False]),
        pd.array([3, None, 5], dtype="Int64").to_numpy(dtype=object),
        np.array(["3", "nan", "5"]),
        [3, None, 5],
    ],
)
def test_integers_with_missing_ones_keep_their_values(raw):
    found = encode(raw, "y")
    assert found.labelled.tolist() == [True, False, True]
    assert found.y[found.labelled].tolist() == [3, 5]


@pytest.mark.parametrize("raw", [[None, None], np.array([np.nan] * 2), np.array(["", ""])])
def test_labels_that_are_all_missing_are_no_labels(raw):
    assert encode(raw, "y") == (None, None, None)


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        ([2**63, 2**63 + 1, 2**63], ("9223372036854775808", "9223372036854775809")),
        (np.array([2**64 - 1, 2**63], np.uint64), (str(2**64 - 1), str(2**63))),
        (["123456789012345678900", "123456789012345678901"], None),
        (["9" * 5000, "8" * 5000], None),
        ([1e30, 2e30], (str(int(1e30)), str(int(2e30)))),
    ],
)
def test_numbers_beyond_64_bits_are_names(raw, names):
    found = encode(raw, "y")
    assert len(set(found.y.tolist())) == 2
    assert found.class_names == (names or tuple(sorted(raw)))


def test_codes_that_differ_by_zeros_in_front_are_different_classes():
    assert encode(["007", "07", "7"], "y").class_names == ("007", "07", "7")


def test_bytes_that_are_no_text_are_different_classes():
    assert len(encode(np.array([b"\xff", b"\xfe"]), "y").class_names) == 2


def test_whole_floats_are_integers_and_others_are_refused(tmp_path):
    assert encode([1.0, 2.0], "y").y.tolist() == [1, 2]
    found = with_labels(tmp_path, lambda p: np.savetxt(p, np.arange(N) % 3), "y.txt")
    assert found.y.tolist() == [0, 1, 2] * 4
    for bad in ([0.5, 1.0], np.array(["0.5", "1.0"]), [1, 0.5], np.array([1, np.inf])):
        with pytest.raises(InputError, match="labels are integers or text"):
            encode(bad, "y")


@pytest.mark.parametrize("raw", [[[1], [2, 3]], [{"a": 1}, 2], [(1, 2), (3, 4)], [object(), 1]])
def test_other_values_are_no_labels(raw):
    values = np.empty(2, dtype=object)
    values[:] = raw
    with pytest.raises(InputError, match="labels are integers or text"):
        encode(values, "y")


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt"])
def test_a_table_of_labels_with_any_delimiter(tmp_path, sep, suffix):
    rows = [f"file{sep}label", *(f"{k}.jpg{sep}{name}" for k, name in enumerate(NAMES))]
    found = with_labels(tmp_path, lines(*rows), f"y.{suffix}")
    assert found.class_names == ("ant", "bee", "cat")
    assert found.paths == tuple(f"{k}.jpg" for k in range(N))
    assert "y." + suffix + " label (3 classes" in found.report


@pytest.mark.parametrize("name", ["label", "Labels", "Y", "y_true", "TARGET", "class", "class_id"])
def test_a_column_of_labels_is_found_by_name_in_any_case(tmp_path, name):
    rows = [f"score,{name},other", *(f"0.5,{text},z" for text in NAMES)]
    assert with_labels(tmp_path, lines(*rows)).class_names == ("ant", "bee", "cat")
    found = with_labels(tmp_path, lambda p: np.savez(p, other=X, **{name: NAMES}), "y.npz")
    assert found.class_names == ("ant", "bee", "cat")


def test_n_lines_have_no_header_even_if_the_first_is_y(tmp_path):
    found = with_labels(tmp_path, lines(*["y", "n"] * 6))
    assert found.class_names == ("n", "y")
    assert len(found.y) == N


@pytest.mark.parametrize("first", ["label", "y", "Class", "target"])
@pytest.mark.parametrize("suffix", ["csv", "txt"])
def test_a_header_with_a_name_of_labels_is_no_label(tmp_path, first, suffix):
    assert len(with_labels(tmp_path, lines(first, *NAMES), f"y.{suffix}").y) == N


@pytest.mark.parametrize("first", ["label", "Class", "y"])
def test_a_header_above_one_label_too_few_is_refused(tmp_path, first):
    labels = range(N - 1) if first == "y" else NAMES[1:]
    with pytest.raises(InputError, match=f"{N - 1} labels for the {N} vectors"):
        with_labels(tmp_path, lines(first, *labels))


def test_text_above_numbers_is_a_header(tmp_path):
    assert with_labels(tmp_path, lines("species", *range(N))).y.tolist() == list(range(N))


@pytest.mark.parametrize("suffix", ["csv", "txt", "tsv"])
@pytest.mark.parametrize("more", [-3, -1, 1, 2, 12])
def test_another_number_of_labels_is_refused_with_both_lengths(tmp_path, suffix, more):
    names = [f"c{k % 5}" for k in range(N + more)]
    with pytest.raises(InputError, match=f"{N + more} labels for the {N} vectors"):
        with_labels(tmp_path, lines(*names), f"y.{suffix}")


@pytest.mark.parametrize("more", [-1, 1, 2])
def test_a_table_with_another_number_of_rows_is_refused(tmp_path, more):
    rows = [f"{k}.jpg,c{k % 5}" for k in range(N + more)]
    with pytest.raises(InputError, match=f"{N + more} labels for the {N} vectors"):
        with_labels(tmp_path, lines(*rows))
    with pytest.raises(InputError, match=f"{N + more} labels for the {N} vectors"):
        with_labels(tmp_path, lines("file,label", *rows))


def test_a_table_without_a_header_is_read_by_its_values(tmp_path):
    rows = [f"photos/{k}.jpg,{name}" for k, name in enumerate(NAMES)]
    found = with_labels(tmp_path, lines(*rows))
    assert found.class_names == ("ant", "bee", "cat")
    assert found.paths[3] == "photos/3.jpg"
    spaced = [f"photos/{k}.jpg {k % 3}" for k in range(N)]
    assert with_labels(tmp_path, lines(*spaced), "y.txt").y.tolist() == [0, 1, 2] * 4


@pytest.mark.parametrize("content", ["\ufefflabel\n", "label\r\n", "label\n\n"])
def test_marks_line_ends_and_empty_lines_do_not_shift_labels(tmp_path, content):
    end = "\r\n" if "\r" in content else "\n"
    found = with_labels(tmp_path, content + lines(*NAMES, end=end) + end)
    assert [found.class_names[k] for k in found.y] == NAMES


def test_labels_in_utf_16_are_read(tmp_path):
    found = with_labels(tmp_path, lines("label", *["ä", "b"] * 6).encode("utf-16"))
    assert found.class_names == ("b", "ä")


def test_quoted_labels_may_contain_the_delimiter_and_quotes(tmp_path):
    rows = ["path,label", *([f'"a,{k}.jpg","big, ""old"" cat"' for k in range(N)])]
    assert with_labels(tmp_path, lines(*rows)).class_names == ('big, "old" cat',)


def test_an_empty_line_among_n_is_a_sample_without_a_label(tmp_path):
    found = with_labels(tmp_path, lines(*NAMES[:5], "", *NAMES[6:]), "y.txt")
    assert found.labelled.tolist() == [True] * 5 + [False] + [True] * 6
    assert "1 sample without a label" in found.report


@pytest.mark.parametrize(
    "write",
    [
        lambda p: np.save(p.with_suffix(".npy"), NAMES),
        lambda p: torch.save(torch.arange(N) % 3, p),
        lambda p: torch.save(NAMES, p),
    ],
)
def test_labels_of_other_formats(tmp_path, write):
    path = tmp_path / "y.pt"
    write(path)
    if not path.exists():
        path = path.with_suffix(".npy")
    np.save(tmp_path / "x.npy", X)
    assert len(set(read_vectors(tmp_path / "x.npy", path).y.tolist())) == 3


def test_labels_in_another_order_of_paths_are_brought_into_the_order_of_the_vectors(tmp_path):
    paths = np.array([f"{k}.jpg" for k in range(N)])
    np.savez(tmp_path / "x.npz", X=X, paths=paths)
    order = np.random.default_rng(0).permutation(N)
    rows = ["file,label", *(f"{paths[k]},{NAMES[k]}" for k in order)]
    (tmp_path / "y.csv").write_text(lines(*rows))
    found = read_vectors(tmp_path / "x.npz", tmp_path / "y.csv")
    assert [found.class_names[k] for k in found.y] == NAMES
    assert "order of the paths" in found.report
    (tmp_path / "y.csv").write_text(lines("file,label", *(f"b{k}.jpg,{k % 2}" for k in range(N))))
    with pytest.raises(InputError, match="name different samples"):
        read_vectors(tmp_path / "x.npz", tmp_path / "y.csv")


def test_missing_labels_in_parquet_and_memory_are_noted(tmp_path):
    labels = [*NAMES[:-2], None, None]
    pq.write_table(pa.table({"embedding": X.tolist(), "label": labels}), tmp_path / "x.parquet")
    found = read_vectors(tmp_path / "x.parquet")
    assert found.labelled.tolist() == [True] * 10 + [False] * 2
    assert "2 samples without a label" in found.report
    with pytest.warns(GpuclustNote, match="2 samples without a label"):
        assert np.array_equal(check_vectors(X, labels).labelled, found.labelled)
    big = pa.array([2**53 + 1, 2**53, None] * 4)
    pq.write_table(pa.table({"embedding": X.tolist(), "label": big}), tmp_path / "y.parquet")
    assert sorted({*read_vectors(tmp_path / "y.parquet").y.tolist()}) == [0, 2**53, 2**53 + 1]
