import pytest

from gpuclust.errors import UnknownNameError
from gpuclust.report import tables, transfers


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
    table = tables.ranked(tables.frame([row(), failed, best]))
    assert list(table["ami"][:2]) == [0.9, 0.5]
    assert table["status"].iloc[2] == "failed"


def test_davies_bouldin_and_seconds_are_better_when_smaller():
    table = tables.frame([row(), row(scores={"davies_bouldin_original": 1.0}, seconds=9.0)])
    assert tables.ranked(table, "davies_bouldin_original")["seconds"].iloc[0] == 9.0
    assert tables.ranked(table, "seconds")["seconds"].iloc[0] == 1.25


def test_an_unknown_column_brings_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'ami'"):
        tables.ranked(tables.frame([row()]), "amii")


def test_what_is_the_same_in_every_line_is_told_once():
    common, header, lines = tables.brief(tables.frame([row(), row(clusterer="hdbscan", k=None)]))
    assert "dataset" not in header
    assert common.startswith("dataset digits, split all, encoder raw")
    assert "k" in header
    assert lines[1][header.index("k")] == ""
    assert lines[0][header.index("AMI")] == "0.500"


def test_a_failure_is_shown_with_the_first_sentence_of_its_error():
    failed = row(status="failed", scores={}, error={"message": "k is too large. Give less."})
    _, header, lines = tables.brief(tables.frame([row(), failed]))
    assert lines[1][header.index("error")] == "k is too large"


def test_a_bar_does_not_break_a_markdown_table():
    text = tables.markdown(["reducer"], [["zscore|pca"]])
    assert text.splitlines() == ["| reducer |", "| --- |", "| zscore\\|pca |"]


def traced(key, *, cluster, **changes):
    device = {
        "load": {"to_host": 0, "to_device": 4000, "to_host_large": 0, "peak_bytes": 1},
        "reduce": {"to_host": 2**20, "to_device": 0, "to_host_large": 1, "peak_bytes": 1},
        "cluster": {"to_host": cluster, "to_device": 8, "to_host_large": 0, "peak_bytes": 1},
        "score": {"to_host": 64, "to_device": 0, "to_host_large": 0, "peak_bytes": 1},
        "memory": "shared",
    }
    return row(key=key, n=1024, d=256, backend="gpu", device=device, **changes)


def test_a_stage_that_cells_shared_is_counted_once():
    rows = [
        traced("a", cluster=2**18),
        traced("b", cluster=2**18, clusterer="hdbscan"),
        traced("c", cluster=2**19, seed=1),
        row(key="d"),
    ]
    brief = transfers.transfers(rows)
    found = {line[1]: line for line in brief.lines}
    assert list(found) == ["load", "reduce", "cluster", "score"]
    assert [found[stage][2] for stage in found] == ["1", "2", "3", "2"]
    assert found["reduce"][3:6] == ["2.000", "200.00 %", "2"]
    assert found["cluster"][3:6] == ["1.000", "100.00 %", "0"]
    assert len(brief.header) == len(brief.lines[0])


def test_two_preprocessings_of_one_encoder_are_two_units_of_transfers():
    rows = [traced("a", cluster=1), traced("b", cluster=1, preprocess="study")]
    units = {line[0] for line in transfers.transfers(rows).lines}
    assert len(units) == 2
    assert any("study preprocessing" in unit for unit in units)


def test_rows_that_were_not_traced_give_no_transfers():
    peak_only = row(key="a", n=10, d=10, backend="gpu", device={"cluster": {"peak_bytes": 5}})
    assert transfers.transfers([peak_only, row(key="b")]).lines == []
