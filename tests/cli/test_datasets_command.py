"""Output and exit codes of `gpuclust datasets where` and `verify`."""

import json
from dataclasses import replace

import pytest
from command_line import gpuclust
from miniatures import TREES

from gpuclust.datasets import registry
from gpuclust.datasets.readers import fashionmnist
from gpuclust.datasets.table import DATASETS


@pytest.fixture
def birds(tmp_path, monkeypatch):
    """The miniature of NABirds, with its own numbers expected."""
    tree = TREES["nabirds"](tmp_path)
    true = replace(DATASETS["nabirds"], splits=tree.splits, classes=tree.classes, imbalance=1.0)
    monkeypatch.setitem(DATASETS, "nabirds", true)
    return tmp_path


def squeezed(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_verify_prints_a_line_per_check(birds):
    done = gpuclust("datasets", "verify", "nabirds", "--data-dir", birds, "--images")
    assert done.returncode == 0
    assert squeezed(done.stdout) == [
        "check expected found",
        f"layout ok readable {birds}/nabirds",
        "images ok 60 60",
        "classes ok 20 20",
        "imbalance ok 1.00 1.00",
        "images of all splits ok 100 100",
        "further labels ok level_1, level_2, level_3 level_1, level_2, level_3",
        "files ok 60 60",
        "images of images.txt ok 100 100",
        "images in no split ok 0 0",
        "folders without a listed image ok 0 0",
        "copies by name ok 0 0",
        "headers of images ok 60 good 60 good",
    ]


def test_verify_names_the_first_missing_files_and_json_all_of_them(birds):
    data = registry.load("nabirds", data_dir=birds)
    gone = sorted(f"{data.path(i).parent.name}/{data.path(i).name}" for i in range(7))
    for i in range(7):
        data.path(i).unlink()
    done = gpuclust("datasets", "verify", "nabirds", "--data-dir", birds)
    assert done.returncode == 1
    lines = squeezed(done.stdout)
    assert "images FAILED 60 53" in lines
    start = lines.index("images of images.txt:")
    assert lines[start + 1 : start + 7] == [*gone[:5], "... and 2 more: --json lists all"]
    assert "7 of 60 images of images.txt are not in" in done.stderr
    done = gpuclust("datasets", "verify", "nabirds", "--data-dir", birds, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"], report["dataset"]) == (1, False, "nabirds")
    (check,) = [one for one in report["checks"] if one["name"] == "images of images.txt"]
    assert check["files"] == gone


def test_progress_is_printed_now_and_then(birds, monkeypatch):
    monkeypatch.setattr("gpuclust_cli.datasets._EVERY", -1.0)
    monkeypatch.setattr("gpuclust.datasets.verification._BATCH", 25)
    done = gpuclust("datasets", "verify", "nabirds", "--data-dir", birds, "--images")
    lines = squeezed(done.stderr)
    assert lines == ["25 of 60 images checked", "50 of 60 images checked", "nabirds (test)"]


def test_verify_all_prints_a_table_of_the_datasets_found(birds, monkeypatch):
    monkeypatch.setattr(fashionmnist, "DEBIAN", birds / "nowhere")
    (birds / "dtd").mkdir()
    done = gpuclust("datasets", "verify", "--all", "--data-dir", birds)
    assert done.returncode == 1
    assert squeezed(done.stdout) == [
        "dataset split found in images classes state",
        "dtd test cannot be read: `gpuclust datasets verify dtd` shows why",
        f"nabirds test {birds}/nabirds 60 20 ok",
    ]
    assert "not found: " in done.stderr
    (birds / "dtd").rmdir()
    done = gpuclust("datasets", "verify", "--all", "--data-dir", birds, "--json")
    assert done.returncode == 0
    assert [report["dataset"] for report in json.loads(done.stdout)] == ["nabirds"]


def test_verify_of_nothing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fashionmnist, "DEBIAN", tmp_path / "nowhere")
    monkeypatch.delenv("GPUCLUST_DATA", raising=False)
    for words, said in {
        (): "--all",
        ("nabirds", "--all"): "--all",
        ("--all", "--split", "test"): "--all",
        ("--all",): "--data-dir",
        ("--all", "--data-dir", tmp_path): "no dataset was found below",
        ("birds",): "Did you mean 'nabirds'",
        ("nabirds", "--split", "best"): "has no split 'best'",
    }.items():
        done = gpuclust("datasets", "verify", *words)
        assert done.returncode == 2, words
        assert said in done.stderr, words


def test_verify_without_a_folder_is_not_as_expected(monkeypatch):
    monkeypatch.delenv("GPUCLUST_DATA", raising=False)
    done = gpuclust("datasets", "verify", "nabirds")
    assert done.returncode == 1
    assert "--data-dir (or GPUCLUST_DATA)" in done.stdout


def test_where_shows_folders_files_and_source(tmp_path, monkeypatch):
    monkeypatch.delenv("GPUCLUST_DATA", raising=False)
    (tmp_path / "dtd").mkdir()
    done = gpuclust("datasets", "where", "dtd", "--data-dir", tmp_path)
    assert done.returncode == 0
    lines = squeezed(done.stdout)
    assert lines[0] == "dtd: Describable Textures, partition 1"
    assert "splits: test 1,880 (default), train 1,880, val 1,880" in lines
    assert "from: https://www.robots.ox.ac.uk/~vgg/data/dtd/" in lines
    command = "`gpuclust datasets where dtd --download --data-dir FOLDER`"
    assert f"download: {command} (625 MB)" in lines
    assert f"{tmp_path}/dtd there" in lines
    assert f"{tmp_path}/DTD/dtd missing" in lines
    assert "dtd/labels/test1.txt" in lines
    assert lines[-1] == f"in a run: --dataset dtd --data-dir {tmp_path}"
    assert "DATA-DIR/dtd" in squeezed(gpuclust("datasets", "where", "dtd").stdout)


def test_where_downloads_nothing_that_is_there(tmp_path):
    TREES["eurosat"](tmp_path)
    done = gpuclust("datasets", "where", "eurosat", "--download", "--data-dir", tmp_path)
    assert done.returncode == 0
    assert done.stdout == f"{tmp_path}/eurosat/EuroSAT_RGB\n"
    assert "is there already, nothing was downloaded" in done.stderr
    assert f"gpuclust datasets verify eurosat --data-dir {tmp_path}" in done.stderr


def test_where_names_the_page_when_a_download_is_impossible(tmp_path, monkeypatch):
    monkeypatch.delenv("GPUCLUST_DATA", raising=False)
    done = gpuclust("datasets", "where", "nabirds", "--download", "--data-dir", tmp_path)
    assert done.returncode == 2
    assert "Get it from https://dl.allaboutbirds.org/nabirds" in done.stderr
    done = gpuclust("datasets", "where", "cifar10", "--download")
    assert done.returncode == 2
    assert "--data-dir" in done.stderr


def test_where_ends_with_one_sentence_without_a_network(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("Network is unreachable")

    monkeypatch.setattr("torchvision.datasets.CIFAR10.download", offline)
    done = gpuclust("datasets", "where", "cifar10", "--download", "--data-dir", tmp_path / "data")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"Error: cifar10 was not downloaded to {tmp_path}/data/cifar10: ")
    assert "Network is unreachable" in done.stderr
    assert "https://www.cs.toronto.edu/~kriz/cifar.html" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_says_that_the_data_are_incomplete(tmp_path):
    TREES["dtd"](tmp_path)
    done = gpuclust(
        *("run", "--dataset", "dtd", "--data-dir", tmp_path, "--encoder", "raw"),
        *("--clusterer", "kmeans", "--root", tmp_path / "results"),
    )
    assert done.returncode == 0, done.stderr
    said = "dtd (test) has 60 images, expected 1,880 and 3 classes, expected 47: "
    assert said + "`gpuclust datasets verify dtd` shows what differs." in done.stderr
