"""Every option in a message of the library has an argument of Python, and both exist."""

import inspect
import re

from gpuclust_cli import app
from texts import ROOT, docstrings, python, strings
from typer.main import get_command

import gpuclust
from gpuclust.api.words import ARGUMENTS, in_python

# Rooms whose messages never reach Python's functions: they serve commands of their own.
COMMANDS_ONLY = ("api", "bench", "cluster", "doctor.py", "report")
# Options of other programs, and of commands that Python has no function for.
OF_OTHERS = {"cap-add", "shm-size", "verify"}


def test_every_option_is_one_and_becomes_an_argument_of_a_function():
    options = {
        opt
        for command in get_command(app).commands.values()
        for param in command.params
        for opt in param.opts
    }
    assert {f"--{name}" for name in ARGUMENTS} <= options
    functions = (gpuclust.embed, gpuclust.run, gpuclust.run_grid)
    arguments = {name for one in functions for name in inspect.signature(one).parameters}
    assert {name.partition("=")[0] for name in ARGUMENTS.values()} <= arguments


def test_no_message_of_the_library_names_an_option_that_python_does_not_know():
    found = []
    for path in python("gpuclust"):
        place = path.relative_to(ROOT / "gpuclust").parts[0]
        if place in COMMANDS_ONLY:
            continue
        docs = {text for _, text in docstrings(path)}
        for line, text in strings(path)[1]:
            if text in docs:
                continue
            bare = re.sub(r"`gpuclust [^`]*`|gpuclust run --\w+", "", in_python(text))
            left = set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", bare)) - OF_OTHERS
            found += [f"{path.name}:{line}: --{name}" for name in sorted(left)]
    assert found == []
