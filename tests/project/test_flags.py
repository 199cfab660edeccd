"""Every option named in a message, a docstring or a document exists where it is named."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gpuclust_cli import app
from texts import PAGES, ROOT, name, prose, python
from typer.main import get_command

FLAG = re.compile(r"(?<![\w-])(--[a-z][\w-]*)(?:[ =](-?\d+)\b)?")
SENTENCE = re.compile(r"(?<=[\w)`][.;!?])\s+(?=[A-Z`-])")
# Commands that run the code of a room: an option advised there must exist in each of them.
ROOMS = {
    "gpuclust/embeddings": ("embed", "run", "grid"),
    "gpuclust/encoders": ("embed", "run", "grid"),
    "gpuclust/datasets": ("embed", "run"),
    "gpuclust/cluster": ("grid",),
    "gpuclust/store": ("embed", "run", "grid"),
}
# Texts on scripts of benchmarks/: an option of any of them will do.
ABOUT_SCRIPTS = ("benchmarks/", "docs/bench.md", "docs/gpu.md")
# Options of other programs, by the word that starts their command line.
OTHERS = {
    "docker": "--target --rm --read-only --tmpfs --cap-drop --cap-add --build-arg --user --secret "
    "--shm-size --gpus --name --network",
    "docker/verify": "--all",
    "dask": "--scheduler-file --host --dashboard-address --nthreads --tls-ca-file --tls-cert "
    "--tls-key --port --protocol --memory-limit",
    "sbatch": "--nodes --ntasks-per-node --dependency --signal",
    "pip": "--no-deps --require-hashes --compile-bytecode",
    "ruff": "--check --fix",
    "pytest": "--durations",
    "git": "--always --dirty",
}
COMMAND = r"gpuclust ((?:(?:bench|datasets|preset) )?[a-z-]+)"
PROGRAM = re.compile(rf"(?<![\w/-])(?:{COMMAND}|(benchmarks/\w+\.py)|([\w/]+))")


def commands(group: Any, before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, command in group.commands.items():
        deeper = hasattr(command, "commands")
        found |= commands(command, f"{before}{key} ") if deeper else {before + key: command}
    return found


ALL = get_command(app)
COMMANDS = commands(ALL)
GLOBAL = {opt for param in ALL.params for opt in param.opts} | {"--help"}
SCRIPTS = python("benchmarks")


def options(command: str) -> dict[str, Any]:
    params = COMMANDS[command].params
    return {opt: param for param in params for opt in (*param.opts, *param.secondary_opts)}


@functools.cache
def parser_options(path: Path) -> set[str]:
    """Return the options of a script with an argparse parser."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    calls = [n for n in nodes if isinstance(n, ast.Call) and n.args]
    added = [n.args[0] for n in calls if getattr(n.func, "attr", "") == "add_argument"]
    return {str(n.value) for n in added if isinstance(n, ast.Constant)}


def program(before: str) -> str | None:
    """Return the last command, script or other program named in a text."""
    for command, script, other in reversed(PROGRAM.findall(before)):
        if command in COMMANDS or (ROOT / script).is_file() or other in OTHERS:
            return command or script or other
    return None


def meant(where: str) -> tuple[list[str], bool]:
    """Return the commands meant in a file, and True if an option must be in all of them."""
    room = "/".join(where.split("/")[:2])
    own = [key for key in COMMANDS if home(COMMANDS[key]) == where]
    return list(ROOMS.get(room, own or COMMANDS)), room in ROOMS


def home(command: Any) -> str:
    return f"cli/{command.callback.__module__.rpartition('.')[2]}.py"


def fault(flag: str, value: str | None, where: str, before: str) -> str | None:
    """Return the reason if `flag` is no option of the command named in `before`, or of `where`."""
    named = program(before)
    if named in COMMANDS:
        return wrong(flag, value, [named], every=True)
    if named is not None and named.startswith("benchmarks/"):
        return None if flag in parser_options(ROOT / named) else f"no option of {named}"
    if flag in OTHERS.get(named or "", " ".join(OTHERS.values())).split():
        return None
    if where.startswith(ABOUT_SCRIPTS) and any(flag in parser_options(one) for one in SCRIPTS):
        return None
    names, every = (list(COMMANDS), False) if named else meant(where)
    return wrong(flag, value, names, every=every)


def wrong(flag: str, value: str | None, names: list[str], *, every: bool) -> str | None:
    if flag in GLOBAL:
        return None
    found = {key: options(key)[flag] for key in names if flag in options(key)}
    if not found or (every and len(found) < len(names)):
        lacking = [key for key in names if key not in found]
        return f"no option of {'any command' if len(lacking) == len(COMMANDS) else lacking}"
    if value is not None and not any(accepts(param, int(value)) for param in found.values()):
        return f"an option that does not take {value}"
    return None


def accepts(param: Any, value: int) -> bool:
    limits = param if hasattr(param, "min") else param.type  # typer's own option, or click's
    least, most = getattr(limits, "min", None), getattr(limits, "max", None)
    return (least is None or value >= least) and (most is None or value <= most)


def faults(where: str, text: str) -> Iterator[str]:
    for sentence in SENTENCE.split(text):
        for match in FLAG.finditer(sentence):
            if why := fault(match[1], match[2], where, sentence[: match.start()]):
                said = " ".join(sentence.split())
                yield f"{where}: {match[0]} is {why}: {said[:120]}"


def paragraphs(path: Path) -> list[str]:
    """Return paragraphs of a page in one line each, and every line of its code blocks."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^ {4}\S.*$", text, flags=re.MULTILINE)
    text = re.sub(r"^ {4}\S.*$", "", text, flags=re.MULTILINE)
    parts = re.split(r"\n\s*\n|\n(?=[-|] )", text)
    return [*"\n".join([*fenced, *indented]).splitlines(), *(" ".join(p.split()) for p in parts)]


@pytest.mark.parametrize("path", python("gpuclust", "cli", "benchmarks"), ids=name)
def test_options_named_in_the_code_exist(path):
    found = [text for _, said in prose(path) for text in faults(name(path), " ".join(said.split()))]
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_options_named_in_the_documents_exist(path):
    found = [text for part in paragraphs(path) for text in faults(name(path), part)]
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize("path", ["Makefile", "docker/slurm.sh", "docker/verify"])
def test_options_named_in_the_comments_of_scripts_exist(path):
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    comments = [line for line in lines if re.match(r"\s*#(?!SBATCH)", line)]
    found = [text for line in comments for text in faults(path, line)]
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize(
    ("where", "text", "named"),
    [
        ("gpuclust/embeddings/inference.py", "Try --workers 0.", "--workers 0"),
        ("gpuclust/embeddings/inference.py", "Use fewer --workers.", "--workers"),
        ("README.md", "Try --workers 0.", "--workers 0"),
        ("README.md", "`gpuclust run --workers 2` is fast.", "--workers 2"),
        ("README.md", "Try --wrokers 2.", "--wrokers 2"),
        ("cli/parity.py", "Run it again with --retry-failed.", "--retry-failed"),
        ("benchmarks/gpu.py", "Give it with --embedings.", "--embedings"),
    ],
)
def test_an_option_that_is_not_there_is_found(where, text, named):
    (found,) = faults(where, text)
    assert f"{named} is " in found


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("gpuclust/embeddings/inference.py", "Try --loaders 0, or a smaller --batch-size."),
        ("gpuclust/embeddings/files.py", "`gpuclust embed ... --force` makes it again."),
        ("README.md", "docker run --rm gpuclust:cpu grid g.toml --scheduler cuda"),
        ("README.md", "gpuclust grid grid.toml --scheduler local --workers 2"),
    ],
)
def test_an_option_that_is_there_passes(where, text):
    assert list(faults(where, text)) == []
