"""The functions for Python: embed, run, run_grid, results."""

import contextlib
import dataclasses

import numpy as np
import pandas as pd
import pytest
import small_digits
import torch

import gpuclust
from gpuclust import GpuclustNote
from gpuclust.errors import InputError, UnknownNameError


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def X(digits):
    return digits.X[:120].astype(np.float32)


@pytest.fixture
def few(monkeypatch):
    """Make the dataset `digits` small."""
    small_digits.use_first(monkeypatch, 200)


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of 20 photos in two classes."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("given") / "photos"
    for i in range(20):
        place = folder / ("dark" if i % 2 else "light")
        place.mkdir(parents=True, exist_ok=True)
        level = (30 if i % 2 else 200) + i
        Image.new("RGB", (24, 16), (level, level, level)).save(place / f"{i:02}.png")
    return folder


def ami(X, y, root, **how):
    return gpuclust.run(X, y=y, clusterer="kmeans", metrics="ami", root=root, **how).scores["ami"]


# ---- run: vectors -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float16", "int8", "uint8"])
def test_vectors_of_any_numbers_give_the_clusters_of_float32(digits, X, root, dtype):
    y = digits.y[:120]
    expected = ami(X, y, root, reducer="l2")
    assert ami(X.astype(dtype), y, root, reducer="l2") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", [np.ndarray.tolist, pd.DataFrame, torch.from_numpy])
def test_lists_tables_and_tensors_are_arrays(digits, X, root, kind):
    assert ami(kind(X), digits.y[:120].tolist(), root) > 0.4


def test_a_tensor_comes_back_as_a_tensor_and_a_table_as_numpy(X, root):
    for kind, wanted in ((torch.from_numpy, torch.Tensor), (pd.DataFrame, np.ndarray)):
        result = gpuclust.run(kind(X), reducer="pca(3)", k=4, root=root)
        assert isinstance(result.labels, wanted)
        assert isinstance(result.reduced, wanted)
        assert tuple(result.reduced.shape) == (120, 3)


def test_the_same_bytes_in_another_shape_are_other_vectors(root):
    X = np.random.default_rng(0).normal(size=(60, 6))
    results = [gpuclust.run(one, k=3, root=root) for one in (X, X.reshape(120, 3))]
    assert [len(result) for result in results] == [60, 120]
    assert gpuclust.run(X, k=3, root=root).row["key"] == results[0].row["key"]


def test_text_classes_and_numbers_of_numpy_are_taken(digits, X, root):
    y = np.char.add("c", digits.y[:120].astype(str))
    result = gpuclust.run(
        X, y=y, clusterer="kmeans", k=np.int64(10), seed=np.int32(1), metrics="ami", root=root
    )
    assert (result.k, result.row["seed"], result.row["n_classes"]) == (10, 1, 10)
    assert result.to_frame()["truth"][0] == y[0]


def test_kmeans_is_the_default_with_k_and_hdbscan_without(X, root):
    assert gpuclust.run(X, k=3, root=root).row["clusterer"] == "kmeans"
    assert gpuclust.run(X, root=root).row["clusterer"] == "hdbscan"


def test_an_earlier_row_gives_the_same_arrays_again(X, root):
    how = {"reducer": "pca(4)", "clusterer": "hdbscan(min_cluster_size=3)", "root": root}
    first, again = gpuclust.run(X, **how), gpuclust.run(X, **how)
    assert first.row == again.row, "not computed again"
    for name in ("labels", "strength", "reduced"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.labels.dtype == again.labels.dtype


def test_a_row_without_its_labels_is_computed_again(X, root):
    first = gpuclust.run(X, k=3, root=root)
    (path,) = root.glob("labels/*.csv")
    for damage in (path.unlink, lambda: path.write_text("path,cluster\n"), path.touch):
        damage()
        again = gpuclust.run(X, k=3, root=root)
        np.testing.assert_array_equal(first.labels, again.labels)
        assert path.read_text().count("\n") == 121


def test_a_layout_without_a_seed_is_not_made_up(X, root):
    how = {"reducer": "umap(n_components=2, seeded=False)", "k": 3, "root": root}
    first, again = gpuclust.run(X, **how), gpuclust.run(X, **how)
    assert first.reduced.shape == (120, 2)
    with pytest.raises(gpuclust.GpuclustError, match="force=True"):
        _ = again.reduced


def test_strength_is_the_membership_of_hdbscan_and_empty_for_others(X, root):
    import sklearn.cluster

    expected = sklearn.cluster.HDBSCAN(min_cluster_size=3, copy=True).fit(X[:, :8])
    result = gpuclust.run(X[:, :8], clusterer="hdbscan(3, max_cluster_size=None)", root=root)
    np.testing.assert_array_equal(result.labels, expected.labels_)
    np.testing.assert_allclose(result.strength, expected.probabilities_)
    assert set(result.strength[result.labels == -1]) <= {0.0}
    other = gpuclust.run(X, k=3, root=root)
    assert other.strength is None
    assert other.to_frame()["strength"].isna().all()


def test_names_of_samples_are_in_the_table(X, root, tmp_path):
    names = [f"img/{i}.png" for i in range(120)]
    by_index = gpuclust.run(pd.DataFrame(X, index=names), k=3, root=root)
    by_argument = gpuclust.run(X, k=3, paths=names, root=root)
    np.savez(tmp_path / "named.npz", X=X, paths=names)
    by_file = gpuclust.run(tmp_path / "named.npz", k=3, root=root)
    for result in (by_index, by_argument, by_file):
        assert list(result.to_frame()["path"]) == names
    assert list(gpuclust.run(X, k=3, root=root).to_frame()["path"]) == list(range(120))


def test_changed_embeddings_do_not_get_the_row_of_the_whole(root):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 8, 8, 3), dtype=np.uint8)
    whole = gpuclust.embed(pixels, "raw", root=root)
    turned = dataclasses.replace(whole, array=np.ascontiguousarray(whole.array[::-1]))
    first, second = (gpuclust.run(one, k=3, root=root) for one in (whole, turned))
    assert first.row["key"] != second.row["key"]
    assert first.row["key"] == gpuclust.run(whole, k=3, root=root).row["key"]


def test_dates_of_an_index_name_the_vectors(X, root):
    table = pd.DataFrame(X[:9], index=pd.date_range("2026-01-01", periods=9))
    assert gpuclust.run(table, k=3, root=root).paths[0].startswith("2026-01-01")


def test_vectors_of_a_gpu_are_copied_with_a_word_when_the_cpu_computes(X, root, monkeypatch):
    expected = gpuclust.run(X, k=3, root=root)
    monkeypatch.setattr("gpuclust.arrays.accept.on_gpu", lambda X: True)
    with pytest.warns(GpuclustNote, match="copied from the GPU"):
        result = gpuclust.run(X, k=3, root=root, device="cpu")
    np.testing.assert_array_equal(result.labels, expected.labels)


def test_samples_without_a_label_have_no_truth_and_the_row_counts_the_others(X, root):
    y = [None if i % 3 else f"c{i % 2}" for i in range(120)]
    with pytest.warns(GpuclustNote, match="80 samples without a label"):
        result = gpuclust.run(X, k=3, y=y, root=root)
    assert result.row["n_labelled"] == 40
    assert result.to_frame()["truth"].isna().tolist() == [one is None for one in y]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"X": [[0.0, np.nan], [1.0, 2.0]]}, "NaN"),
        ({"X": np.zeros((3, 2, 2))}, "shape"),
        ({"X": [[1, 2], [3]]}, "cannot be read"),
        ({"X": 7}, "X cannot be a int"),
        ({"X": np.eye(4), "y": [0, 1]}, "2 labels for the 4 vectors"),
        ({"X": np.eye(4), "k": 9}, "more than the 4 samples"),
        ({"X": np.eye(4), "k": True}, "whole number"),
        ({"X": np.eye(4), "seed": 2**40}, "from 0 to 4294967295"),
        ({"X": np.eye(4), "preprocess": "study"}, "belongs to images"),
        ({"X": np.eye(4), "encoder": "raw"}, "belongs to images"),
        ({"X": np.eye(4), "paths": ["a"]}, "1 names for the 4"),
        ({"X": np.eye(4), "k": None, "clusterer": "kmeans"}, r"Give k \(k = "),
        ({"X": np.zeros((3, 8, 8), np.uint8)}, "images, not vectors"),
        ({"X": "digits"}, "give encoder"),
        ({"X": "digit", "encoder": "raw"}, "Did you mean 'digits'"),
        ({"X": "no/such/file.npz"}, "no folder or file"),
        ({"X": "digits", "encoder": "raw", "y": [1]}, "belongs to own vectors"),
        ({"X": np.eye(4), "device": "gpus"}, "unknown device"),
    ],
)
def test_bad_input_is_refused_with_a_reason_in_words_of_python(root, how, said):
    with pytest.raises(InputError, match=said) as refused:
        gpuclust.run(**{"k": 2, "root": root, **how})
    assert "--" not in str(refused.value)


def test_an_interrupt_leaves_nothing_broken(X, root, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("gpuclust.pipeline.cluster", interrupted)
        with pytest.raises(KeyboardInterrupt):
            gpuclust.run(X, k=3, root=root)
    assert not list(root.rglob(".tmp-*"))
    assert len(gpuclust.run(X, k=3, root=root)) == 120


def test_nothing_is_printed(X, root, capfd):
    gpuclust.run(X, k=3, root=root)
    assert capfd.readouterr() == ("", "")


def test_progress_is_a_line_on_standard_error_or_events(few, root, capfd):
    events = []
    lists = {"dataset": "digits", "encoder": "raw", "clusterer": "kmeans", "metrics": "ami"}
    gpuclust.run_grid(lists, root=root, progress=events.append)
    assert {"embedding", "row", "done"} <= {event["event"] for event in events}
    gpuclust.run_grid(lists, root=root, progress=True, redo="all")
    out, err = capfd.readouterr()
    assert out == ""
    assert "digits (all) x raw" in err


def test_what_is_left_out_is_a_warning_and_a_note(X, root):
    frame = pd.DataFrame(X[:, :3], columns=["a", "b", "c"]).assign(text="word")
    with pytest.warns(GpuclustNote, match="text") as caught:
        result = gpuclust.run(frame, k=3, root=root)
    assert caught[0].filename == __file__
    assert "text" in result.notes[0]
    with pytest.warns(GpuclustNote, match="k is ignored"):
        gpuclust.run(X, clusterer="affinity", k=3, root=root)


def test_result_shows_itself_in_one_line_and_in_a_notebook(X, root):
    result = gpuclust.run(X, k=3, root=root)
    assert repr(result).startswith("Result: array (all) x vectors: none | kmeans, k=3")
    assert "\n" not in repr(result)
    assert "<table" in result._repr_html_()


# ---- images -------------------------------------------------------------------------------------


def test_an_embedding_is_computed_once(few, root, monkeypatch):
    first = gpuclust.embed("digits", "raw", root=root)
    monkeypatch.setattr("gpuclust.encoders.load", None)
    again = gpuclust.embed("digits", "raw", root=root)
    np.testing.assert_array_equal(first.array, again.array)
    assert first.meta["fingerprint"] == again.meta["fingerprint"]


def test_an_embedding_of_another_process_is_waited_for(few, root, monkeypatch):
    from gpuclust.store.store import Store

    claim, calls = Store.claim, []

    @contextlib.contextmanager
    def busy_once(store, unit):
        calls.append(unit)
        if len(calls) > 1:
            with claim(store, unit) as say:
                yield say
        else:
            yield None

    monkeypatch.setattr(Store, "claim", busy_once)
    with pytest.warns(GpuclustNote, match="another process is computing"):
        assert len(gpuclust.embed("digits", "raw", root=root)) == 200
    assert len(calls) == 2


def test_a_damaged_embedding_is_computed_again_with_a_word(few, root):
    first = np.array(gpuclust.embed("digits", "raw", root=root))
    (path,) = root.rglob("raw.npy")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.warns(GpuclustNote, match="embedded again"):
        again = gpuclust.embed("digits", "raw", root=root)
    np.testing.assert_array_equal(first, again)


def test_every_way_to_give_images_gives_the_same_vectors(photos, root):
    from PIL import Image

    files = sorted(photos.rglob("*.png"))
    expected = np.asarray(gpuclust.embed(photos, "raw", root=root))
    pixels = np.stack([np.asarray(Image.open(file)) for file in files])
    ways = [
        str(photos),
        f"folder:{photos}",
        files,
        [str(file) for file in files],
        [Image.open(file) for file in files],
        list(pixels),
        pixels,
        torch.from_numpy(pixels),
        torch.from_numpy(pixels).movedim(3, 1),
    ]
    for way in ways:
        found = gpuclust.embed(way, "raw", root=root)
        np.testing.assert_array_equal(found, expected)
        assert len(found) == len(found.paths) == 20


def test_embeddings_know_paths_labels_and_classes(photos, root):
    found = gpuclust.embed(photos, "raw", root=root)
    assert found.array.dtype == np.float32
    assert found.class_names == ("dark", "light")
    assert found.labels.tolist() == [0] * 10 + [1] * 10
    assert found.paths[0] == str(photos / "dark" / "01.png")
    assert found.meta["encoder"] == "raw"
    frame = found.to_frame()
    assert list(frame.columns[:3]) == ["path", "truth", "x0"]
    assert set(frame["truth"]) == {"dark", "light"}
    assert repr(found).endswith("float32, 2 classes")


def test_a_list_of_files_is_stored_and_a_changed_file_is_embedded_again(photos, root, tmp_path):
    from PIL import Image

    file = tmp_path / "one.png"
    Image.new("RGB", (8, 8), "red").save(file)
    first = gpuclust.embed([file], "raw", root=root)
    assert gpuclust.embed([file], "raw", root=root).meta["created"] == first.meta["created"]
    Image.new("RGB", (8, 8), "blue").save(file)
    assert not np.array_equal(gpuclust.embed([file], "raw", root=root), first)


def test_images_in_memory_are_not_changed_nor_stored(root):
    pixels = np.full((3, 8, 8), 7, np.uint8)
    gpuclust.embed(pixels, "raw", root=root)
    assert (pixels == 7).all()
    assert not root.exists()


def test_embeddings_are_vectors_for_run_and_share_the_row_of_their_images(photos, root):
    found = gpuclust.embed(photos, "raw", root=root)
    rows = [
        gpuclust.run(found, clusterer="kmeans", root=root).row,
        gpuclust.run(photos, "raw", clusterer="kmeans", root=root).row,
    ]
    assert rows[0]["key"] == rows[1]["key"]
    assert rows[0]["k"] == 2
    other = gpuclust.run(found, clusterer="kmeans", y=[0, 1, 2, 3] * 5, root=root)
    assert (other.k, other.row["key"] == rows[0]["key"]) == (4, False)


def test_embeddings_are_saved_and_read_again(photos, root, tmp_path):
    found = gpuclust.embed(photos, "raw", root=root)
    again = gpuclust.Embeddings.load(found.save(tmp_path / "photos.npz"))
    np.testing.assert_array_equal(found, again)
    assert (again.paths, again.class_names) == (found.paths, found.class_names)
    assert again.meta == found.meta
    key = gpuclust.run(found, clusterer="kmeans", root=root).row["key"]
    assert gpuclust.run(again, clusterer="kmeans", root=root).row["key"] == key
    with pytest.raises(gpuclust.GpuclustError, match="no file of Embeddings"):
        (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 no zip")
        gpuclust.Embeddings.load(tmp_path / "bad.npz")


def test_a_name_of_a_dataset_comes_before_a_folder_of_this_name(few, root, tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.warns(GpuclustNote, match="folder:digits"):
        assert len(gpuclust.embed("digits", "raw", root=root)) == 200


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (3, "images cannot be a int"),
        ([], "list without entries"),
        ([1, 2], "list of int"),
        (["a.png", 3], "list of int and str"),
        (np.zeros((4, 8, 8)), "must be uint8"),
        (np.zeros((2, 3, 4, 5, 6), np.uint8), "expected"),
        (np.zeros((2, 8, 8, 4), np.uint8), "Transparency"),
        (["/no/such/image.png"], "no image '/no/such/image.png'"),
    ],
)
def test_what_are_no_images_is_refused(images, said):
    with pytest.raises(InputError, match=said):
        gpuclust.embed(images, "raw")


def test_a_folder_without_an_encoder_is_refused(photos):
    with pytest.raises(InputError, match="give encoder"):
        gpuclust.run(photos)


def test_clusters_of_photos_are_written_with_their_paths(photos, root, tmp_path):
    result = gpuclust.run(photos, "raw", k=2, root=root)
    for name, read in (("c.csv", pd.read_csv), ("c.parquet", pd.read_parquet)):
        table = read(result.to_csv(tmp_path / name))
        assert list(table.columns) == ["path", "cluster", "truth", "strength"]
        assert list(table["path"]) == [str(file) for file in sorted(photos.rglob("*.png"))]
        assert table.groupby("truth")["cluster"].nunique().tolist() == [1, 1]
    with pytest.raises(InputError, match=r"\.csv or \.parquet"):
        result.to_csv(tmp_path / "c.xlsx")


# ---- grids and results --------------------------------------------------------------------------


def test_a_grid_is_a_file_a_text_or_a_dict_and_results_read_it_again(few, root, tmp_path):
    text = 'dataset = "digits"\nencoder = "raw"\nclusterer = ["kmeans", "affinity"]\n'
    (tmp_path / "grid.toml").write_text(text)
    lists = {"dataset": "digits", "encoder": ["raw"], "clusterer": ["kmeans", "affinity"]}
    for grid in (tmp_path / "grid.toml", str(tmp_path / "grid.toml"), text, lists):
        table = gpuclust.run_grid(grid, root=root)
        assert list(table["clusterer"]) == ["kmeans", "affinity"]
    assert set(gpuclust.results(root)["key"]) == set(table["key"])
    one = gpuclust.results(root, dataset="digits", clusterer=["kmeans", "hdbscan"])
    assert list(one["clusterer"]) == ["kmeans"]
    with pytest.raises(UnknownNameError, match="Did you mean 'clusterer'"):
        gpuclust.results(root, clusterers="kmeans")


@pytest.mark.parametrize("grid", [7, {"dataset": "digits"}, {"datasets": "digits"}, "k = [\n"])
def test_what_is_no_grid_is_refused(root, grid):
    with pytest.raises(InputError):
        gpuclust.run_grid(grid, root=root)


def test_failed_cells_of_a_grid_are_said(few, root):
    lists = {"dataset": "digits", "encoder": "raw", "clusterer": "kmeans", "k": [3, 9999]}
    with pytest.warns(GpuclustNote, match='1 of 2 cells failed.*redo="failed"'):
        table = gpuclust.run_grid(lists, root=root)
    assert table["error"].notna().tolist() == [False, True]


def test_a_damaged_row_is_named_and_the_others_are_returned(X, root):
    gpuclust.run(X, k=3, root=root)
    (row,) = root.rglob("rows/*/*/*.json")
    (row.parent / "odd.json").write_text("[")
    with pytest.warns(GpuclustNote, match=r"odd\.json"):
        assert len(gpuclust.results(root)) == 1


def test_rows_of_older_images_are_left_out_with_a_word(root, tmp_path):
    from PIL import Image

    for i in range(6):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.new("L", (8, 8), 40 * i).save(tmp_path / "pictures" / f"{i}.png")
    gpuclust.run(tmp_path / "pictures", "raw", k=2, root=root)
    Image.new("L", (8, 8), 255).save(tmp_path / "pictures" / "7.png")
    with pytest.warns(GpuclustNote):  # images have changed, one is new
        gpuclust.run(tmp_path / "pictures", "raw", k=2, root=root)
    with pytest.warns(GpuclustNote, match="left out: 1 rows of older embeddings"):
        assert gpuclust.results(root, dataset=str(tmp_path / "pictures"))["n"].tolist() == [7]
    assert len(gpuclust.results(root, outdated=True)) == 2


def test_a_root_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(InputError, match="no folder of results"):
        gpuclust.results(tmp_path / "typo")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="not a folder"):
        gpuclust.run(np.eye(4), k=2, root=tmp_path / "file")
