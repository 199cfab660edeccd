"""Benchmark of encoders: every case runs, gives the same features, and is in the results file."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch

PATH = Path(__file__).parents[2] / "benchmarks" / "inference.py"


@pytest.fixture
def inference(monkeypatch):
    spec = importlib.util.spec_from_file_location("inference", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    monkeypatch.setattr(module.shutil, "which", lambda name: name)
    return module


TINY = ["--encoders", "test_resnet", "--images", "6", "--side", "32", "--runs", "1"]


def test_every_case_gives_the_same_features_and_is_written(inference, tmp_path, capsys):
    inference.main([*TINY, "--out", str(tmp_path / "out.json")])
    written = json.loads((tmp_path / "out.json").read_text())
    rows = written["cases"]["test_resnet"]
    assert list(rows) == list(inference.CASES)
    assert rows[written["baseline"]]["speedup"] == 1.0
    assert all(row["max_relative_difference"] < 1e-4 for row in rows.values())
    assert written["missing"] == []
    assert "test_resnet" in capsys.readouterr().out


def test_without_a_compiler_its_cases_are_listed_as_missing(inference, monkeypatch, tmp_path):
    monkeypatch.setattr(inference.shutil, "which", lambda name: None)
    inference.main([*TINY, "--cases", "compiled_16", "gpuclust", "--out", str(tmp_path / "o.json")])
    written = json.loads((tmp_path / "o.json").read_text())
    assert written["missing"] == ["compiled_16"]
    assert list(written["cases"]["test_resnet"]) == ["gpuclust"]
