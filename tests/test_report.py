import pytest

from gpuclust import report
from gpuclust.errors import UnknownNameError


def row(**changes):
    base = {
        "status": "ok",
        "dataset": "digits",
        "split": "all",
        "encoder": "raw",
        "preprocess": "own",
        "reducer": "zscore|pca",
        "clusterer": "kmeans",
        "k": 10,
        "seed": 0,
        "seconds": 1.25,
        "stages": {"cluster": 1.0},
        "scores": {"ami": 0.5, "davies_bouldin_original": 2.0},
    }
    return base | changes


def test_the_best_comes_first_and_failures_last():
    failed = row(status="failed", scores={}, error={"message": "no. really"})
    best = row(scores={"ami": 0.9}, k=None)
    table = report.ranked(report.frame([row(), failed, best]))
    assert list(table["ami"][:2]) == [0.9, 0.5]
    assert table["status"].iloc[2] == "failed"


def test_davies_bouldin_and_seconds_are_better_when_smaller():
    table = report.frame([row(), row(scores={"davies_bouldin_original": 1.0}, seconds=9.0)])
    assert report.ranked(table, "davies_bouldin_original")["seconds"].iloc[0] == 9.0
    assert report.ranked(table, "seconds")["seconds"].iloc[0] == 1.25


def test_an_unknown_column_brings_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'ami'"):
        report.ranked(report.frame([row()]), "amii")


def test_what_is_the_same_in_every_line_is_told_once():
    common, header, lines = report.brief(report.frame([row(), row(clusterer="hdbscan", k=None)]))
    assert "dataset" not in header
    assert common.startswith("dataset digits, split all, encoder raw")
    assert "k" in header
    assert lines[1][header.index("k")] == ""
    assert lines[0][header.index("AMI")] == "0.500"


def test_a_failure_is_shown_with_the_first_sentence_of_its_error():
    failed = row(status="failed", scores={}, error={"message": "k is too large. Give less."})
    _, header, lines = report.brief(report.frame([row(), failed]))
    assert lines[1][header.index("error")] == "k is too large"


def test_a_bar_does_not_break_a_markdown_table():
    text = report.markdown(["reducer"], [["zscore|pca"]])
    assert text.splitlines() == ["| reducer |", "| --- |", "| zscore\\|pca |"]
