"""benchmarks/gpu.py runs all its parts here, with the CPU backend in place of the GPU."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gpuclust.bench import cases
from gpuclust.device import backend
from gpuclust.methods.table import CLUSTERERS
from gpuclust.row import Outcome

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks/gpu.py"
DATA = ROOT / "tests/data/fashionmnist-300.npz"
no_gpu = pytest.mark.skipif(backend.why_no_gpu() is None, reason="this machine has a GPU")


@pytest.fixture
def load(monkeypatch):
    """Import one of the scripts by name."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A hundred real samples."""
    path = tmp_path_factory.mktemp("gpu") / "embeddings.npz"
    with np.load(DATA) as whole:
        np.savez(path, X=whole["X"][::3, :64], y=whole["y"][::3])
    return path


@pytest.fixture
def part(load, data, tmp_path, monkeypatch):
    """Run a part in this process, and read its output."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def run(name: str) -> dict:
        options = {"child": name, "folder": tmp_path, "data": data, "dry": True, "limit": 600.0}
        load("gpu_parts").run(argparse.Namespace(**options))
        found = json.loads((tmp_path / f"{name}.json").read_text())
        assert found["running"] is None
        assert found["summary"]
        return found

    return run


def gpu(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    env = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd="/")


# ---- the run ------------------------------------------------------------------------------------


def test_a_dry_run_writes_one_json_with_its_header_and_a_rerun_adds_to_it(tmp_path):
    done = gpu("--dry", "--parts", "tests", OUT=str(tmp_path), GPUCLUST_COMMIT="abc1234")
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob("*.json")
    content = json.loads(path.read_text())
    assert path.name == f"dry-{content['date'][:10]}.json"
    assert (content["commit"], content["dry"], content["gpu"]) == ("abc1234", True, None)
    assert content["host"]["cpu"]
    assert content["dirty"] is False
    assert content["versions"]["pytest"]
    counts = content["parts"]["tests"]["counts"]
    assert counts["passed"] > 10
    assert counts["failed"] == counts["error"] == 0
    assert f"{counts['passed']} passed" in done.stdout
    done = gpu("--dry", "--parts", "doctor", "--out", tmp_path, "--limit", "0.05")
    assert done.returncode == 1
    parts = json.loads(path.read_text())["parts"]
    assert parts["tests"]["counts"] == counts
    assert "killed" in parts["doctor"]["error"]


@no_gpu
def test_without_a_gpu_it_ends_at_once_with_the_reason(tmp_path):
    done = gpu("--data", DATA, "--out", tmp_path)
    assert done.returncode == 2
    assert backend.why_no_gpu() in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((), "--data"), (("--data", "/nowhere.npz"), "/nowhere.npz"), (("--parts", "spede"), "speed")],
)
def test_a_wrong_command_line_is_refused(arguments, said):
    done = gpu(*arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_packages_that_are_missing_are_named_before_anything_runs(load, monkeypatch):
    script = load("gpu")
    monkeypatch.setattr(script, "NEEDED", ("numpy", "array_api_incompat"))
    assert "array_api_incompat" in script.obstacle(dry=True)
    assert "numpy" not in script.obstacle(dry=True)


def test_the_json_is_named_after_the_card(load, tmp_path):
    content = {"gpu": {"name": "NVIDIA H200"}, "date": "2026-11-21T07:00:00+00:00"}
    assert load("gpu").place_of(content, tmp_path).name == "h200-2026-11-21.json"


def test_a_part_that_fails_or_hangs_is_recorded_with_its_findings(load, tmp_path, monkeypatch):
    script = load("gpu")
    args, saved = argparse.Namespace(folder=tmp_path, dry=True, data=DATA), []

    def child(code: str) -> dict:
        report = f"from pathlib import Path; Path({str(tmp_path / 'doctor.json')!r}).write_text"
        code = f'{report}(\'{{"running": "a fit", "found": 1}}\'); {code}'
        monkeypatch.setattr(script, "command", lambda *_: [sys.executable, "-c", code])
        return script.run_part("doctor", args, 2.0, saved.append)

    hung = child("import time; time.sleep(60)")
    assert "killed after 2 s" in hung["error"]
    assert hung["seconds"] < 10
    assert (hung["found"], hung["running"]) == (1, "a fit")
    assert saved[-1]["found"] == 1
    failed = child("raise MemoryError('40 GiB')")
    assert "MemoryError: 40 GiB" in failed["error"]
    assert failed["found"] == 1


def test_unused_time_of_a_part_goes_to_the_later_ones(load, tmp_path, monkeypatch):
    script, given = load("gpu"), {}

    def run_part(part, args, seconds, save):
        given[part] = seconds
        return {"seconds": 0.0}

    monkeypatch.setattr(script, "run_part", run_part)
    monkeypatch.setattr(script, "header", lambda dry: {"gpu": None, "date": "d", "commit": "c"})
    args = argparse.Namespace(dry=True, out=tmp_path, limit=180.0, parts=list(script.PARTS))
    content = script.run_all(args)
    assert list(content["parts"]) == list(given) == list(script.PARTS)
    assert given["doctor"] == pytest.approx(15, abs=1)
    assert given["tests"] == pytest.approx(4 / 16.5 * 180, abs=1)
    assert given["kernels"] == pytest.approx(180, abs=1)


# ---- the parts ----------------------------------------------------------------------------------


def test_the_doctor_is_recorded_check_by_check(part):
    found = part("doctor")
    assert found["checks"]["machine"]["ok"] is None
    assert found["failed"] == [
        f"{name}: {one['found']}" for name, one in found["checks"].items() if one["ok"] is False
    ]


def test_residency_follows_every_stage_of_both_units_and_the_grid(part):
    found = part("residency")
    for where in ("study", "large"):
        stages = found[where]["stages"]
        assert len(stages) == 2 + 2 * len(CLUSTERERS) + 2
        assert not any("error" in one for one in stages.values())
        assert found[where]["result"] == {"library": "numpy", "astray": [], "failed": []}
        assert stages["cluster: none | kmeans"]["array"] == "numpy int64"
        assert "score: none | scoring 6" in stages
    rows = found["grid"]["rows"]
    assert sorted(row["encoder"] for row in rows) == ["random/test_resnet", "raw"]
    assert {row["status"] for row in rows} == {"ok"}
    assert found["grid"]["table"]["lines"] == []  # no device, no copies


def test_copies_of_a_stage_are_a_share_of_the_embedding(load):
    parts = load("gpu_residency")
    outcome = Outcome(None, 1.0, device={"to_host": 50, "peak_bytes": 1 << 30})
    assert parts.described(outcome, 200)["share_of_X"] == 0.25
    failed = parts.described(outcome._replace(error=MemoryError("40 GiB")), 200)
    assert failed["error"] == "MemoryError: 40 GiB"


@pytest.mark.slow
def test_speed_times_both_backends_and_compares_their_results(part):
    found = part("speed")
    for reducer in ("none", "pca(5)"):
        unit = found["study"][f"unit {reducer}"]
        assert set(unit["agreement"]["cpu"]) == set(CLUSTERERS)
        assert set(unit["agreement"]["cpu"].values()) == {1.0}  # it is the same backend twice
        assert set(unit["stages"]) == {"reduce", "score", *CLUSTERERS}
        assert set(unit["stages"]["kmeans"]) == {"gpu", "cpu"}
    for name in ("kmeans", "spectral"):
        one = found["seeds"][name]
        assert one["agreement"]["cpu"]["labels"] == 1.0
        assert one["between_seeds"]["cpu"]["labels"] <= 1.0
        assert len(one["implementations"]["gpu"]["ami"]) == 5
    large = found["large"]["agglomerative"]
    assert large["n"] == 400
    assert large["speedup"]["cpu"] > 0
    assert len(large["implementations"]["cpu"]["seconds"]) == 1


@pytest.mark.slow
def test_accel_compares_scikit_learns_code_with_the_backend(part):
    compared = part("accel")["compared"]
    names = ["pca(5)", "kmeans", "spectral(assign_labels=kmeans)", "hdbscan"]
    assert list(compared) == names
    for name, one in compared.items():
        assert one["speedup"]["sklearn"] > 0
        assert next(iter(one["agreement"]["sklearn"].values())) > 0.9, name


@pytest.mark.slow
def test_kernels_run_every_case_and_agree_with_scikit_learn(part):
    content = part("kernels")
    results = {one["case"]: one for one in content["found"]["results"]}
    assert list(results) == list(cases.GPU)
    assert "cuml" in content["found"]["missing"]
    for name, one in results.items():
        assert not any("error" in of for of in one["implementations"].values()), (name, one)
        for key, value in one["agreement"].get("sklearn", {}).items():
            assert value == pytest.approx(0 if key == "score" else 1, abs=1e-5), name
    assert results["ward_100k"]["target"] == 2.0
    assert set(content["affinity_iteration"]) == {"seconds", "target"}


def test_a_finding_is_on_the_disk_at_once_and_a_killed_part_keeps_it(load, tmp_path, monkeypatch):
    parts = load("gpu_parts")
    jobs = [parts.Job(name, "kmeans", "unused") for name in ("gpu", "cpu")]
    one = {"what": "kmeans", "n": 3, "speedup": {}, "agreement": {}}
    one["implementations"] = {"gpu": {"median": 2.0, "stages": [{"reduce": 1.0}, {"reduce": 3.0}]}}

    def compare(jobs, *, say, save):
        say("kmeans, gpu: run 1 of 2")
        save(one)
        raise KeyboardInterrupt

    monkeypatch.setattr(parts, "compare", compare)
    with pytest.raises(KeyboardInterrupt):
        parts.timed(jobs, parts.Report(tmp_path / "speed.json"), "study")
    content = json.loads((tmp_path / "speed.json").read_text())
    assert content["running"] == "kmeans, gpu: run 1 of 2"
    assert content["study"]["kmeans"]["stages"] == {"reduce": {"gpu": 2.0}}


def test_an_iteration_is_the_difference_of_two_fits(load):
    few, many, more = cases.ITERATIONS
    pairs = ((few, 1.0), (many, 1.0 + 0.02 * more))
    found = [{"case": name, "implementations": {"gpu": {"median": s}}} for name, s in pairs]
    assert load("gpu_parts").iteration(found)["seconds"] == pytest.approx(0.02)
    assert load("gpu_parts").iteration(found[:1]) == {}


def test_failures_and_figures_of_the_tests_are_kept(load, tmp_path):
    parts = load("gpu_parts")
    tally = parts.Tally(parts.Report(tmp_path / "tests.json"))
    one = {"nodeid": "a.py::b", "when": "call", "user_properties": [("figure", "to_host 3")]}
    good = argparse.Namespace(**one, passed=True, failed=False, outcome="passed")
    bad = argparse.Namespace(**one, passed=False, failed=True, outcome="failed", longrepr="why")
    setup = argparse.Namespace(**one | {"when": "setup"}, passed=True, failed=False)
    for report in (setup, good, bad):
        tally.pytest_runtest_logreport(report)
    longrepr = "E   ModuleNotFoundError: No module named 'open_clip'"
    tally.pytest_collectreport(argparse.Namespace(failed=True, nodeid="c.py", longrepr=longrepr))
    content = json.loads((tmp_path / "tests.json").read_text())
    assert content["counts"] == {"passed": 1, "failed": 1, "skipped": 0, "error": 1}
    assert content["failures"] == {"a.py::b": "why"}
    assert content["figures"] == {"a.py::b": ["to_host 3"]}
    assert "open_clip" in content["not_collected"]["c.py"]


def test_the_scripts_import_no_package_that_a_bare_gpu_host_lacks():
    code = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"orjson", "typer", "rich", "umap", "open_clip"}:
            raise ModuleNotFoundError(f"No module named {name}", name=name)
sys.meta_path.insert(0, Refuse())
import gpu, gpu_parts, gpu_residency
import gpuclust.bench.worker, gpuclust.store.store, gpuclust.grid.run, gpuclust.doctor
"""
    path = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
    env = os.environ | {"PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
