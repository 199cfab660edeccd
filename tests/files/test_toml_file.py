"""Grid files as editors, other programs and mistakes leave them."""

import codecs
import os
from pathlib import Path

import pytest

from gpuclust.errors import InputError
from gpuclust.files import toml_file
from gpuclust.files.toml_file import read_toml
from gpuclust.grid import grid_file
from gpuclust.grid.grid_file import load_grid

GRID = 'dataset = ["digits"]\nencoder = "raw"\nclusterer = ["kmeans"]  # Zürich\n'
WITHOUT = GRID.replace("Zürich", "Zurich")


def write(tmp_path, content):
    path = tmp_path / "grid.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        GRID,
        codecs.BOM_UTF8 + GRID.encode(),
        GRID.replace("\n", "\r\n"),
        codecs.BOM_UTF8 + GRID.replace("\n", "\r\n").encode(),
        GRID.rstrip(),
        "\n\n  " + GRID,
    ],
)
def test_a_grid_file_of_any_editor_is_read(tmp_path, content):
    (unit,) = load_grid(write(tmp_path, content))
    assert len(unit.cells) == 1


HOSTILE = {
    "utf-16 with a mark": (WITHOUT.encode("utf-16"), "written in UTF-16. Save it as UTF-8"),
    "utf-16 without a mark": (WITHOUT.encode("utf-16-le"), "null bytes"),
    "utf-32": (WITHOUT.encode("utf-32"), "written in UTF-32"),
    "latin-1": (GRID.encode("latin-1"), r"line 3 .* not in UTF-8 \(byte 0xfc\)"),
    "two byte order marks": (codecs.BOM_UTF8 * 2 + GRID.encode(), "not a TOML file"),
    "a null byte": (GRID.encode() + b"\0" * 10, "null bytes"),
    "binary": (bytes(range(256)) * 8, "null bytes"),
    "JSON": ('{"dataset": ["digits"]}', "looks like JSON"),
    "a list in JSON": ('[{"dataset": "digits"}]', "looks like JSON"),
    "YAML": ("dataset:\n  - digits\n", "lines such as dataset"),
    "curly quotes": ("dataset = “digits”\n", "curly quotes"),
    "no quotes": ("dataset = digits\n", "not a TOML file"),
    "one key twice": (GRID + "encoder = 'raw'\n", "not a TOML file"),
    "a table": ("[grid]\n" + GRID, "unknown key .* 'grid'"),
    "a table for a list": (GRID + "[seed]\nfirst = 1\n", "seed in .* takes whole numbers"),
    "lists in lists": (GRID + "k = [[5]]\n", r"k in .* takes whole numbers; got \[5\]"),
    "5,000 lists in lists": (f"k = {'[' * 5000}{']' * 5000}\n", "nests its lists too deeply"),
    "a number of 5,000 digits": (GRID + f"k = {'9' * 5000}\n", "not a TOML file"),
    "a float": (GRID + "k = 5.0\n", "takes whole numbers; got 5.0"),
    "infinity": (GRID + "k = inf\n", "takes whole numbers; got inf"),
    "not a number": (GRID + "seed = [0, nan]\n", "takes whole numbers; got nan"),
    "True": (GRID + "seed = true\n", "takes whole numbers; got True"),
    "a date": (GRID + "k = 2026-11-28\n", "takes whole numbers"),
    "a text": (GRID + 'k = "5"\n', "takes whole numbers; got '5'"),
    "zero clusters": (GRID + "k = 0\n", "k must be a whole number of at least 1"),
    "a negative seed": (GRID + "seed = -1\n", "seed must be a whole number from 0"),
    "a seed of 33 bits": (GRID + "seed = 4294967296\n", "from 0 to 4294967295"),
    "an entry twice": (GRID + "k = [5, 10, 5]\n", "k in .* lists 5 twice"),
    "an empty list": (GRID + "k = []\n", "empty list"),
    "a misspelled key": (GRID + "seeds = 1\n", "Did you mean 'seed'"),
    "a number for a name": (GRID.replace('"raw"', "1"), "encoder in .* takes texts; got 1"),
    "a list for a name": (GRID.replace('"raw"', '[["raw"]]'), "encoder in .* takes texts"),
    "a billion cells": (GRID + f"k = {list(range(2, 1500))}\nseed = {list(range(999))}\n", "most"),
    "an infinite height": (
        GRID.replace("kmeans", "agglomerative(distance_threshold=1e999)"),
        "fin",
    ),
    "nothing": ("", "names no dataset"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_grid_file_is_refused_by_a_sentence(tmp_path, name):
    content, said = HOSTILE[name]
    with pytest.raises(InputError, match=said) as error:
        load_grid(write(tmp_path, content))
    assert len(str(error.value)) < 600


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name, said in [(".", "is a folder"), ("fifo", "no regular file"), ("no", "No such file")]:
        with pytest.raises(InputError, match=said):
            read_toml(tmp_path / name)
    with pytest.raises(InputError, match="no regular file"):
        read_toml("/dev/zero")
    with pytest.raises(InputError, match="null byte"):
        read_toml("a\0b")


def test_a_large_file_is_refused_without_reading_it(tmp_path, monkeypatch):
    with (tmp_path / "large.toml").open("wb") as file:
        file.truncate(100_000_000)
    monkeypatch.setattr(toml_file.Path, "read_bytes", lambda path: pytest.fail("it was read"))
    with pytest.raises(InputError, match="has 100 MB; a grid file has at most 10"):
        read_toml(tmp_path / "large.toml")


def test_a_million_cells_are_the_limit():
    assert grid_file.MOST_CELLS == 1_000_000


def test_no_regular_file_is_one_sentence():
    with pytest.raises(InputError, match=r"^/dev/null is no regular file\. Give the path"):
        read_toml(Path("/dev/null"))
