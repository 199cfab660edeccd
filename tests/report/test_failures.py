"""Reasons of failed rows, each once with its counts."""

from gpuclust.report.failures import MOST, reasons


def row(message, encoder="raw", status="failed"):
    names = {"dataset": "dtd", "split": "test", "encoder": encoder, "preprocess": "own"}
    return names | {"status": status, "error": {"message": message}}


def test_each_reason_is_one_line_with_its_units_and_cells_the_most_frequent_first():
    rows = [
        row("rare"),
        *[row("often\nsecond line", name) for name in "aab"],
        row("x", status="ok"),
    ]
    assert reasons(rows) == ["often (2 units, 3 cells)", "rare (1 unit, 1 cell)"]
    assert reasons(rows, cells=False) == ["often (2 units)", "rare (1 unit)"]
    assert reasons([]) == []


def test_many_and_long_reasons_are_cut_short():
    lines = reasons([row(f"{i} {'long ' * 200}") for i in range(MOST + 5)])
    assert len(lines) == MOST + 1
    assert lines[-1] == "and 5 more reasons"
    assert max(map(len, lines)) < 450
