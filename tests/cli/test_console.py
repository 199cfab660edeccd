"""Console: names as visible text, closed and full streams, narrow terminals."""

import io
import json
import os
import pty
import subprocess
import sys

import numpy as np
import pytest
from command_line import gpuclust
from gpuclust_cli import layout
from gpuclust_cli.console import Screen

from gpuclust.cell import Unit
from gpuclust.store.store import Store

ROW = {
    "status": "ok",
    "key": "k1",
    "dataset": "digits",
    "split": "all",
    "encoder": "raw",
    "preprocess": "own",
    "reducer": "none",
    "clusterer": "kmeans",
    "k": 10,
    "seed": 0,
    "seconds": 0.5,
    "scores": {"ami": 0.705, "ari": 0.5, "nmi": 0.7, "accuracy": 0.8, "n_clusters": 10},
}


@pytest.fixture
def root(tmp_path):
    store = Store(tmp_path / "root")
    for name in ("kmeans", "hdbscan"):
        unit = Unit(ROW["dataset"], "all", "raw", "own", ())
        store.save_row(unit, ROW | {"key": name, "clusterer": name})
    return store.root


def shell(line, cwd, **env):
    """Run a shell line, in which ``$G`` is the command."""
    env = {**os.environ, "G": f"{sys.executable} -m gpuclust_cli", **env}
    return subprocess.run(
        ["bash", "-c", line], cwd=cwd, env=env, capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("line", ["$G report --root {} >&-", "$G report --root {} >&- 2>&-"])
def test_closed_streams_are_no_error(root, tmp_path, line):
    done = shell(line.format(root), tmp_path)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_a_reader_that_stops_early_is_no_error(root, tmp_path):
    line = f"$G report --root {root} --csv - | head -c 1; echo ${{PIPESTATUS[0]}}"
    done = shell(line, tmp_path)
    assert done.stdout == '"0\n'
    assert "Error" not in done.stderr


def test_a_full_disk_behind_standard_output_is_reported(root, tmp_path):
    for how in ("", "--csv -"):
        done = shell(f"$G report --root {root} {how} > /dev/full", tmp_path)
        assert done.returncode == 1
        assert done.stderr.count("cannot write to standard output: No") == 1
        assert "Traceback" not in done.stderr


def test_a_plain_locale_and_no_home_are_enough(root, tmp_path):
    env = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "TERM": "dumb"}
    done = shell(f"unset HOME; $G report --root {root} --dataset ä", tmp_path, **env)
    assert done.returncode == 2
    assert "unknown dataset '\\xe4'" in done.stderr


def test_control_characters_in_rows_files_and_options_never_reach_the_terminal(tmp_path):
    store = Store(tmp_path / "ro\x1b[31mot")
    unit = Unit("dig\x1b[31mits", "all", "raw", "own", ())
    row = ROW | {"dataset": unit.dataset, "reducer": "[bold]um\x9bap\u202e"}
    store.save_row(unit, row)
    store.row_path(unit, "bad\x07").write_text("{")
    failed = {"status": "failed", "key": "k2", "error": {"message": "no \x1b]0;x\x07\n such"}}
    store.save_row(unit, row | failed)
    said = [
        gpuclust("report", "--root", store.root, "--markdown", "-"),
        gpuclust("report", "--root", store.root),
        gpuclust("report", "--root", store.root, "--sort", "\x1b[31m"),
        gpuclust("report", "--root", tmp_path / "\x1b[31m"),
        gpuclust("run", "--clusterer", "k\x1b", "--k", "\x1b[31m"),
        gpuclust("no\x1bcommand"),
        gpuclust("report", "--root", store.root, "--csv", "/\x1b[31m/no/x.csv"),
    ]
    for done in said:
        assert not set(done.stdout + done.stderr) & set("\x1b\x07\x9b\u202e"), done
    assert "[bold]um\\x9bap\\u202e" in said[1].stdout
    assert "bad\\x07.json" in said[1].stderr


def test_names_are_no_markup():
    screen = Screen(file=io.StringIO(), width=40)
    screen.print("/tmp/res [final]/[/final]/[bold]x")
    assert screen.file.getvalue() == "/tmp/res [final]/[/final]/[bold]x\n"


def drawn(header, lines, width):
    screen = Screen(file=io.StringIO(), width=1_000_000)
    for part, at in layout.table(header, lines, width):
        screen.print(part, width=at, soft_wrap=False)
    return screen.file.getvalue()


HEADER = ["reducer", "clusterer", "AMI", "ARI", "NMI", "ACC", "SIL", "clusters", "s"]
LINE = ["zscore|pca(0.9)", "agglomerative(linkage=average)", *["-0.705"] * 5, "10", "11.7"]


def test_a_file_gets_columns_of_any_width_whole():
    assert "x" * 500 in drawn(["a", "b"], [["x" * 500, "1"]], None)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 120, None])
def test_no_number_and_no_name_is_cut_at_any_width(width):
    text = drawn(HEADER, [LINE, LINE], width)
    assert text.count("-0.705") == 10
    assert text.count("11.7") == 2
    whole = "".join(text.split())
    assert "agglomerat" in whole
    if width is not None:
        assert max(map(len, text.splitlines())) <= width
    if width is None or width <= 60:
        assert "agglomerative(linkage=average)" in whole
        assert "zscore|pca(0.9)" in whole


def test_a_terminal_of_forty_columns_names_the_methods(root):
    master, slave = pty.openpty()
    env = {**os.environ, "COLUMNS": "40", "TERM": "xterm"}
    command = [sys.executable, "-m", "gpuclust_cli", "report", "--root", root]
    with subprocess.Popen(command, stdout=slave, stderr=subprocess.DEVNULL, env=env) as process:
        process.wait(100)
    os.close(slave)
    shown = os.read(master, 1 << 16).decode()
    os.close(master)
    assert "clusterer kmeans" in shown
    assert "AMI 0.705" in shown


def test_a_tilde_is_the_home_folder_in_every_option(tmp_path, monkeypatch):
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    X = np.random.default_rng(0).normal(size=(30, 4))
    np.save(home / "v.npy", X)
    how = ("--embeddings=~/v.npy", "--clusterer", "kmeans", "--k", "2", "--root=~/r")
    assert gpuclust("run", *how, cwd=work).returncode == 0
    done = gpuclust("report", "--root=~/r", "--csv=~/a.csv", "--markdown", "~/a.md", cwd=work)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("GPUCLUST_ROOT", "~/r")
    assert gpuclust("report", cwd=work).returncode == 0
    (home / "g.toml").write_text('embeddings = "~/v.npy"\nclusterer = "kmeans"\nk = 3\n')
    assert gpuclust("grid", "~/g.toml", "--json-log=~/log", cwd=work).returncode == 0
    assert {path.name for path in home.iterdir()} >= {"v.npy", "r", "a.csv", "a.md", "log"}
    assert list(work.iterdir()) == []
    assert json.loads((home / "log").read_text().splitlines()[0])["event"]


@pytest.mark.parametrize("root", ["~nosuchuser/x", "a" * 300, "loop", "file", "file/below", "gone"])
@pytest.mark.parametrize("command", ["report", "run", "grid-status", "embed", "doctor"])
def test_a_root_that_cannot_be_is_one_sentence_everywhere(tmp_path, root, command):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "file").write_text("x")
    (tmp_path / "g.toml").write_text('dataset = "digits"\nencoder = "raw"\nclusterer = "kmeans"\n')
    np.save(tmp_path / "v.npy", np.eye(5))
    how = {
        "run": ["--embeddings", "v.npy", "--clusterer", "kmeans", "--k", "2"],
        "grid-status": ["g.toml"],
        "embed": ["digits", "raw"],
        "doctor": ["--no-fits"],
    }.get(command, [])
    done = gpuclust(command, *how, "--root", root, cwd=tmp_path)
    assert "unexpected" not in done.stderr
    assert done.returncode in ((1, 2) if command == "doctor" else (2,)), done.stderr
    assert len(done.stderr.splitlines()) <= 2
