"""The command line: exit codes, error messages of one sentence, tables, files."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import gpuclust


def new_process(*args, cwd=None, env=None):
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "gpuclust_cli", *map(str, args)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=env,
        timeout=300,
        check=False,
    )


def refused(result, code, *said):
    """Check the exit code and the message of an error without a traceback."""
    text = " ".join(result.stderr.split())
    assert result.returncode == code, text
    assert "Traceback" not in text
    for part in said:
        assert part in text, text


@pytest.fixture(scope="module")
def root(tmp_path_factory, digits_file):
    """A root with two rows."""
    root = tmp_path_factory.mktemp("cli") / "root"
    for clusterer in ("kmeans", "agglomerative(linkage=average)"):
        done = run_vectors(digits_file, root, "--clusterer", clusterer)
        assert done.returncode == 0, done.stderr
    return root


def run_vectors(file, root, *args):
    return gpuclust("run", "--embeddings", file, "--root", root, "--device", "cpu", *args)


def test_run_prints_scores_and_says_where_the_row_is(root, digits_file):
    done = run_vectors(digits_file, root, "--clusterer", "kmeans")
    assert done.returncode == 0
    assert "already computed" in done.stderr
    assert "ami" in done.stdout
    path = done.stderr.split("row: ")[1].split("\n")[0].strip()
    row = json.loads(Path(path).read_text())
    assert row["status"] == "ok"
    needed = {"dataset", "split", "encoder", "reducer", "clusterer", "k", "seed", "backend"}
    assert needed | {"status", "seconds", "scores"} <= set(row)
    assert row["scores"]["ami"] > 0.5


def test_force_computes_again_and_labels_are_saved_on_request(root, digits_file):
    done = run_vectors(digits_file, root, "--clusterer", "kmeans", "--force", "--save-labels")
    assert "already computed" not in done.stderr
    (path,) = (root / "labels").glob("*.csv")
    assert f"labels: {path}" in done.stderr
    with path.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 600


def test_report_ranks_and_writes_csv_and_markdown(root, tmp_path):
    table, markdown = tmp_path / "table.csv", tmp_path / "table.md"
    done = gpuclust("report", "--root", root, "--csv", table, "--markdown", markdown)
    assert done.returncode == 0, done.stderr
    assert "/digits600.npz, split all" in done.stderr
    lines = done.stdout.splitlines()
    assert len([line for line in lines if "kmeans" in line or "average" in line]) == 2
    assert table.read_text().count("\n") == 3
    assert "\n\n| reducer | clusterer | AMI |" in markdown.read_text()


def test_report_prints_nothing_but_the_table_where_a_program_reads_it(root):
    done = gpuclust("report", "--root", root, "--csv", "-")
    assert done.returncode == 0, done.stderr
    lines = list(csv.DictReader(done.stdout.splitlines()))
    assert all(line["dataset"].endswith("/digits600.npz") for line in lines)
    assert len(lines) == 2
    assert float(lines[0]["ami"]) >= float(lines[1]["ami"])


def test_the_root_can_come_from_the_environment(root, tmp_path):
    done = new_process("report", cwd=tmp_path, env={**os.environ, "GPUCLUST_ROOT": str(root)})
    assert done.returncode == 0
    assert "digits600" in done.stderr
    assert "kmeans" in done.stdout


def test_a_grid_with_a_failing_cell_exits_with_1_and_status_counts_it(tmp_path):
    grid = tmp_path / "grid.toml"
    grid.write_text(
        'dataset = "digits"\nencoder = "raw"\nclusterer = "kmeans"\nmetrics = "external"\n'
        'reducer = ["none", "pca(5000)"]\n'
    )
    root = tmp_path / "root"
    dry = gpuclust("grid", grid, "--root", root, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "2 cells, 2 to compute" in dry.stdout
    assert not root.exists(), "a dry run writes nothing"

    done = gpuclust("grid", grid, "--root", root, "--device", "cpu")
    refused(done, 1, "2 cells computed, 1 of them failed", "at most 192")
    told = json.loads(gpuclust("grid-status", grid, "--root", root, "--json").stdout)
    counts = {name: told[name] for name in ("cells", "done", "failed", "running", "left")}
    assert counts == {"cells": 2, "done": 1, "failed": 1, "running": 0, "left": 0}
    again = gpuclust("grid", grid, "--root", root, "--device", "cpu")
    refused(again, 1, "0 cells computed", "--retry-failed")
    retried = gpuclust("grid", grid, "--root", root, "--device", "cpu", "--retry-failed")
    refused(retried, 1, "1 cells computed, 1 of them failed")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run", "--clusterer", "kmeans"], "say what to cluster"),
        (
            ["run", "--dataset", "digit", "--encoder", "raw", "--clusterer", "kmeans"],
            "Did you mean 'digits'",
        ),
        (
            ["run", "--dataset", "digits", "--encoder", "rawe", "--clusterer", "kmeans"],
            "Did you mean 'raw'",
        ),
        (
            ["run", "--dataset", "digits", "--encoder", "raw", "--clusterer", "kmean"],
            "Did you mean 'kmeans'",
        ),
        (["embed", "folder:/no/such/folder", "raw"], "/no/such/folder"),
        (["embed", "digits", "file:/no/weights.pth?arch=test_vit"], "/no/weights.pth"),
        (["embed", "digits", "raw", "--verify", "--root", "/nonexistent"], "nothing to verify"),
        (["embed", "digits", "raw", "--preprocess", "studdy"], "Did you mean 'study'"),
        (["embed", "digits", "raw", "--split", "test"], "all"),
        (["grid", "/no/grid.toml"], "cannot read the grid file"),
        (["report", "--root", "/nonexistent"], "no results in /nonexistent"),
        (["list", "encoder"], "Did you mean 'encoders'"),
        (["run", "--k", "ten", "--clusterer", "kmeans"], "--k"),
        (["runn"], "No such command"),
    ],
)
def test_bad_input_is_one_clear_sentence_and_exit_code_2(args, said):
    refused(gpuclust(*args), 2, said)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--k", "601"], "k=601 is more than the 600 samples"),
        (["--k", "0"], "whole number of at least 1"),
        (["--labels", "/no/labels.npy"], "/no/labels.npy"),
        (["--metrics", "amy"], "unknown metric 'amy'"),
        (["--dataset", "digits"], "not both"),
        (["--device", "gpuu"], "Did you mean 'gpu'"),
    ],
)
def test_bad_input_with_vectors_is_reported_too(digits_file, tmp_path, args, said):
    refused(run_vectors(digits_file, tmp_path, "--clusterer", "kmeans", *args), 2, said)
    assert not list(tmp_path.rglob("rows/**/*.json")), "bad input leaves no row behind"


def test_a_process_ends_with_the_exit_code_and_the_message_of_its_error(digits_file, tmp_path):
    """Keep one run in a new process per outcome; the other tests run in this one."""
    vectors = ("--embeddings", digits_file, "--root", tmp_path, "--device", "cpu")
    refused(new_process("run", *vectors, "--clusterer", "kmean"), 2, "Did you mean 'kmeans'")
    done = new_process("run", *vectors, "--clusterer", "kmeans")
    assert done.returncode == 0, done.stderr
    assert "ami" in done.stdout
    assert "Usage:" in new_process("--help").stdout


def test_an_explicit_gpu_is_refused_with_the_reason(digits_file, tmp_path):
    from gpuclust.device.backend import why_no_gpu

    reason = why_no_gpu()
    if reason is None:
        pytest.skip("this machine has a GPU backend")
    done = gpuclust(
        "run", "--embeddings", digits_file, "--clusterer", "kmeans", "--root", tmp_path,
        "--device", "gpu",
    )  # fmt: skip
    refused(done, 2, "--device gpu is not available", reason[:40])


def test_vectors_without_labels_need_k_and_get_internal_scores(digits, tmp_path):
    file, root = tmp_path / "bare.npy", tmp_path / "root"
    np.save(file, digits.X)
    refused(run_vectors(file, root, "--clusterer", "kmeans"), 2, "Give --k")
    done = run_vectors(file, root, "--clusterer", "kmeans", "--k", "10")
    assert done.returncode == 0, done.stderr
    assert "silhouette_euclidean_original" in done.stdout
    assert " ami " not in done.stdout


def test_nan_in_vectors_is_reported_with_its_row(digits, tmp_path):
    file = tmp_path / "nan.npy"
    X = digits.X.copy()
    X[7, 0] = np.nan
    np.save(file, X)
    refused(run_vectors(file, tmp_path / "r", "--clusterer", "kmeans", "--k", "3"), 2, "7")


def test_debug_shows_the_traceback(tmp_path):
    done = new_process("report", "--root", tmp_path, "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("kind", ["encoders", "datasets", "reducers", "clusterers", "metrics"])
def test_list_names_everything(kind):
    from gpuclust.methods.table import CLUSTERERS, REDUCERS
    from gpuclust.metrics import suite

    named = {
        "encoders": ["efficientnet_lite0", "raw", "timm/", "open_clip/", "torchvision/", "file:"],
        "datasets": ["digits", "fashionmnist", "folder:"],
        "reducers": REDUCERS,
        "clusterers": CLUSTERERS,
        "metrics": suite.ALL,
    }[kind]
    done = gpuclust("list", kind)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in named)


def test_doctor_describes_this_machine(tmp_path):
    done = gpuclust("doctor", "--root", tmp_path / "not-there")
    assert done.returncode == 0, done.stderr
    assert "scikit-learn" in done.stdout
    assert "gpuclust[gpu-cu13]" in done.stdout
    assert "FAILED" not in done.stdout
    assert not (tmp_path / "not-there").exists()


def test_doctor_prints_json_for_programs():
    done = gpuclust("doctor", "--no-fits", "--json")
    found = {check["name"]: check for check in json.loads(done.stdout)}
    assert found["root"]["ok"] is True
    assert "cores" in found["machine"]["found"]
    assert not any(name.startswith("fit: ") for name in found)


def test_tracing_on_the_cpu_is_refused(digits_file, tmp_path):
    how = ("--clusterer", "kmeans", "--trace-transfers", "--device", "cpu")
    refused(run_vectors(digits_file, tmp_path, *how), 2, "this run uses the CPU")


def test_parity_without_a_gpu_says_why_and_reads_what_is_there(digits_file, tmp_path):
    from gpuclust.device.backend import why_no_gpu

    how = ["parity", "--embeddings", digits_file, "--reducer", "none", "--clusterer", "kmeans"]
    how += ["--seeds", "2", "--root", tmp_path / "root"]
    if why_no_gpu() is not None:
        refused(gpuclust(*how), 2, "--device gpu is not available")
    done = gpuclust(*how, "--run", "cpu", "--json", tmp_path / "parity.json")
    assert done.returncode == 1, "the GPU rows are missing"
    assert "seed 1: no gpu row" in done.stdout
    content = json.loads((tmp_path / "parity.json").read_text())
    assert content["lines"][0]["seeds"] == []
    refused(gpuclust(*how, "--run", "gqu"), 2, "unknown run 'gqu'")


def commands():
    from gpuclust_cli import app
    from typer.main import get_command

    return sorted(get_command(app).commands)


@pytest.mark.parametrize("command", commands())
def test_every_command_has_help(command):
    done = gpuclust(command, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout


@pytest.mark.parametrize(
    "command", ["embed", "run", "grid", "grid-status", "report", "quickstart", "parity"]
)
def test_commands_that_read_or_write_results_take_a_root(command):
    assert "GPUCLUST_ROOT" in gpuclust(command, "--help").stdout
