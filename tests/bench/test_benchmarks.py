"""The benchmark scripts run, at sizes without meaning for speed."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from gpuclust_cli.main import app
from typer.testing import CliRunner

from gpuclust.bench.work import Job
from gpuclust.errors import GpuclustError

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests/data/fashionmnist-300.npz"


@pytest.fixture
def script(monkeypatch):
    """Import a script by name, and run its main with arguments."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")

    def load(name: str, *arguments: object):
        module = importlib.import_module(name)
        if arguments:
            monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
            module.main()
        return module

    return load


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    """Real embeddings of fewer dimensions, to spend no time on PCA."""
    path = tmp_path_factory.mktemp("benchmarks") / "embeddings.npz"
    with np.load(DATA) as whole:
        np.savez(path, X=whole["X"][:, :64], y=whole["y"])
    return str(path)


def read(path: Path) -> dict:
    return json.loads(path.read_text())


# ---- scaling ------------------------------------------------------------------------------------


@pytest.mark.long
def test_scaling_measures_time_and_memory_of_methods_and_scores(
    script, data, tmp_path, monkeypatch
):
    monkeypatch.setattr(script("scaling"), "SIZES", (200, 400))
    only = ("l2", "agglomerative(linkage=average)", "ami")
    script("scaling", "--data", data, "--out", tmp_path / "scaling-1.0", "--only", *only)
    content = read(tmp_path / "scaling-1.0.json")
    assert list(content["results"]) == list(only)
    for name, found in content["results"].items():
        assert list(found["seconds"]) == list(found["peak_mib"]) == ["200", "400"], name
        assert min(found["seconds"].values()) > 0 and min(found["cpu_seconds"].values()) > 0
        assert min(found["peak_mib"].values()) >= 0
        assert all(0 <= share <= 1 for share in found["busy"].values())
        assert found["stopped"] == {}
    kinds = [found["family"] for found in content["results"].values()]
    assert kinds == ["reducers", "clusterers", "scores"]
    assert [found["dimensions"] for found in content["results"].values()] == [64, 50, 50]
    for figure in ("scaling-1.0.svg", "scaling-1.0-memory.svg"):
        assert "</svg>" in (tmp_path / figure).read_text()


def test_a_rerun_of_scaling_with_only_keeps_the_other_results(script, data, tmp_path, monkeypatch):
    scaling = script("scaling")
    monkeypatch.setattr(scaling, "SIZES", (200, 300, 400))
    monkeypatch.setattr(scaling, "point", lambda job, *rest: POINT)
    for name, most in (("l2", 300), ("kmeans", 300), ("l2", 400)):
        arguments = ("--only", name, "--max-n", most)
        script("scaling", "--data", data, "--out", tmp_path / "both", *arguments)
    results = read(tmp_path / "both.json")["results"]
    assert list(results["l2"]["seconds"]) == ["200", "300", "400"]
    assert list(results["kmeans"]["seconds"]) == ["200", "300"]


def test_the_committed_table_of_scaling_is_that_of_the_documentation(script):
    scaling = script("scaling")
    results = read(ROOT / "benchmarks/results/scaling-cpu-2026-11-21.json")["results"]
    documented = (ROOT / "docs/bench.md").read_text()
    assert all(line in documented for line in scaling.table(results).splitlines()[2:])


POINT = {"seconds": 1.0, "cpu_seconds": 2.0, "peak_mib": 1.0, "busy": 0.0}


def options(**given: object) -> argparse.Namespace:
    return argparse.Namespace(**({"max_n": 5000, "patience": 120, "quiet": 0} | given))


def test_scaling_writes_each_point_as_soon_as_it_is_there(script, data, monkeypatch):
    scaling, seen = script("scaling"), []
    monkeypatch.setattr(scaling, "point", lambda job, *rest: POINT)
    scaling.measure("l2", data, options(), lambda found: seen.append(len(found["seconds"])))
    assert seen == [1, 2, 3]


def test_a_size_that_fails_ends_a_subject_with_its_reason(script, data, monkeypatch):
    scaling, seen = script("scaling"), []

    def point(job, patience, wait):
        if job.n > 1000:
            raise GpuclustError("-9 usually means that memory ran out")
        return POINT

    monkeypatch.setattr(scaling, "point", point)
    scaling.measure("kmeans", data, options(), seen.append)
    assert list(seen[-1]["seconds"]) == [1000]
    assert seen[-1]["stopped"] == {2000: "-9 usually means that memory ran out"}


def test_a_point_without_an_end_is_killed(script, data):
    scaling = script("scaling")
    job = Job("cpu", "affinity(damping=0.99, convergence_iter=1000)", data, 3000)
    with pytest.raises(GpuclustError, match="killed after"):
        scaling.point(job, 0.1, 0)


def test_scaling_refuses_sizes_beyond_memory_or_patience(script, monkeypatch):
    scaling = script("scaling")
    monkeypatch.setattr(scaling, "available", lambda: 12 * 2**30)
    average = "agglomerative(linkage=average)"
    assert "9.3 GiB" in scaling.obstacle(average, 50_000, {}, 180)  # 1.3 times it is 12.1
    assert scaling.obstacle(average, 40_000, {}, 180) is None
    assert scaling.obstacle(average, 40_000, {20_000: 40.0}, 180) is None
    assert "180 are allowed" in scaling.obstacle(average, 40_000, {20_000: 50.0}, 180)
    assert scaling.obstacle("kmeans", 40_000, {20_000: 50.0}, 180) is None


def test_the_wait_for_a_quiet_machine_ends(script, monkeypatch):
    scaling = script("scaling")
    assert 0 <= scaling.busy(0.05) <= 1
    shares = iter([0.9, 0.8, 0.05])
    monkeypatch.setattr(scaling, "busy", lambda: next(shares))
    monkeypatch.setattr(scaling.time, "sleep", lambda seconds: None)
    assert scaling.others(60) == 0.05
    monkeypatch.setattr(scaling, "busy", lambda: 0.9)
    assert scaling.others(0) == 0.9


# ---- the grid's own cost, the table of the README -----------------------------------------------


@pytest.mark.long
def test_load_measures_cells_resuming_and_reports(script, tmp_path):
    script("load", "--out", tmp_path / "load.json", "--cells", "40", "--rows", "50")
    found = read(tmp_path / "load.json")
    assert found["grid"]["cells"] == 40
    assert len(found["resume"]) == len(found["report"]["seconds"]) == 3
    assert {"commit", "dirty", "host"} <= set(found)


# ---- command lines ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("scaling", ("--data", DATA, "--out", "x", "--only", "wrad"), "linkage=average"),
        ("scaling", ("--out", "x"), "--data"),
        ("load", ("--cells", "10"), "--out"),
    ],
)
def test_a_wrong_command_line_is_refused(script, capsys, name, arguments, said):
    with pytest.raises(SystemExit) as refused:
        script(name, *arguments)
    assert refused.value.code == 2
    assert said in capsys.readouterr().err


def test_bench_kernels_writes_its_table_and_the_json(data, tmp_path):
    out = tmp_path / "kernels.json"
    command = ["bench", "kernels", "--embeddings", data, "--tiny", "--json", str(out)]
    done = CliRunner().invoke(app, [*command, "--case", "ami_50k_zipf", "--case", "hdbscan_l1_10k"])
    assert done.exit_code == 0, done.output
    results = read(out)["results"]
    assert [one["case"] for one in results] == ["ami_50k_zipf", "hdbscan_l1_10k"]
    for one in results:
        assert one["n"] == 300
        assert one["agreement"]["sklearn"]["labels"] == 1.0
        assert f"{one['implementations']['sklearn']['median']:.4g}" in done.output


def test_an_unknown_case_has_a_suggestion(data):
    command = ["bench", "kernels", "--embeddings", data, "--case", "wrad_10k"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code != 0
    assert "ward_10k" in str(done.exception) + done.output
