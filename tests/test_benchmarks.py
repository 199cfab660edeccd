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

ROOT = Path(__file__).parent.parent
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


def test_scaling_measures_every_algorithm_beside_what_it_promises(script, data, tmp_path):
    out = tmp_path / "scaling-1.0"
    scaling = script("scaling", "--data", data, "--out", out, "--max-n", 600)
    results = read(tmp_path / "scaling-1.0.json")["results"]
    assert list(results) == list(scaling.SUBJECTS)
    for name, found in results.items():
        assert list(found["seconds"]) == ["300", "600"], name
        assert found["promised"]["power"] in (1, 2)
        assert found["exponent"] is not None
    memory = scaling.host.facts()["memory_gib"] * 2**30
    assert 4 * results["average"]["memory_ends_at"] ** 2 == pytest.approx(memory, rel=1e-3)
    assert results["mst"]["memory_ends_at"] is None  # its docstring gives no number
    assert "</svg>" in (tmp_path / "scaling-1.0.svg").read_text()


def test_a_rerun_of_scaling_with_only_keeps_the_other_results(script, data, tmp_path):
    for name, most in (("cluster_qr", 300), ("ami_zipf", 300), ("cluster_qr", 400)):
        arguments = ("--only", name, "--max-n", most)
        script("scaling", "--data", data, "--out", tmp_path / "both", *arguments)
    results = read(tmp_path / "both.json")["results"]
    assert list(results["cluster_qr"]["seconds"]) == ["300", "400"]
    assert list(results["ami_zipf"]["seconds"]) == ["300"]


def test_scaling_writes_each_time_as_soon_as_it_is_there(script):
    scaling = script("scaling")
    seen = []
    subject = scaling.Subject(lambda X: time.sleep(1e-4), "", 1, "")
    options = argparse.Namespace(max_n=2000, patience=180)
    scaling.measure(subject, np.zeros((2000, 1)), options, lambda f: seen.append(len(f["seconds"])))
    assert seen == [1, 2, 3]


def test_scaling_refuses_what_memory_or_patience_cannot_bear(script, monkeypatch):
    scaling = script("scaling")
    monkeypatch.setattr(scaling, "available", lambda: 12 * 2**30)
    average = scaling.SUBJECTS["average"]
    assert "9.3 GiB" in scaling.obstacle(average, 50_000, {}, 180)  # 1.3 times it is 12.1
    assert scaling.obstacle(average, 40_000, {}, 180) is None
    assert scaling.obstacle(average, 40_000, {20_000: 40.0}, 180) is None
    assert "180 s" in scaling.obstacle(average, 40_000, {20_000: 50.0}, 180)


def test_the_exponent_is_fitted_over_the_last_decade(script):
    scaling = script("scaling")
    times = {100: 5.0, 1000: 5.0, 5000: 25.0, 10_000: 100.0, 50_000: 2500.0}
    assert scaling.exponent(times) == pytest.approx(2)
    assert scaling.exponent({1000: 1.0}) is None


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
        ("scaling", ("--data", DATA, "--out", "x", "--only", "wrad"), "average"),
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
