"""BIOSCAN-1M and BIOSCAN-5M: splits, order, clean-up, label codes, columns, and bad input."""

import csv
import random
import shutil

import cudf_standin
import numpy as np
import pandas as pd
import pytest
from miniatures import bioscan as miniature

from gpuclust import datasets
from gpuclust.datasets.readers import bioscan
from gpuclust.device import backend
from gpuclust.errors import InputError

LEVELS = ("family", "subfamily", "tribe", "genus", "species")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    home = tmp_path_factory.mktemp("bioscan")
    return home, {name: tree(home) for name, tree in miniature.TREES.items()}


@pytest.fixture
def home(written, tmp_path):
    """Copy of the miniatures, to be damaged by a test."""
    backend.select("cpu")
    shutil.copytree(written[0], tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def tsv(home):
    return home / "BIOSCAN-1M" / bioscan.TSV


def rows_of(path, delimiter):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def cleaned(row):
    """Levels of one row of BIOSCAN-1M after the rules of the study, one by one."""
    row = {name: None if row[name] in ("not_classified", "") else row[name] for name in row}
    tribes = {"Asteia": "Asteiini", "Nemorilla": "Winthemiini", "Philaenus": "Philaenini"}
    row["tribe"] = tribes.get(row["genus"], row["tribe"])
    if row["genus"] is None and row["species"] is not None:
        row["genus"] = row["species"].split(" ")[0]
    if row["tribe"] is None and row["genus"] is not None:
        if row["subfamily"] is not None:
            row["tribe"] = "unassigned " + row["subfamily"]
        elif row["family"] is not None:
            row["tribe"] = "unassigned " + row["family"]
    if row["subfamily"] is None and row["tribe"] is not None and row["family"] is not None:
        row["subfamily"] = "unassigned " + row["family"]
    return row


# Splits, order, labels.


@pytest.mark.parametrize("name", miniature.TREES)
def test_every_split_of_a_miniature_has_its_images_and_columns(name, written):
    backend.select("cpu")
    home, trees = written
    entry, tree = datasets.entry_of(name), trees[name]
    assert list(tree.splits) == list(entry.splits)
    for split, count in tree.splits.items():
        found = datasets.load(name, split=split, data_dir=home)
        assert len(found) == len(found.labels) == count
        assert tuple(found.columns) == entry.columns == tree.columns
        assert all(len(column) == count for column in found.columns.values())
        assert all(found.path(i).is_file() for i in range(count))
        assert "read with pandas" in found.said[0]
    found = datasets.load(name, data_dir=home)
    assert len(np.unique(found.labels)) == tree.classes
    image, label = found[5]
    assert (image.size, image.mode, label) == ((40, 32), "RGB", found.labels[5])


@pytest.mark.parametrize(
    ("split", "parts"),
    [
        ("test", "seen_keys test_seen test_unseen test_unseen_keys"),
        ("train", "train_seen test_unseen_keys"),
        ("val", "test_seen seen_keys test_unseen"),
    ],
)
def test_splits_of_1m_are_unions_of_text_files_in_the_order_of_the_tsv(split, parts, home, tsv):
    texts = [(tsv.parent / f"{part}.txt").read_text() for part in parts.split()]
    ids = {sample for text in texts for sample in text.split()}
    rows = [row for row in rows_of(tsv, "\t") if row["sampleid"] in ids]
    found = datasets.load("bioscan1m", split=split, data_dir=home)
    folder = "bioscan/images/cropped_256"
    expected = [f"{folder}/part{row['chunk_number']}/{row['image_file']}" for row in rows]
    assert list(found.files) == expected
    assert found.columns["species"].tolist() == [row["species"] for row in rows]
    assert found.columns["uri"].tolist() == [row["uri"] for row in rows]


def test_labels_are_numbers_of_species_in_the_whole_table(home, tsv):
    every = sorted({row["species"] for row in rows_of(tsv, "\t")})
    found = datasets.load("bioscan1m", data_dir=home)
    assert found.class_names == tuple(every)
    assert every[0] == "Aaa outside"
    assert 0 not in found.labels
    names = [found.class_names[label] for label in found.labels]
    assert names == found.columns["species"].tolist()


def test_splits_of_5m_are_rows_of_the_csv(home):
    path = home / "bioscan5m" / bioscan.CSV
    rows = rows_of(path, ",")
    for split in ("test+test_unseen", "train", "pretrain"):
        wanted = [row for row in rows if row["split"] in split.split("+")]
        found = datasets.load("bioscan5m", split=split, data_dir=home)
        files = [
            "/".join(filter(None, ("images/cropped_256", row["split"], row["chunk"])))
            + f"/{row['processid']}.jpg"
            for row in wanted
        ]
        assert list(found.files) == files
        for level in bioscan.LEVELS_5M:
            assert found.columns[level].tolist() == [row[level] or None for row in wanted]
    assert found.labels.tolist() == [-1] * len(found)
    assert set(found.columns["species"]) == {None}


def test_the_layout_of_the_package_is_read_too(home, tsv):
    before = datasets.load("bioscan1m", data_dir=home)
    root = home / "bioscan1m"
    tsv.parent.rename(root)
    (root / "CLIBD_partitioning").mkdir()
    for path in root.glob("*.txt"):
        path.rename(root / "CLIBD_partitioning" / path.name)
    (root / "bioscan/images").rename(root / "images")
    found = datasets.load("bioscan1m", data_dir=home)
    assert found.files == tuple(file.removeprefix("bioscan/") for file in before.files)
    assert np.array_equal(found.labels, before.labels)


# Clean-up.


@pytest.mark.parametrize(
    ("given", "expected"),
    [  # family, subfamily, tribe, genus, species
        ("F S T G G.s", "F S T G G.s"),
        ("F S X Asteia A.a", "F S Asteiini Asteia A.a"),
        ("F S - Nemorilla N.a", "F S Winthemiini Nemorilla N.a"),
        ("F - - Philaenus P.a", "F u.F Philaenini Philaenus P.a"),
        ("F S T - G.s.t", "F S T G G.s.t"),
        ("F S T - One", "F S T One One"),
        ("F S - - Asteia.x", "F S u.S Asteia Asteia.x"),  # tribes come before genera
        ("F S - G -", "F S u.S G -"),
        ("F - - G -", "F u.F u.F G -"),
        ("- - - G -", "- - - G -"),
        ("- S - G -", "- S u.S G -"),
        ("F - - - -", "F - - - -"),
        ("F - T - -", "F u.F T - -"),
        ("- - T - -", "- - T - -"),
        ("F S - - -", "F S - - -"),
    ],
)
@pytest.mark.parametrize("library", ["pandas", "cudf"])
def test_each_rule_of_the_clean_up(given, expected, library):
    def levels(text):
        parts = [part.replace("u.", "unassigned ").replace(".", " ") for part in text.split()]
        return [None if part == "-" else part for part in parts]

    taxa = {
        name: pd.Series([value, "another"], dtype=cudf_standin.TEXT)
        for name, value in zip(LEVELS, levels(given), strict=True)
    }
    if library == "cudf":
        taxa = {name: cudf_standin.Series(values) for name, values in taxa.items()}
    found = {**taxa, **bioscan.clean(taxa)}
    first = [found[name].to_numpy()[0] for name in LEVELS]
    assert [None if value is pd.NA else value for value in first] == levels(expected)


@pytest.mark.parametrize("library", ["pandas", "cudf"])
def test_random_tables_agree_with_the_rules_applied_row_by_row(library, home, tsv, monkeypatch):
    make = random.Random(4)
    options = {
        "family": ["F1", "F2", "not_classified", ""],
        "subfamily": ["S1", "not_classified", "not_classified", ""],
        "tribe": ["T1", "Asteiini", "not_classified", "NA"],
        "genus": ["Asteia", "Nemorilla", "Philaenus", "G1", "not_classified", ""],
        "species": ["Asteia b", "G1 c d", "G2", "É f", "not_classified", ""],
    }
    rows = rows_of(tsv, "\t")
    for row in rows:
        row |= {name: make.choice(texts) for name, texts in options.items()}
    miniature._write(tsv, miniature.COLUMNS_1M, rows, "\t")
    frames = backend.Frames(library, {"pandas": pd, "cudf": cudf_standin}[library])
    monkeypatch.setattr(backend, "frames", lambda asked=None: frames)
    found = datasets.load("bioscan1m", data_dir=home)
    # A text that pandas reads as missing is missing before the rules are applied.
    right = [
        cleaned({k: "" if v == "NA" else v for k, v in row.items()}) for row in rows_of(tsv, "\t")
    ]
    ids = {file.rpartition("/")[2].removesuffix(".jpg") for file in found.files}
    chosen = [row["sampleid"] in ids for row in right]
    for level in LEVELS:
        values = [row[level] for row in right]
        expected = np.array(values, dtype=object)[chosen]
        assert found.columns[level].tolist() == expected.tolist(), level
    numbers = pd.Series([row["species"] for row in right]).astype("category").cat.codes
    assert found.labels.tolist() == numbers[chosen].tolist()


# Bad input.


def refused(match, name, home, **how):
    with pytest.raises(InputError, match=match) as error:
        datasets.load(name, data_dir=home, **how)
    return str(error.value)


def test_a_missing_text_file_of_sample_ids_is_named(home, tsv):
    (tsv.parent / "test_unseen.txt").unlink()
    message = refused("has no test_unseen.txt and no CLIBD_part", "bioscan1m", home)
    assert str(tsv.parent) in message
    assert len(datasets.load("bioscan1m", split="train", data_dir=home)) == 28


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x00"])
def test_a_damaged_text_file_of_sample_ids_is_named(content, home, tsv):
    (tsv.parent / "seen_keys.txt").write_bytes(content)
    refused(r"seen_keys\.txt (has no sample id|cannot be read)", "bioscan1m", home)


def test_a_sample_that_the_tsv_lacks_is_named_with_its_file(home, tsv):
    path = tsv.parent / "test_seen.txt"
    path.write_text("BIOUG1-A01\nBIOUG2-A02\n" + path.read_text())
    message = refused(
        r"no sample BIOUG1-A01 of .*test_seen\.txt, and 2 of 70 are missing", "bioscan1m", home
    )
    assert str(tsv) in message


def test_a_sample_with_two_rows_is_named(home, tsv):
    lines = tsv.read_text().splitlines(keepends=True)
    tsv.write_text("".join([*lines, lines[1]]))
    sample = lines[1].split("\t")[0]
    refused(rf"\.tsv has 2 rows of the sample {sample}, and 1 such", "bioscan1m", home)


def test_a_sample_listed_twice_counts_once_and_is_said(home, tsv):
    path = tsv.parent / "test_seen.txt"
    path.write_text(path.read_text() * 2)
    found = datasets.load("bioscan1m", data_dir=home)
    assert len(found) == 68
    assert any("20 sample ids are in more than one line of" in line for line in found.said)


def test_a_missing_column_is_named(home, tsv):
    text = tsv.read_text()
    tsv.write_text(text.replace("\ttribe\t", "\ttribes\t", 1))
    refused(r"\.tsv has no column tribe; its first line has sampleid", "bioscan1m", home)


def test_a_tsv_with_commas_is_refused(home, tsv):
    tsv.write_text(tsv.read_text().replace("\t", ","))
    refused("separated by commas, expected are tabs", "bioscan1m", home)


@pytest.mark.parametrize("cut", [1 / 3, 0.5, 0.9])
def test_a_half_downloaded_tsv_is_refused(cut, home, tsv):
    text = tsv.read_text()
    end = text.index("\t", int(len(text) * cut))
    tsv.write_text(text[: end + 3])
    refused("the last row of .* has .* of 28 fields: the file is not complete", "bioscan1m", home)


def test_a_tsv_cut_at_the_end_of_a_row_lacks_samples(home, tsv):
    lines = tsv.read_text().splitlines(keepends=True)
    tsv.write_text("".join(lines[:50]))
    refused(r"has no sample .* are missing in all. The two files", "bioscan1m", home)


@pytest.mark.parametrize("name", miniature.TREES)
def test_a_missing_image_is_named(name, home):
    found = datasets.load(name, data_dir=home)
    found.path(7).unlink()
    message = refused("1 of 68 images are missing, the first is", name, home)
    assert str(found.path(7)) in message
    shutil.rmtree(found.root / "images" if name == "bioscan5m" else found.path(7).parent)
    refused("of 68 images are missing", name, home)


def test_the_folder_of_images_is_looked_for_in_two_places(home, tsv):
    shutil.rmtree(tsv.parent / "bioscan")
    refused("no bioscan/images/cropped_256 and no images/cropped_256", "bioscan1m", home)


def test_a_csv_without_rows_of_the_split_is_refused(home):
    path = home / "bioscan5m" / bioscan.CSV
    path.write_text(path.read_text().replace(",test_unseen,", ",unseen,"))
    refused("no row of .* is of the split test_unseen", "bioscan5m", home, split="test_unseen")


def test_a_process_id_with_two_rows_is_named(home):
    path = home / "bioscan5m" / bioscan.CSV
    text = path.read_text()
    row = next(line for line in text.splitlines() if ",test," in line)
    path.write_text(text + row + "\n")
    refused(rf"has 2 rows of the sample {row.split(',')[0]}", "bioscan5m", home)


def test_an_unknown_split_and_a_wrong_root_are_refused(home, tmp_path):
    refused("bioscan5m has no split 'tests'", "bioscan5m", home, split="tests")
    refused("bioscan5m has no split 'test_unseen", "bioscan5m", home, split="test_unseen+test")
    (tmp_path / "empty").mkdir()
    refused("BIOSCAN_Insect_Dataset_metadata.tsv", "bioscan1m", tmp_path / "empty")
    refused("BIOSCAN_5M_Insect_Dataset_metadata.csv", "bioscan5m", tmp_path / "empty")
    refused("--data-dir", "bioscan5m", None)
