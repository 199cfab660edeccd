"""The documents are true: commands of the README run in its order, named files and names exist."""

import os
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small_digits
from command_line import gpuclust
from texts import PAGES, ROOT, name

README = (ROOT / "README.md").read_text(encoding="utf-8")
# .ci/run itself runs these: they set up the environment of this test.
BY_CI = ("make demo", "make test")


PYTHON_PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


def blocks(language, page=README):
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)


def commands():
    lines = "\n".join(blocks("bash")).replace("\\\n", " ").splitlines()
    bare = [line.partition("  #")[0].strip() for line in lines]
    return [line for line in bare if line and not line.startswith(("#", *BY_CI))]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, digits):
    """A folder with the files of the README: photos, vectors, the grid file."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("readme")
    np.savez(folder / "vectors.npz", X=digits.X, y=digits.y)
    for i in range(60):
        place = folder / "photos" / f"digit-{digits.y[i]}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = (digits.X[i].reshape(8, 8) * 15.9).astype(np.uint8)
        Image.fromarray(pixels).resize((64, 64)).save(place / f"{i}.jpg")
    (grid,) = blocks("toml")
    (folder / "grid.toml").write_text(grid, encoding="utf-8")
    return folder


def run(words, cwd):
    """Run a command in this process; in a new one if it starts workers, as users do."""
    if "--scheduler" not in words:
        assert words[0] == "gpuclust"
        return gpuclust(*words[1:], cwd=cwd)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        words,
        cwd=cwd,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.mark.long
def test_every_command_of_the_readme_runs(workplace, monkeypatch):
    """Run the commands on 300 digits; `make demo` takes all of them."""
    small_digits.use_first(monkeypatch, 300)
    assert len(commands()) >= 8
    for command in commands():
        done = run(shlex.split(command), workplace)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_every_python_example_of_the_readme_runs(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})


def test_the_python_examples_of_the_page_on_python_run_one_after_another(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    names = {}
    for block in blocks("python", PYTHON_PAGE):
        exec(compile(block, "docs/python.md", "exec"), names)


def test_five_lines_lead_from_a_folder_of_images_to_a_table(workplace, monkeypatch, capsys):
    import pandas as pd

    monkeypatch.chdir(workplace)
    block = blocks("python")[0]
    assert len([line for line in block.splitlines() if line]) == 5
    exec(compile(block, "README.md", "exec"), {})
    table = pd.read_csv("clusters.csv")
    photos = sorted(map(str, (workplace / "photos").rglob("*.jpg")))
    assert sorted(table["path"]) == photos
    assert table["cluster"].nunique() == 10
    assert "path  cluster" in capsys.readouterr().out


def test_the_readme_speaks_of_every_command():
    from gpuclust_cli import app
    from typer.main import get_command

    for command in get_command(app).commands:
        assert f"gpuclust {command}" in README, command


def test_every_file_the_readme_links_is_there():
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_and_names_of_the_project_in_the_documents_exist(page):
    text = page.read_text(encoding="utf-8")
    path = r"(?<![\w/.-])(?:gpuclust|tests|cli|docs|docker|benchmarks)/[\w./-]*\w(?![\w*<{/-])"
    files = [file for file in re.findall(path, text) if "DATE" not in file]
    assert [file for file in files if not (ROOT / file).exists()] == []
    for dotted in re.findall(r"(?<![\w./-])gpuclust(?:\.\w+)+", text):
        pkgutil.resolve_name(dotted)


def test_what_is_said_of_the_gpu_is_backed_or_called_not_measured():
    results = list((ROOT / "benchmarks" / "results").glob("*h200*.json"))
    assert results or "not measured yet" in README
