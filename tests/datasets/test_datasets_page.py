"""The page on datasets: its tables equal the registry, its commands run."""

import re
import shlex
from dataclasses import replace

from command_line import gpuclust
from dataset_tables import PAGE, READ_BY, filled, groups, study
from miniatures import TREES

from gpuclust.datasets.table import DATASETS

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_registry():
    assert filled(TEXT) == TEXT, "run: python tests/datasets/dataset_tables.py"


def test_every_dataset_is_in_one_table_and_every_reader_is_described():
    named = groups()
    names = [name for group in named.values() for name in group]
    assert sorted(names) == sorted(DATASETS)
    assert len(study()) == 26
    assert len(named["study"]) == 28
    assert {entry.target.rpartition(".")[2] for entry in DATASETS.values()} == set(READ_BY)


def test_the_commands_of_the_page_run(tmp_path, monkeypatch):
    for name in ("nabirds", "dtd"):
        tree = TREES[name](tmp_path / "DATASETS")
        true = replace(DATASETS[name], splits=tree.splits, classes=tree.classes, imbalance=None)
        monkeypatch.setitem(DATASETS, name, true)
    block = re.search(r"(?:^    gpuclust .*\n)+", TEXT, re.MULTILINE).group()
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert len(commands) == 5
    for command in commands:
        done = gpuclust(*command[1:], cwd=tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
