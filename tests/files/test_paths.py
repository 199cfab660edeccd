from pathlib import Path

import pytest

from gpuclust.errors import InputError
from gpuclust.files.paths import brief, expand, folder_above


def test_a_tilde_is_the_home_folder_at_the_start_only(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand("~/results") == tmp_path / "results"
    assert expand("~") == tmp_path
    assert expand("results/~") == Path("results/~")
    assert expand(Path("~/a b [c] %d")) == tmp_path / "a b [c] %d"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "empty"),
        ("~nosuchuser/x", "no such user"),
        ("a" * 300, "too long"),
        ("not/there/" + "é" * 128, "too long"),
        ("x/" * 3000, "File name too long"),
        ("a\0b", "null byte"),
    ],
)
def test_a_path_that_no_file_can_have_is_refused_by_a_sentence(path, said):
    with pytest.raises(InputError, match=said) as caught:
        expand(path)
    assert len(str(caught.value)) < 400


def test_a_loop_of_links_is_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(InputError, match="symbolic links"):
        expand(tmp_path / "a" / "rows")


def test_a_path_that_does_not_exist_yet_is_accepted(tmp_path):
    assert expand(tmp_path / "new" / "folder") == tmp_path / "new" / "folder"
    assert folder_above(tmp_path / "new" / "folder") == tmp_path


def test_a_long_path_is_shown_with_its_beginning_and_its_end():
    assert brief("s" + "x" * 500 + "e").startswith("sx")
    assert brief("s" + "x" * 500 + "e").endswith("xe")
    assert brief("red\x1b") == "red\\x1b"
