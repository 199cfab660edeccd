"""The benchmark scripts run, without a GPU and at sizes that prove nothing about speed."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

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
def data(tmp_path_factory) -> Path:
    """Real embeddings of fewer dimensions, to spend no time on PCA."""
    path = tmp_path_factory.mktemp("benchmarks") / "embeddings.npz"
    with np.load(DATA) as whole:
        np.savez(path, X=whole["X"][:, :64], y=whole["y"])
    return path


def read(path: Path) -> dict:
    return json.loads(path.read_text())


# ---- scaling ------------------------------------------------------------------------------------


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


POINT = {"seconds": 1.0, "cpu_seconds": 2.0, "peak_mib": 1.0, "busy": 0.0}


def options(**given: object) -> argparse.Namespace:
    return argparse.Namespace(**({"max_n": 5000, "patience": 120, "quiet": 0} | given))


def test_scaling_writes_each_point_as_soon_as_it_is_there(script, data, monkeypatch):
    scaling, seen = script("scaling"), []
    monkeypatch.setattr(scaling, "point", lambda job, *rest: POINT)
    scaling.measure("l2", data, options(), lambda found: seen.append(len(found["seconds"])))
    assert seen == [1, 2, 3]


def test_a_size_that_fails_ends_a_subject_and_says_why(script, data, monkeypatch):
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
    job = Job("cpu", "affinity(damping=0.99, convergence_iter=1000)", str(data), 3000)
    with pytest.raises(GpuclustError, match="code -9"):
        scaling.point(job, 0.1, 0)


def test_scaling_refuses_what_memory_or_patience_cannot_bear(script, monkeypatch):
    scaling = script("scaling")
    monkeypatch.setattr(scaling, "available", lambda: 12 * 2**30)
    average = "agglomerative(linkage=average)"
    assert "9.3 GiB" in scaling.obstacle(average, 50_000, {}, 180)  # 1.3 times it is 12.1
    assert scaling.obstacle(average, 40_000, {}, 180) is None
    assert scaling.obstacle(average, 40_000, {20_000: 40.0}, 180) is None
    assert "180 are allowed" in scaling.obstacle(average, 40_000, {20_000: 50.0}, 180)
    assert scaling.obstacle("kmeans", 40_000, {20_000: 50.0}, 180) is None


def test_others_are_waited_for_but_not_forever(script, monkeypatch):
    scaling = script("scaling")
    assert 0 <= scaling.busy(0.05) <= 1
    shares = iter([0.9, 0.8, 0.05])
    monkeypatch.setattr(scaling, "busy", lambda: next(shares))
    monkeypatch.setattr(scaling.time, "sleep", lambda seconds: None)
    assert scaling.others(60) == 0.05
    monkeypatch.setattr(scaling, "busy", lambda: 0.9)
    assert scaling.others(0) == 0.9


def test_enlarged_samples_begin_with_the_real_ones_and_repeat_none(script):
    scaling = script("scaling")
    X = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    more = scaling.enlarged(X, 100)
    assert more.dtype == np.float32
    np.testing.assert_array_equal(more[:30], X)
    assert len(np.unique(more, axis=0)) == 100
    assert np.abs(more[30:60] - X).max() < X.std(axis=0).max()
    np.testing.assert_array_equal(scaling.enlarged(X, 10), X[:10])


def test_the_commit_comes_from_the_environment_first(script, monkeypatch):
    monkeypatch.setenv("GPUCLUST_COMMIT", "abc1234")
    assert script("scaling").commit() == "abc1234"


def test_without_git_the_commit_is_unknown(script, monkeypatch):
    monkeypatch.delenv("GPUCLUST_COMMIT", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert script("scaling").commit() == "unknown"


# ---- a GPU --------------------------------------------------------------------------------------


def test_a_dry_run_goes_through_every_case_and_agrees_with_scikit_learn(
    script, data, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # threads that wait for each other take longer
    out = tmp_path / "dry.json"
    kernels = script("gpu_kernels", "--dry", "--data", data, "--out", out)
    content = read(out)
    assert content["machine"]["float32_per_second"] > 0
    assert set(content["cases"]) == set(kernels.gpu_cases.cases(dry=True))
    for name, found in content["cases"].items():
        assert found["ours"].get("seconds", 0) > 0, (name, found)
        assert "error" not in found.get("sklearn", {}), (name, found)
    agreement = {
        name: f["sklearn"]["agreement"] for name, f in content["cases"].items() if "sklearn" in f
    }
    assert len(agreement) == len(content["cases"]) - 1  # but for the time of an iteration
    for name, value in agreement.items():
        expected = 0 if name.startswith(("ami", "silhouette")) else 1
        assert value == pytest.approx(expected, abs=1e-5), name
    ward = content["cases"]["ward_tiny"]["least"]
    assert ward["operations"] == 4 * 300**2 * 50
    assert ward["bound"] == "arithmetic"
    assert "ward_tiny" in capsys.readouterr().out.splitlines()[-11]


@pytest.fixture
def report(script, tmp_path):
    kernels = script("gpu_kernels")
    cases = kernels.gpu_cases.cases(dry=True)
    return kernels.Report(tmp_path / "gpu.json", cases, dry=True)


def dry_options(folder: Path, **options: object) -> argparse.Namespace:
    defaults = {"folder": folder, "dry": True, "limit": 60, "case_limit": 60}
    return argparse.Namespace(**(defaults | options))


def test_a_process_that_dies_is_written_down(script, report, tmp_path):
    kernels = script("gpu_kernels")  # it finds no inputs in its folder
    kernels.supervise(["ward_tiny"], dry_options(tmp_path), time.monotonic() + 60, report)
    assert "inputs.npz" in read(tmp_path / "gpu.json")["cases"]["ward_tiny"]["ours"]["error"]


def test_a_case_that_hangs_is_killed(script, report, tmp_path):
    kernels = script("gpu_kernels")
    options = dry_options(tmp_path, case_limit=0.05)
    kernels.supervise(["ward_tiny"], options, time.monotonic() + 60, report)
    assert "killed" in read(tmp_path / "gpu.json")["cases"]["ward_tiny"]["ours"]["error"]


def test_what_the_time_limit_left_out_is_written_down_and_overwrites_no_time(
    script, report, tmp_path
):
    kernels = script("gpu_kernels")
    report.add("ward_tiny", {"ours": {"seconds": 2.0}})
    report.add("ward_tiny/sklearn", {"sklearn": {"seconds": 6.0, "agreement": 1.0}})
    kernels.supervise(["ward_tiny", "ami_tiny"], dry_options(tmp_path), time.monotonic(), report)
    cases = read(tmp_path / "gpu.json")["cases"]
    assert cases["ward_tiny"]["ours"]["seconds"] == 2.0
    assert cases["ward_tiny"]["sklearn"]["ratio"] == 3.0
    assert "60 s" in cases["ami_tiny"]["ours"]["not_run"]


def test_a_side_that_fails_leaves_the_others_alone(script):
    process, cases = script("gpu_process"), script("gpu_cases")

    def fails(given: object) -> object:
        raise MemoryError("40 GiB")

    sides = {"cuml": fails, "torchmetrics": lambda given: 2.5, "sklearn": fails}
    algorithm = cases.Algorithm(None, lambda given: 2.0, sides, lambda a, b: abs(a - b), None)
    found = process.by_turns(algorithm, None, process.device(dry=True), patience=60)
    assert found["cuml"] == {"error": "MemoryError: 40 GiB"}
    assert found["torchmetrics"]["agreement"] == 0.5
    assert found["ours"]["runs"] == 3
    assert "sklearn" not in found  # it runs on the CPU, later


def test_a_slow_case_is_not_repeated(script):
    process, cases = script("gpu_process"), script("gpu_cases")
    algorithm = cases.Algorithm(None, lambda given: 2.0, {}, None, None)
    found = process.by_turns(algorithm, None, process.device(dry=True), patience=0)
    assert found["ours"]["runs"] == 1
    assert not found["ours"]["warm"]


def test_the_fraction_is_the_larger_of_both_least_times_over_the_time(script):
    kernels = script("gpu_kernels")
    work = kernels.gpu_cases.Least(lambda n, d: 8.0 * n, lambda n, d: 100.0 * n * d, "")
    speed = {"bytes_per_second": 1000.0, "float32_per_second": 1e6}
    found = kernels.least(work, 1000, speed, 32.0)
    assert (found["bound"], found["seconds"], found["fraction"]) == ("memory", 8.0, 0.25)


def test_the_targets_are_cases(script):
    cases = script("gpu_cases")
    targets = {(name, n) for name, one in cases.ALGORITHMS.items() for n in one.targets}
    measured = {(case.algorithm, case.n) for case in cases.cases(dry=False).values()}
    assert len(targets) == 4
    assert targets <= measured


# ---- command lines ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("kernels", ("--only", "ward_10k"), "--data"),
        ("kernels", ("--data", DATA, "--only", "wrad"), "ward_10k"),
        ("scaling", ("--data", DATA, "--out", "x", "--only", "wrad"), "linkage=average"),
        ("gpu_kernels", ("--dry", "--only", "wrad"), "ward_tiny"),
        ("gpu_kernels", ("--only", "ward"), "--data"),
    ],
)
def test_a_wrong_command_line_is_refused(script, capsys, name, arguments, told):
    with pytest.raises(SystemExit) as refused:
        script(name, *arguments)
    assert refused.value.code == 2
    assert told in capsys.readouterr().err


def test_both_sides_of_a_case_of_kernels_run_and_agree(script, capsys):
    kernels = script("kernels")
    case, told = "ami_50k_zipf", []
    for side in ("ours", "theirs"):
        kernels.run_child(case, side, DATA)
        told.append(json.loads(capsys.readouterr().out))
    assert min(one["seconds"] for one in told) > 0
    assert kernels.CASES[case].agree(*(one["result"] for one in told)) < 1e-9
