"""Text of the project for its readers: docstrings, comments, messages and Markdown pages."""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

Text = tuple[int, str]
"""A line number and the text that starts there."""

ROOT = Path(__file__).parents[2]
CHANGELOG = ROOT / "CHANGELOG.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docker").glob("*.md")])
CODE_BLOCK = re.compile(r"^```[^`]*^```|^(?: {4}|\t)[^\s*-].*$", re.MULTILINE)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def python(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def prose(path: Path) -> Iterator[Text]:
    """Yield docstrings, messages of more than three words and comments, or a page without code."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield 1, CODE_BLOCK.sub(lambda block: "\n" * block.group().count("\n"), source)
        return
    docs, others = strings(path)
    yield from docs
    yield from ((line, text) for line, text in others if len(text.split()) > 3)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        british = token.type == tokenize.NAME and "neighbour" in token.string.lower()
        if token.type == tokenize.COMMENT or british:
            yield token.start[0], token.string.replace("_", " ")


def docstrings(path: Path) -> list[Text]:
    return strings(path)[0]


@functools.cache
def strings(path: Path) -> tuple[list[Text], list[Text]]:
    """Return the docstrings, then all other strings; fields of f-strings become ``{}``."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = [n.body[0].value for n in nodes if isinstance(n, kinds) and ast.get_docstring(n)]
    joined = [n for n in nodes if isinstance(n, ast.JoinedStr)]
    skip = {id(n) for n in [*docs, *(part for n in joined for part in n.values)]}
    whole = [n for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    others = [n for n in [*joined, *whole] if id(n) not in skip]
    return [(n.lineno, _text(n)) for n in docs], [(n.lineno, _text(n)) for n in others]


def _text(node: ast.expr) -> str:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in parts)
