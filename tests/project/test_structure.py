"""Layout of the code: few modules at the top, and imports in one direction."""

from __future__ import annotations

import ast
import functools
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from texts import ROOT, python

Graph = dict[str, set[str]]
MOST = 10  # modules directly in gpuclust/, __init__.py included
# Installed name -> folder: cli/ is imported as gpuclust_cli.
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = PROJECT["tool"]["setuptools"]["package-dir"]


def module(path: Path) -> str:
    """Return the dotted name of a file under the root, without ``__init__``."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(path): path for path in python("gpuclust", "cli", "benchmarks")}


def statements(node: ast.AST, *, functions: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield import statements; with `functions` also the ones inside functions.

    Imports under ``if TYPE_CHECKING:`` never run and are left out.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        elif functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from statements(child, functions=functions)


def targets(statement: ast.Import | ast.ImportFrom, name: str) -> Iterator[str]:
    """Yield the modules of this project imported by a statement in module `name`."""
    if isinstance(statement, ast.Import):
        yield from filter(None, (known(alias.name, name) for alias in statement.names))
        return
    base = statement.module or ""
    if statement.level:
        package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
        parents = package.split(".")[: len(package.split(".")) - statement.level + 1]
        base = ".".join([*parents, *filter(None, [base])])
    for alias in statement.names:
        found = known(f"{base}.{alias.name}", name) or known(base, name)
        if found is not None:
            yield found


def known(dotted: str, importer: str) -> str | None:
    """Return the module of this project with a name; scripts import their neighbors bare."""
    first, _, rest = dotted.partition(".")
    folder = FOLDERS.get(first, first).replace("/", ".")
    dotted = f"{folder}.{rest}" if rest else folder
    bare = f"benchmarks.{dotted}" if importer.startswith("benchmarks") else dotted
    return next((one for one in (dotted, bare) if one in MODULES), None)


@functools.cache
def imports(*, functions: bool) -> Graph:
    graph: Graph = {}
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = statements(tree, functions=functions)
        graph[name] = {target for one in found for target in targets(one, name)} - {name}
    if functions:  # the package offers its parts lazily, and they ask it for the version
        graph["gpuclust"] = set()
    return graph


def room(name: str) -> str:
    """Return the package of a module, or the module itself at the top of gpuclust/."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "gpuclust" else parts[0]


def rooms(graph: Graph) -> Graph:
    found: Graph = {}
    for name, others in graph.items():
        found.setdefault(room(name), set()).update(map(room, others))
    return {name: others - {name, "gpuclust"} for name, others in found.items()}


def circle(graph: Graph) -> str:
    """Return one circle of a graph as text; empty without one."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " <- ".join(error.args[1])
    return ""


def test_few_modules_lie_at_the_top():
    found = [path.name for path in (ROOT / "gpuclust").glob("*.py")]
    assert len(found) <= MOST, sorted(found)


def test_no_modules_import_one_another_in_a_circle():
    assert circle(imports(functions=False)) == ""


def test_no_packages_import_one_another_in_a_circle():
    assert circle(rooms(imports(functions=False))) == ""


def test_no_packages_import_one_another_in_a_circle_when_functions_run():
    assert circle(rooms(imports(functions=True))) == ""


def test_no_modules_import_one_another_in_a_circle_when_functions_run():
    assert circle(imports(functions=True)) == ""


def test_the_library_imports_neither_the_command_line_nor_the_benchmarks():
    for name, others in imports(functions=True).items():
        if name.startswith("gpuclust."):
            assert not [one for one in others if not one.startswith("gpuclust")], name


def test_the_device_package_imports_only_itself_and_the_errors():
    for name, others in imports(functions=True).items():
        if name.startswith("gpuclust.device"):
            own = {one for one in others if one.startswith("gpuclust.device")}
            assert others - own <= {"gpuclust.errors"}, name


@pytest.mark.parametrize(
    ("graph", "found"),
    [({"a": {"b"}, "b": {"a"}}, {"a", "b"}), ({"a": {"b"}, "b": {"c"}, "c": set()}, set())],
)
def test_a_circle_is_found(graph, found):
    assert set(filter(None, circle(graph).split(" <- "))) == found


def test_imports_are_found_with_and_without_functions():
    early, late = imports(functions=False), imports(functions=True)
    assert "gpuclust.errors" in early["gpuclust.events"] | early["gpuclust.device.memory"]
    assert "cli.console" in early["cli.main"]
    assert "gpuclust.doctor" in late["cli.info"] - early["cli.info"]
    assert "gpuclust.cell" not in early["gpuclust.events"]  # for type checkers only


def test_an_installation_has_every_package():
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in python("gpuclust")
        if path.name == "__init__.py"
    }
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    assert listed == folders | set(FOLDERS)
