"""Show benchmark results: a table, a plot, and two files compared."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import BackendError, InputError

Result = Mapping[str, Any]


def table(result: Result) -> tuple[list[str], list[list[str]]]:
    """Return header and lines, one per piece of work and implementation."""
    figures = ["s", "spread", "slower", "agreement", "peak MiB", "of limit"]
    header = ["work", "n", "implementation", *figures]
    lines = []
    for one in result["results"]:
        work = [one["what"], str(one["n"] or "all")]
        for name, found in one.get("implementations", {}).items():
            lines.append([*work, name, *_figures(one, name, found)])
        if why := one.get("error", one.get("not_run")):
            lines.append([*work, "", "", "", "", why, "", ""])
    return header, lines


def _figures(one: Result, name: str, found: Result) -> list[str]:
    error = found.get("error")
    if "median" not in found:
        return ["", "", "", error or "", "", ""]
    agreement = [_agreement(*pair) for pair in one["agreement"].get(name, {}).items()]
    slower = one["speedup"].get(name)
    limit, peak = found.get("of_limit"), found.get("peak_mib")
    return [
        f"{found['median']:.4g}",
        f"{100 * found['spread']:.0f} %",
        "" if slower is None else f"{slower:.2f}x",
        error or ", ".join(agreement),
        "" if peak is None else f"{peak:.0f}",
        "" if limit is None else f"{100 * limit:.0f} %",
    ]


def _agreement(name: str, value: float) -> str:
    """Write an agreement: an index with 1 as its best, or the largest difference of scores."""
    return f"{value:.1g} apart" if name == "score" else f"{value:.3f}"


def plot(result: Result) -> bytes:
    """Draw seconds over n, a line per work and implementation; return an SVG file.

    Raises
    ------
    BackendError
        When matplotlib is not installed.
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
    for work, n, name, found in _measured(result):
        lines.setdefault(f"{work}, {name}", []).append((n, found["median"]))
    for label, points in lines.items():
        axes.loglog(*zip(*sorted(points), strict=True), marker="o", label=label)
    axes.set(xlabel="n", ylabel="seconds", title=result["host"]["cpu"])
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(fontsize=7)
    drawn = io.BytesIO()
    figure.savefig(drawn, bbox_inches="tight")
    plt.close(figure)
    return drawn.getvalue()


def pairs(a: Result, b: Result) -> tuple[list[str], list[list[str]]]:
    """Compare two results, work by work: a difference within the spread of both is none.

    Raises
    ------
    InputError
        When they have no work, size and implementation in common.
    """
    header = ["work", "n", "implementation", "A s", "B s", "B / A", ""]
    known = {(work, n, name): found for work, n, name, found in _measured(a)}
    lines = []
    for work, n, name, found in _measured(b):
        before = known.get((work, n, name))
        if before is None:
            continue
        ratio = found["median"] / before["median"]
        noise = max(found["spread"], before["spread"])
        word = "slower" if ratio > 1 else "faster"
        word = "within the spread" if abs(ratio - 1) <= noise else word
        seconds = [f"{before['median']:.4g}", f"{found['median']:.4g}"]
        lines.append([work, str(n), name, *seconds, f"{ratio:.2f}", word])
    if not lines:
        raise InputError("the two files have no work, size and implementation in common.")
    return header, lines


def _measured(result: Result) -> Iterator[tuple[str, int, str, Result]]:
    """Yield work, n, implementation and figures, without failures."""
    for one in result["results"]:
        for name, found in one.get("implementations", {}).items():
            if "median" in found:
                yield one["what"], one["n"], name, found
