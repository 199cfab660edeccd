"""Tables of docs/encoders.md, made from the registry.

``python tests/encoders/encoder_tables.py`` writes them into the page.
"""

import re
from pathlib import Path

from gpuclust.encoders.catalogue.today import TODAY
from gpuclust.encoders.entry import EncoderEntry
from gpuclust.encoders.table import ENCODERS

PAGE = Path(__file__).parents[2] / "docs" / "encoders.md"


def groups() -> dict[str, list[str]]:
    """Return the names of the encoders of each table, in the order of the registry."""
    study = [name for name, entry in ENCODERS.items() if entry.study]
    named = {*study, *TODAY}
    return {
        "study": study,
        "today": list(TODAY),
        "more": [name for name in ENCODERS if name not in named],
    }


def feature_table(names: list[str]) -> list[str]:
    """Return a table on the feature, the licence and the source of the weights."""
    lines = ["| name | network | feature | d | licence | terms | loaded as |", "| --- " * 7 + "|"]
    for name in names:
        entry = ENCODERS[name]
        cells = (
            f"`{entry.template(name)}`",
            entry.architecture,
            entry.pooling,
            f"{entry.dimension}" if entry.dimension else "varies",
            entry.licence,
            {True: "accept", False: "", None: "varies"}[entry.gated],
            loaded(entry),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def loaded(entry: EncoderEntry) -> str:
    """Return the source of the weights in a few words."""
    if entry.stands_for:
        return f"`{entry.stands_for}`"
    if not entry.released:
        return "never released"
    return "file of the authors" if entry.weights else ""


def label_table(names: list[str]) -> list[str]:
    """Return a table on pretraining, one line for all encoders with the same facts."""
    lines = ["| encoders | pretraining | family | data | label information |", "| --- " * 5 + "|"]
    same: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        entry = ENCODERS[name]
        facts = (entry.pretraining, entry.family, entry.data, entry.labels)
        same.setdefault(facts, []).append(f"`{entry.template(name)}`")
    lines += [f"| {', '.join(names)} | {' | '.join(facts)} |" for facts, names in same.items()]
    return lines


def filled(text: str) -> str:
    """Return the page with the tables of today's registry."""
    for group, names in groups().items():
        tables = {group: feature_table(names), f"{group} labels": label_table(names)}
        for table, lines in tables.items():
            made = "\n".join([f"<!-- table: {table} -->", *lines, "<!-- end of table -->"])
            pattern = rf"<!-- table: {table} -->\n.*?<!-- end of table -->"
            text, count = re.subn(pattern, lambda _, made=made: made, text, flags=re.DOTALL)
            assert count == 1, table
    return text


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
