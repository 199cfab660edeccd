"""Files of results: their provenance, and files of earlier versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpuclust.bench import render, results
from gpuclust.errors import InputError

ROOT = Path(__file__).parents[2]


def test_changes_that_are_not_committed_are_recorded_and_warned_of(monkeypatch):
    said = []
    monkeypatch.setenv("GPUCLUST_COMMIT", "abc1234-dirty")
    assert results.provenance(said.append)["dirty"] is True
    assert "Commit first" in said[0]
    monkeypatch.setenv("GPUCLUST_COMMIT", "abc1234")
    source = results.provenance(said.append)
    assert (source["commit"], source["dirty"], len(said)) == ("abc1234", False, 1)


def test_without_git_the_commit_is_unknown(monkeypatch):
    monkeypatch.delenv("GPUCLUST_COMMIT", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert results.provenance()["commit"] == "unknown"


def test_committed_results_come_from_a_clean_commit_or_the_log_names_them():
    log = (ROOT / "benchmarks/LOG.md").read_text()
    for path in (ROOT / "benchmarks/results").glob("*.json"):
        content = json.loads(path.read_text())
        clean = not (content.get("dirty") or str(content.get("commit")).endswith("-dirty"))
        assert clean or path.name in log, path.name


@pytest.mark.parametrize("name", ["fastcluster", "torchmetrics", "flashlib", "fast_hdbscan"])
def test_results_of_earlier_versions_are_still_read(name):
    (path,) = (ROOT / "benchmarks/results").glob(f"peer-{name}-*.json")
    old = results.read(path)
    header, lines = render.table(old)
    assert {line[2] for line in lines} == {"cpu", name}
    assert all(len(line) == len(header) for line in lines)
    assert {line[6] for line in render.pairs(old, old)[1]} == {"within the spread"}


def test_a_file_with_other_content_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        results.read(Path("/no/such.json"))
    (tmp_path / "a.json").write_text('{"results": {}}')
    with pytest.raises(InputError, match="not a result"):
        results.read(tmp_path / "a.json")
