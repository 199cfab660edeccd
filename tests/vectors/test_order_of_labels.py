"""Order of labels: by names or numbers of the samples in both files, and never by chance."""

import numpy as np
import pandas as pd
import pytest

from gpuclust.embeddings.vector_files import read_vectors
from gpuclust.errors import InputError

N = 12
X = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
Y = np.arange(N) % 4
SHUFFLED = np.random.default_rng(1).permutation(N)
IDS = 1000 + 3 * np.arange(N)


def save(frame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


def features(**columns):
    return pd.DataFrame(X, columns=["f0", "f1", "f2"]).assign(**columns)


@pytest.mark.parametrize("vectors", ["x.csv", "x.parquet"])
@pytest.mark.parametrize("labels", ["y.csv", "y.parquet"])
@pytest.mark.parametrize(
    ("ours", "theirs"), [("id", "id"), ("image_id", "image_id"), ("id", "image_id")]
)
def test_labels_follow_the_numbers_of_the_samples_in_both_files(
    tmp_path, vectors, labels, ours, theirs
):
    x = save(features(**{ours: IDS}), tmp_path / vectors)
    table = pd.DataFrame({theirs: IDS[SHUFFLED], "label": Y[SHUFFLED]})
    found = read_vectors(x, save(table, tmp_path / labels))
    assert found.y.tolist() == Y.tolist()
    assert f"labels brought into the order of {ours}" in found.report
    assert found.paths is None or found.paths == tuple(map(str, IDS))


def test_labels_follow_numbers_beside_an_array(tmp_path):
    np.savez(tmp_path / "x.npz", X=X, id=IDS)
    table = pd.DataFrame({"id": IDS[SHUFFLED], "label": Y[SHUFFLED]})
    found = read_vectors(tmp_path / "x.npz", save(table, tmp_path / "y.csv"))
    assert found.y.tolist() == Y.tolist()


def test_labels_follow_the_index_of_both_frames(tmp_path):
    features().set_axis(IDS).to_parquet(tmp_path / "x.parquet")
    labels = pd.DataFrame({"label": Y}, index=IDS).iloc[SHUFFLED]
    labels.to_parquet(tmp_path / "y.parquet")
    found = read_vectors(tmp_path / "x.parquet", tmp_path / "y.parquet")
    assert found.y.tolist() == Y.tolist()


def test_numbers_of_other_samples_are_refused(tmp_path):
    x = save(features(id=IDS), tmp_path / "x.csv")
    y = save(pd.DataFrame({"id": IDS + 1, "label": Y}), tmp_path / "y.csv")
    with pytest.raises(InputError, match="different samples: 1001 and 1000 in row 0"):
        read_vectors(x, y)


@pytest.mark.parametrize("name", ["index", "id", "Unnamed: 0", "image_id"])
@pytest.mark.parametrize("start", [0, 1])
def test_labels_numbered_in_another_order_are_refused(tmp_path, name, start):
    np.save(tmp_path / "x.npy", X)
    table = pd.DataFrame({name: SHUFFLED + start, "label": Y[SHUFFLED]})
    with pytest.raises(InputError, match=r"numbers its labels by .* Sort it by"):
        read_vectors(tmp_path / "x.npy", save(table, tmp_path / "y.csv"))


def test_a_shuffled_index_of_a_frame_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", X)
    pd.DataFrame({"label": Y}).iloc[SHUFFLED].to_parquet(tmp_path / "y.parquet")
    with pytest.raises(InputError, match="numbers its labels by __index_level_0__"):
        read_vectors(tmp_path / "x.npy", tmp_path / "y.parquet")


@pytest.mark.parametrize("numbers", [np.arange(N), np.arange(N) + 1, IDS, IDS[SHUFFLED], Y])
def test_numbers_that_tell_nothing_about_the_order_are_no_reason(tmp_path, numbers):
    np.save(tmp_path / "x.npy", X)
    y = save(pd.DataFrame({"index": numbers, "label": Y}), tmp_path / "y.csv")
    assert read_vectors(tmp_path / "x.npy", y).y.tolist() == Y.tolist()


def test_files_of_vectors_are_named_as_their_images(tmp_path):
    (tmp_path / "x").mkdir()
    for k in range(N):
        np.save(tmp_path / f"x/img_{k:02d}.npy", X[k])
    table = pd.DataFrame({"file": [f"img_{k:02d}.jpg" for k in SHUFFLED], "label": Y[SHUFFLED]})
    found = read_vectors(tmp_path / "x", save(table, tmp_path / "y.csv"))
    assert found.y.tolist() == Y.tolist()
    assert "labels brought into the order of the paths" in found.report


def test_the_report_names_the_source_of_the_paths(tmp_path):
    np.save(tmp_path / "x.npy", X)
    table = pd.DataFrame({"file": [f"{k}.jpg" for k in range(N)], "label": Y})
    y = save(table, tmp_path / "y.csv")
    assert f"paths from {y} file" in read_vectors(tmp_path / "x.npy", y).report


def test_labels_below_a_number_are_no_index(tmp_path):
    np.save(tmp_path / "x.npy", X)
    pd.Series(Y).to_csv(tmp_path / "y.csv")
    assert read_vectors(tmp_path / "x.npy", tmp_path / "y.csv").y.tolist() == Y.tolist()


@pytest.mark.parametrize("text", ["None", "NA", "N/A", "NULL"])
def test_a_missing_label_written_as_text_is_no_class(tmp_path, text):
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "y.txt").write_text("".join(f"{text if k % 3 else 'cat'}\n" for k in range(N)))
    found = read_vectors(tmp_path / "x.npy", tmp_path / "y.txt")
    assert found.class_names == ("cat",)
    assert found.labelled.sum() == 4
