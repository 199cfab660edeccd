"""Messages name options of the command line, and arguments where Python asked."""

import io
import warnings

import pytest

from gpuclust.api.watching import Line, Notes, watched
from gpuclust.api.words import in_python
from gpuclust.errors import GpuclustNote, InputError


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Give --k (k = [..] in a grid file).", "Give k (k = [..] in a grid file)."),
        ("--device gpu is not available", 'device="gpu" is not available'),
        ("use --loaders 0 or --skip-bad", "use loaders=0 or skip_bad=True"),
        ("fewer --loaders.", "fewer loaders."),
        ("--retry-failed tries it again", 'redo="failed" tries it again'),
        ("`gpuclust embed x raw --force` does it", "`gpuclust embed x raw --force` does it"),
        (
            "choose another --root, and run the same command again",
            "choose another root, and run the same call again",
        ),
        ("docker: --shm-size=8g; a -- b; --k-means", "docker: --shm-size=8g; a -- b; --k-means"),
    ],
)
def test_options_become_arguments_outside_of_commands(said, expected):
    assert in_python(said) == expected


def test_notes_are_warnings_of_the_calling_line_after_the_work_and_before_its_error():
    def function():
        with watched(progress=False) as notes:
            notes.note("2 images skipped by --skip-bad")
            notes.note("2 images skipped by --skip-bad")
            notes.note_quietly("took X")
            raise InputError("Give --k.")

    with pytest.warns(GpuclustNote) as caught, pytest.raises(InputError, match=r"Give k\."):
        function()
    assert [str(one.message) for one in caught] == ["2 images skipped by skip_bad=True"]
    assert caught[0].filename == __file__


def test_notes_turned_into_errors_come_after_the_work():
    done = []

    def function():
        with watched(progress=False) as notes:
            notes.note("something")
            done.append(1)

    with warnings.catch_warnings():
        warnings.simplefilter("error", GpuclustNote)
        with pytest.raises(GpuclustNote):
            function()
    assert done == [1]


def test_the_line_of_progress_is_as_wide_as_a_terminal_and_ends(capsys):
    file = io.StringIO()
    line = Line(file)
    notes = Notes(line)
    for done in range(3):
        notes.tell({"event": "embedding", "unit": "x" * 300, "done": done, "total": 3})
    notes.tell({"event": "done", "unit": "photos x raw"})
    assert all(len(part) <= 80 for part in file.getvalue().split("\r"))
    assert file.getvalue().endswith("\n")
    assert capsys.readouterr() == ("", "")
