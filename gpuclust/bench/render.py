"""Write benchmarks for people: tables, a plot, and two files side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import BackendError, InputError

Result = Mapping[str, Any]


def table(result: Result) -> tuple[list[str], list[list[str]]]:
    """One line per piece of work and side: seconds, spread, ratio, agreement, memory, limit."""
    header = [
        "work",
        "n",
        "side",
        "s",
        "spread",
        "slower",
        "agreement",
        "peak MiB",
        "J",
        "of limit",
    ]
    lines = []
    for one in result["results"]:
        for name, side in one.get("sides", {}).items():
            lines.append([one["what"], str(one["n"]), name, *_side(one, name, side)])
        if "error" in one:
            lines.append([one["what"], str(one["n"]), "", "", "", "", one["error"], "", "", ""])
    return header, lines


def _side(one: Result, name: str, side: Result) -> list[str]:
    agreement = one["agreement"].get(name, {})
    told = ", ".join(_told(*pair) for pair in agreement.items())
    slower = one["speedup"].get(name)
    return [
        f"{side['median']:.4g}",
        f"{100 * side['spread']:.0f} %",
        "" if slower is None else f"{slower:.2f}x",
        told,
        f"{side['peak_mib']:.0f}",
        "" if side["joules"] is None else f"{side['joules']:.0f}",
        "" if side.get("of_limit") is None else f"{100 * side['of_limit']:.0f} %",
    ]


def _told(name: str, value: float) -> str:
    """Write an agreement: 1 is the best, but scores are told by how far they are apart."""
    return f"{value:.1g} apart" if name == "score" else f"{value:.3f}"


def plot(result: Result, path: Path) -> None:
    """Draw seconds over n, a line per work and side, as an SVG file.

    Raises
    ------
    BackendError
        Where matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        message = 'plots need matplotlib. Run pip install "gpuclust[plots]".'
        raise BackendError(message) from error
    mpl.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 5))
    lines: dict[str, list[tuple[int, float]]] = {}
    for one in result["results"]:
        for name, side in one.get("sides", {}).items():
            lines.setdefault(f"{one['what']}, {name}", []).append((one["n"], side["median"]))
    for label, points in lines.items():
        axes.loglog(*zip(*sorted(points), strict=True), marker="o", label=label)
    axes.set(xlabel="n", ylabel="seconds", title=result["host"]["cpu"])
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(fontsize=7)
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)


def side_by_side(a: Result, b: Result) -> tuple[list[str], list[list[str]]]:
    """Compare two files of results, work by work.

    The last column judges by the spread of both: a difference within it is none.

    Raises
    ------
    InputError
        When the files have no work in common.
    """
    header = ["work", "n", "side", "A s", "B s", "B / A", ""]
    lines = list(_pairs(a, b))
    if not lines:
        raise InputError("the two files have no work, size and side in common.")
    return header, lines


def _pairs(a: Result, b: Result) -> Iterator[list[str]]:
    known = {(one["what"], one["n"]): one.get("sides", {}) for one in a["results"]}
    for one in b["results"]:
        for name, side in one.get("sides", {}).items():
            before = known.get((one["what"], one["n"]), {}).get(name)
            if before is None:
                continue
            ratio = side["median"] / before["median"]
            noise = max(side["spread"], before["spread"])
            word = "within the spread" if abs(ratio - 1) <= noise else ""
            word = word or ("slower" if ratio > 1 else "faster")
            seconds = [f"{before['median']:.4g}", f"{side['median']:.4g}"]
            yield [one["what"], str(one["n"]), name, *seconds, f"{ratio:.2f}", word]
