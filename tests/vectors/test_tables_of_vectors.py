"""Parquet, CSV and DataFrames: choice of the columns of vectors, labels and paths."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuclust.embeddings.check import check_vectors
from gpuclust.embeddings.vector_files import read_vectors
from gpuclust.errors import GpuclustNote, InputError

N = 12
X = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
Y = np.repeat([0, 10, 20], 4)


def parquet(path, columns):
    pq.write_table(pa.table(columns), path)
    return path


def features():
    return {f"f{k}": X[:, k] for k in range(4)}


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 4), pa.large_list(pa.float64())]
)
def test_a_list_column_is_the_vectors_and_an_id_is_not(tmp_path, kind):
    columns = {"id": range(N), "embedding": pa.array(X.tolist(), kind), "label": Y}
    found = read_vectors(parquet(tmp_path / "x.parquet", columns))
    assert np.array_equal(found.X, X)
    assert found.y.tolist() == Y.tolist()
    assert found.report.endswith(
        f"vectors from column embedding (12 x 4, {found.X.dtype}), "
        "labels from label (3 classes); not used: id"
    )


def test_half_precision_lists_become_float32(tmp_path):
    half = [row.astype(np.float16) for row in X]
    column = pa.array([list(row) for row in half], pa.list_(pa.float16()))
    found = read_vectors(parquet(tmp_path / "x.parquet", {"vector": column}))
    assert found.X.dtype == np.float32
    assert np.array_equal(found.X, X.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("name", ["anything", "clip"])
def test_the_only_list_column_needs_no_name(tmp_path, name):
    found = read_vectors(parquet(tmp_path / "x.parquet", {name: X.tolist(), "score": X[:, 0]}))
    assert found.X.shape == (N, 4)


def test_of_two_list_columns_the_usual_name_is_taken_or_one_is_asked_for(tmp_path):
    path = parquet(tmp_path / "x.parquet", {"box": X[:, :2].tolist(), "features": X.tolist()})
    assert read_vectors(path).X.shape == (N, 4)
    assert "not used: box" in read_vectors(path).report
    path = parquet(tmp_path / "y.parquet", {"box": X[:, :2].tolist(), "other": X.tolist()})
    with pytest.raises(InputError, match=r"list columns box, other.* Rename"):
        read_vectors(path)


def test_a_short_list_beside_many_features_is_not_guessed(tmp_path):
    path = parquet(tmp_path / "x.parquet", {"box": X[:, :2].tolist(), **features()})
    with pytest.raises(InputError, match="box beside 4 columns"):
        read_vectors(path)


def test_lists_of_different_lengths_or_missing_lists_are_refused(tmp_path):
    rows = [*X.tolist()[:-1], [1.0]]
    with pytest.raises(InputError, match="1 values in row 11 and 4 in row 0"):
        read_vectors(parquet(tmp_path / "x.parquet", {"embedding": rows}))
    with pytest.raises(InputError, match="no list in row 11"):
        read_vectors(parquet(tmp_path / "y.parquet", {"embedding": [*X.tolist()[:-1], None]}))


@pytest.mark.parametrize(
    "name",
    [
        *("id", "ID", "Id", "index", "Unnamed: 0", "image_id", "imageId", "sample-id", "row"),
        *("split", "fold", "cluster", "y_pred", "track_uuid", "crop_index", "__index_level_0__"),
    ],
)
def test_a_column_that_describes_the_row_is_no_feature(tmp_path, name):
    for write, suffix in ((pd.DataFrame.to_parquet, "parquet"), (pd.DataFrame.to_csv, "csv")):
        frame = pd.DataFrame(features() | {name: Y * 7})
        path = tmp_path / f"x.{suffix}"
        write(frame, path, index=False)
        found = read_vectors(path)
        assert np.allclose(found.X, X)
        assert found.y is None
        assert name in found.report.partition("not used: ")[2]


@pytest.mark.parametrize(
    "name",
    [
        *("target", "Target", "class_id", "Label", "y_true", "Y", "CLASS", "classes", "targets"),
        *("ground_truth", "category", "true_label"),
    ],
)
def test_a_column_of_classes_is_the_labels(tmp_path, name):
    frame = pd.DataFrame(features() | {name: Y})
    frame.to_parquet(tmp_path / "x.parquet")
    found = read_vectors(tmp_path / "x.parquet")
    assert np.array_equal(found.X, X)
    assert found.y.tolist() == Y.tolist()
    assert f"labels from {name} (3 classes)" in found.report


def test_a_column_that_counts_the_rows_is_no_feature_by_any_name(tmp_path):
    for first in (0, 1):
        columns = features() | {"nummer": np.arange(N) + first}
        found = read_vectors(parquet(tmp_path / "x.parquet", columns))
        assert found.X.shape == (N, 4)
        assert "not used: nummer" in found.report


def test_a_feature_with_an_unusual_name_is_named_in_the_report(tmp_path):
    columns = features() | {"species_code": Y}
    found = read_vectors(parquet(tmp_path / "x.parquet", columns))
    assert found.X.shape == (N, 5)
    assert "columns f0 ... f3, species_code (12 x 5" in found.report


def test_columns_of_other_types_are_left_out_and_named(tmp_path):
    columns = features() | {
        "exposure": [datetime.timedelta(seconds=1)] * N,
        "taken": [datetime.datetime(2024, 1, 1)] * N,
        "day": [datetime.date(2024, 1, 1)] * N,
        "blurred": [True] * N,
        "note": ["x"] * N,
        "meta": [{"a": 1}] * N,
        "raw": [b"x"] * N,
        "label": Y,
    }
    found = read_vectors(parquet(tmp_path / "x.parquet", columns))
    assert np.array_equal(found.X, X)
    left_out = found.report.partition("not used: ")[2]
    assert all(name in left_out for name in ("exposure", "taken", "day", "blurred", "note", "meta"))


def test_decimal_columns_are_numbers(tmp_path):
    column = [decimal.Decimal("1.5")] * N
    found = read_vectors(parquet(tmp_path / "x.parquet", {"a": column, "b": X[:, 0]}))
    assert found.X[:, 0].tolist() == [1.5] * N


def test_dictionary_encoded_labels_are_text(tmp_path):
    names = np.array(["ant", "bee", "cat"])[Y // 10]
    columns = features() | {"label": pa.array(names).dictionary_encode()}
    found = read_vectors(parquet(tmp_path / "x.parquet", columns))
    assert found.class_names == ("ant", "bee", "cat")
    assert found.y.tolist() == (Y // 10).tolist()


def test_a_missing_feature_is_refused(tmp_path):
    frame = pd.DataFrame(features() | {"count": pd.array([*range(3, N + 2), None], "Int64")})
    frame.to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match="NaN or inf in 1 of 12 rows, the first is row 11"):
        read_vectors(tmp_path / "x.parquet")


@pytest.mark.parametrize("name", ["path", "filename", "File", "image", "uri", "id"])
def test_a_text_column_names_the_samples(tmp_path, name):
    names = [f"{k}.jpg" for k in range(N)]
    found = read_vectors(parquet(tmp_path / "x.parquet", features() | {name: names}))
    assert found.paths == tuple(names)
    assert f"paths from {name}" in found.report


def test_the_index_of_a_saved_frame_is_no_feature(tmp_path):
    frame = pd.DataFrame(features(), index=pd.Index(Y * 3 + np.arange(N), name="photo_number"))
    frame.to_parquet(tmp_path / "x.parquet")
    assert read_vectors(tmp_path / "x.parquet").X.shape == (N, 4)


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
@pytest.mark.parametrize("header", [True, False])
def test_csv_with_any_delimiter_with_and_without_a_header(tmp_path, sep, header):
    frame = pd.DataFrame(features())
    frame.to_csv(tmp_path / "x.csv", sep=sep, header=header, index=False)
    found = read_vectors(tmp_path / "x.csv")
    assert found.X.shape == (N, 4)
    assert np.allclose(found.X, X)


@pytest.mark.parametrize("sep", [";", "\t"])
def test_a_decimal_comma_is_read_right(tmp_path, sep):
    pd.DataFrame(features()).to_csv(tmp_path / "x.csv", sep=sep, decimal=",", index=False)
    found = read_vectors(tmp_path / "x.csv")
    assert np.allclose(found.X, X)
    assert "decimal comma" in found.report


def test_csv_as_pandas_writes_it_by_default(tmp_path):
    pd.DataFrame(X).to_csv(tmp_path / "x.csv")  # an index without a name, columns 0 to 3
    found = read_vectors(tmp_path / "x.csv")
    assert np.allclose(found.X, X)
    pd.DataFrame(X).to_csv(tmp_path / "y.csv", index=False)
    assert np.allclose(read_vectors(tmp_path / "y.csv").X, X)


def test_csv_as_numpy_writes_it_by_default(tmp_path):
    np.savetxt(tmp_path / "x.txt", X)
    found = read_vectors(tmp_path / "x.txt")
    assert np.allclose(found.X, X)
    assert "delimiter space" in found.report


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_with_a_byte_order_mark_and_windows_line_ends(tmp_path, encoding, end):
    lines = ["f0,f1,label", "0.5,1,ä", "1.5,2,b", "2.5,4,ä"]
    (tmp_path / "x.csv").write_bytes(f"{end.join(lines)}{end}".encode(encoding))
    found = read_vectors(tmp_path / "x.csv")
    assert found.X.tolist() == [[0.5, 1], [1.5, 2], [2.5, 4]]
    assert found.class_names == ("b", "ä")


def test_labels_of_a_csv_remain_text_and_may_be_missing(tmp_path):
    (tmp_path / "x.csv").write_text("f0,f1,label\n1,2,007\n2,3,07\n3,4,\n")
    found = read_vectors(tmp_path / "x.csv")
    assert found.class_names == ("007", "07")
    assert found.labelled.tolist() == [True, True, False]


@pytest.mark.parametrize("thousands", ["1,234.5", "1.234,5"])
def test_numbers_with_thousands_separators_are_not_misread(tmp_path, thousands):
    (tmp_path / "x.csv").write_text(f"a;b\n{thousands};1\n2;3\n")
    found = read_vectors(tmp_path / "x.csv")
    assert "not used: a" in found.report


def test_a_frame_in_memory_follows_the_rules_of_parquet():
    frame = pd.DataFrame(features() | {"id": Y, "label": Y, "when": pd.Timestamp("2024-01-01")})
    with pytest.warns(GpuclustNote, match="not used: id, when"):
        found = check_vectors(frame)
    assert np.array_equal(found.X, X)
    assert found.y.tolist() == Y.tolist()


def test_a_frame_of_lists_and_an_arrow_table_in_memory():
    assert np.allclose(check_vectors(pd.DataFrame({"embedding": list(X)})).X, X)
    assert np.allclose(check_vectors(pa.table({"embedding": X.tolist()})).X, X)


def test_labels_with_the_index_of_the_frame_in_another_order_are_noted():
    frame = pd.DataFrame(features())
    with pytest.warns(GpuclustNote, match="another order"):
        check_vectors(frame, pd.Series(Y).iloc[::-1])


def test_a_wide_parquet_file_is_opened_once_and_each_column_is_read_once(tmp_path, monkeypatch):
    calls = []

    class Counted(pq.ParquetFile):
        def __init__(self, *args, **how):
            calls.append("open")
            super().__init__(*args, **how)

        def read(self, columns, **how):
            calls.extend(columns)
            return super().read(columns, **how)

    X = np.random.default_rng(0).normal(size=(6, 40)).astype(np.float32)
    pq.write_table(pa.table({f"f{k}": X[:, k] for k in range(40)}), tmp_path / "wide.parquet")
    monkeypatch.setattr(pq, "ParquetFile", Counted)
    assert np.array_equal(read_vectors(tmp_path / "wide.parquet").X, X)
    assert sorted(calls) == sorted(["open", *(f"f{k}" for k in range(40))])
