"""Plain words: first lines of docstrings and the project's private vocabulary.

List the offences of one folder with
``python -m pytest -q tests/project/test_language.py -k gpuclust/grid``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from texts import CHANGELOG, PAGES, docstrings, name, prose, python

MOST = 0.03  # share of first lines with a relative word
RELATIVE = re.compile(r"\b(what|which|who|whose|that|those)\b", re.IGNORECASE)

# Private word (a pattern of whole words) -> the words of the field.
HOUSE = {
    "covers?": "wrapper; includes",
    "sides?": "backend; implementation; machine",
    "forms?": "implementation",
    "peers?": "baseline",
    "spaces?": "representation",
    "cross(es|ed|ings?)?": "device-to-host copy; pass between",
    "gaps?": "difference",
    "wide": "float64; high-dimensional",
    "codes": "label codes; integer labels",
    "told|tells?|telling": "report; say; message",
    "boards?|lanes?|guests?": "the name of the thing",
    "bars?": "limit; threshold; the | character",
    "floors": "lower bounds; layers",
    "engines?": "backend",
    "left": "remaining; missing",
    "house": "project; layout",
    r"neighbour\w*": "neighbor",
    r"data\s+sets?": "dataset",
    "side-cars?": "metadata file; sidecar",
    "whatever|as it were|nobody|somebody": "the thing itself",
}
WORDS = "|".join(rf"\b(?P<w{i}>{word})\b" for i, word in enumerate(HOUSE))
HOUSE_WORD = re.compile(WORDS, re.IGNORECASE)
# Technical uses of the same words, one pattern a line; removed before the search.
LEGITIMATE = r"""
(exit|error|status|return|label|category|source) codes
(disk|free|address|white|colou?r|vector|euclidean|parameter|search) spaces?|no space left on device
(closed|expanded|condensed|quadratic|normal|short|long|html) forms?
(shorter|longer) side|side by side|side effects?|(left|right)[- ]hand side
(spectral|eigenvalue) gaps?|gap statistic
wide resnet|(process|machine|system)-wide
cross[- ](entropy|validation|validated|products?|terms?|platform|tabulation)
(simd|vector) lanes?|(error|progress) bars?|(docker|container) engines?
left (and|or) right|left to right|left (child|column|neighbor|singular|out|unchanged)
(top|upper|bottom|lower) left|(from|on|to) the left
""".strip().replace("\n", "|")
LEGITIMATE_USE = re.compile(rf"\b({LEGITIMATE})\b", re.IGNORECASE)
# Code is not prose: spans in backticks, flags, link targets, paths, doctests, parameter names.
CODE = re.compile(
    r"``[^`]+``|`[^`]+`|--[\w-]+|(?<=\])\([^)]*\)|https?://\S+|\S*\w/\w\S*|\b\w+\.\w+\b|\b\w+=\S+"
    r"|^\s*(?:>>>|\.\.\.) .*$|^\s*\*{0,2}\w+(?:, \*{0,2}\w+)* : ",
    re.MULTILINE,
)
LIBRARY = ("gpuclust", "cli", "benchmarks")
PYTHON = [p for p in python(*LIBRARY, "tests", "docker") if p != Path(__file__)]  # lists the words


def blank(match: re.Match[str]) -> str:
    """Return a stand-in with the same number of lines."""
    return "`" + "\n" * match.group().count("\n") + "`"


@pytest.mark.parametrize("path", [*PYTHON, *PAGES, CHANGELOG], ids=name)
def test_text_uses_the_words_of_the_field(path):
    found = []
    for line, written in prose(path):
        bare = LEGITIMATE_USE.sub(blank, CODE.sub(blank, written))
        for match in HOUSE_WORD.finditer(bare):
            instead = next(say for i, say in enumerate(HOUSE.values()) if match[f"w{i}"])
            at = line + bare.count("\n", 0, match.start())
            said = " ".join(bare[max(0, match.start() - 40) : match.end() + 30].split())
            found.append(f"{name(path)}:{at}: {said}\n    not '{match[0]}' but: {instead}")
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize("folders", [LIBRARY, ("tests",)], ids="-".join)
def test_first_lines_of_docstrings_start_with_a_verb_or_a_noun(folders):
    lines = [
        (f"{name(path)}:{line}: ", written.strip().splitlines()[0])
        for path in PYTHON
        if name(path).split("/")[0] in folders
        for line, written in docstrings(path)
    ]
    found = [(where, first) for where, first in lines if RELATIVE.search(first)]
    begins = [first for _, first in found if RELATIVE.match(first)]
    if begins or len(found) > MOST * len(lines):
        head = f"{len(found)} of {len(lines)} first lines, {len(begins)} begin with the word:\n"
        pytest.fail(head + "\n".join(map("".join, found)), pytrace=False)
