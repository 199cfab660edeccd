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
    lines = reasons([row(f"{i} {'long ' * 400}") for i in range(MOST + 5)])
    assert len(lines) == MOST + 1
    assert lines[-1] == "and 5 more reasons"
    assert 900 < max(map(len, lines)) < 1050


def test_the_first_entries_of_a_list_are_shown():
    """Bad images are listed below the sentence."""
    entries = [f"  /p/{i}.jpg: it is cut off" for i in range(5)]
    (line,) = reasons([row("\n".join(["5 of 9 images cannot be decoded:", *entries]))], cells=False)
    shown = "; ".join(entry.strip() for entry in entries[:3])
    assert line == f"5 of 9 images cannot be decoded: {shown}; ... (1 unit)"
    (line,) = reasons([row("\n".join(["1 image:", entries[0]]))], cells=False)
    assert line == "1 image: /p/0.jpg: it is cut off (1 unit)"
