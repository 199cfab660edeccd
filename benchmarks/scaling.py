"""Measure how time and memory of every method grow with n, and where memory ends.

    python benchmarks/scaling.py --data FILE.npz --out benchmarks/results/scaling-cpu-DATE
    python benchmarks/scaling.py --data FILE.npz --out ... --only kmeans umap --max-n 10000

FILE.npz holds real embeddings `X` and classes `y`.  Every method of the registry and the main
scores run on the CPU backend as in `gpuclust bench methods`: reducers on the embeddings as they
are, all others on their 50 principal components.  Larger n are the same samples again with a little
noise.  Every point is a fresh process: imports, loading, a warm-up and the labels to score are
outside the clock, and memory is the rise of VmHWM above that.  The load by other processes just
before a point is recorded; --quiet waits until they end.  Growth is fitted to processor seconds of
all cores, which other processes do not change.

OUT.json is written after every point, and a later run with --only adds to it; OUT.svg (time) and
OUT-memory.svg come last, show everything in OUT.json and need matplotlib.  A size that would not
fit in the free memory, or would take longer than --patience, is not run: the JSON gives the reason
under `stopped`.
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpuclust.bench import growth, inputs
from gpuclust.bench.results import known, provenance, write
from gpuclust.bench.runner import Process
from gpuclust.bench.work import Job
from gpuclust.device import machine
from gpuclust.errors import GpuclustError

SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
# Buffers may take this much less than the free memory: temporaries and other processes need some.
HEADROOM = 1.3
OTHER_GIB = 80  # a second machine for which the end of memory is computed
QUIET = 0.1  # share of the processors that other processes may take while a point waits
MARKERS = "osD^vP*X"


# ---- one subject --------------------------------------------------------------------------------


def obstacle(name: str, n: int, seconds: dict[int, float], patience: float) -> str | None:
    """Return the reason not to measure n samples; `seconds` are processor seconds by n."""
    c, p = growth.promise(name).bytes or (0, 1)
    needed, free = c * n**p, available()
    if HEADROOM * needed > free:
        return (
            f"{c} n^{p} bytes are {needed / 2**30:.1f} GiB; times {HEADROOM} they are more than "
            f"the {free / 2**30:.1f} GiB that are free"
        )
    expected = growth.expected(name, n, seconds)
    if expected is not None and expected > patience:
        return f"expected to take {expected:.0f} processor seconds, {patience:.0f} are allowed"
    return None


def available() -> int:
    """Read the bytes available to a new process."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])


def busy(seconds: float = 0.5) -> float:
    """Measure the share of all processors in use; by other processes, while ours wait."""

    def ticks() -> tuple[int, int]:
        parts = [int(one) for one in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        return sum(parts), parts[3] + parts[4]  # all, idle

    before = ticks()
    time.sleep(seconds)
    total, idle = (now - then for now, then in zip(ticks(), before, strict=True))
    return 1 - idle / max(total, 1)


def others(wait: float) -> float:
    """Wait at most `wait` seconds for a quiet machine; return the share still in use."""
    end = time.monotonic() + wait
    while (share := busy()) > QUIET and time.monotonic() < end:
        time.sleep(1)
    return share


def point(job: Job, patience: float, wait: float) -> dict[str, float]:
    """Measure one size in a fresh process.

    Returns
    -------
    dict
        ``seconds`` and ``cpu_seconds``, the best of up to five runs that begin within a second;
        ``peak_mib``, the rise of VmHWM; ``busy``, the load by other processes before.

    Raises
    ------
    GpuclustError
        When it fails, dies, or takes three times longer than allowed.
    """
    process, times = Process(job.implementation), list[float]()
    try:
        process.start(job)
        share = others(wait)
        process.limit = 3 * patience
        while not times or (len(times) < 5 and sum(times) < 1):
            times.append(process.run(0))
        rise = process.ask(peaks=True)["peak_mib"] - process.start_mib
        cpu = min(answer["cpu_seconds"] for answer in process.answers)
    finally:
        process.stop()
    return {"seconds": min(times), "cpu_seconds": cpu, "peak_mib": max(rise, 0.0), "busy": share}


def measure(
    name: str, data: str, args: argparse.Namespace, save: Callable[[dict[str, Any]], object]
) -> None:
    """Measure a subject at all its sizes and save the results so far after each."""
    points: dict[int, dict[str, float]] = {}
    stopped: dict[int, str] = {}
    d = inputs.read(data)[0].shape[1]
    for n in (n for n in SIZES if n <= args.max_n):
        why = obstacle(name, n, figures(points, "cpu_seconds"), args.patience)
        try:
            if not why:
                points[n] = point(Job("cpu", name, data, n), args.patience, args.quiet)
        except GpuclustError as error:
            why = str(error)
        if why:
            stopped[n] = why
        save(summary(name, d, points) | {"stopped": stopped})
        if why:
            return


def figures(points: dict[int, dict[str, float]], key: str) -> dict[int, float]:
    """Pick one figure of every size."""
    return {n: one[key] for n, one in points.items()}


def summary(name: str, d: int, points: dict[int, dict[str, float]]) -> dict[str, Any]:
    """Fit growth and the end of memory to the sizes measured so far."""
    cpu_seconds, peak_mib = figures(points, "cpu_seconds"), figures(points, "peak_mib")
    ends = {}
    for gib in (machine.facts()["memory_gib"], OTHER_GIB):
        end = growth.memory_end(name, d, peak_mib, gib)
        ends[f"{gib:g} GiB"] = end and end._asdict()
    source = provenance()
    return {
        "family": growth.family(name),
        "dimensions": d,
        **{key: figures(points, key) for key in ("seconds", "cpu_seconds", "peak_mib", "busy")},
        "exponent": growth.exponent(cpu_seconds),
        # Below one MiB it is memory that the allocator held before.
        "memory_exponent": growth.exponent({n: mib for n, mib in peak_mib.items() if mib >= 1}),
        "promised": growth.promise(name)._asdict(),
        "memory_ends_at": ends,
        **{key: source[key] for key in ("date", "commit", "dirty")},
    }


# ---- all subjects -------------------------------------------------------------------------------


def draw(results: dict[str, dict[str, Any]], key: str, label: str, path: Path) -> None:
    """Plot one figure of all subjects over n, a panel for each family, on logarithmic axes."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.fonttype"] = "none"  # text as text: a quarter of the size
    import matplotlib.pyplot as plt

    of = {"cpu_seconds": "exponent", "peak_mib": "memory_exponent"}[key]
    figure, panels = plt.subplots(1, 3, figsize=(14, 6), sharey=True)
    for axes, kind in zip(panels, ("reducers", "clusterers", "scores"), strict=True):
        names = [name for name in results if results[name]["family"] == kind]
        for i, name in enumerate(names):
            drawn = {int(n): value for n, value in results[name][key].items() if value > 0}
            grows = results[name][of]
            text = name if grows is None else f"{name}  n^{grows:.2f}"
            style = {"marker": MARKERS[i % len(MARKERS)], "markersize": 4, "label": text}
            axes.loglog(drawn.keys(), drawn.values(), **style)
        axes.set(xlabel="n", ylabel=label, title=kind)
        axes.grid(visible=True, alpha=0.3)
        if names:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), fontsize=8, frameon=False)
    facts = machine.facts()
    figure.suptitle(f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB")
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)


def table(results: dict[str, dict[str, Any]]) -> str:
    """Write the table of docs/bench.md, in Markdown."""
    gibs = list(next(iter(results.values()))["memory_ends_at"])
    header = ["work", "d", "cpu s at 10,000", "largest n", "cpu s", "s", "grows", "MiB", "grows"]
    lines = [[*header, *(f"{gib} end at n" for gib in gibs), "then"]]
    lines.append(["---"] * len(lines[0]))
    for name, found in results.items():
        keys = ("cpu_seconds", "seconds", "peak_mib")
        seconds, wall, peak = ({int(n): v for n, v in found[key].items()} for key in keys)
        last = max(seconds, default=0)
        powers = [found["exponent"], found["memory_exponent"]]
        time_power, peak_power = ("" if p is None else f"n^{p:.2f}" for p in powers)
        at = [f"{seconds[n]:.3g}" if n in seconds else "" for n in (10_000, last)]
        waited, held = (f"{wall[last]:.3g}", f"{peak[last]:.0f}") if last else ("", "")
        ends = [found["memory_ends_at"][gib] for gib in gibs]
        limits = [f"{end['n']:,}" if end else "" for end in ends]
        why = "; ".join(f"{int(n):,}: {text}" for n, text in found["stopped"].items())
        shown = [at[0], f"{last:,}", at[1], waited, time_power, held, peak_power]
        lines.append([name, str(found["dimensions"]), *shown, *limits, why])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def parse() -> argparse.Namespace:
    """Read the command line."""
    names = growth.subjects()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="path of all files, no suffix")
    # Without a name: draw and print again from OUT.json.
    parser.add_argument("--only", nargs="*", choices=names, default=names, metavar="NAME")
    parser.add_argument("--max-n", type=int, default=SIZES[-1])
    parser.add_argument(
        "--patience", type=float, default=240, help="processor seconds a run may take"
    )
    parser.add_argument("--quiet", type=float, default=0, help="seconds to wait for others")
    parser.add_argument("--note", default="", help="what else ran on the machine, for the JSON")
    return parser.parse_args()


def main() -> None:
    """Measure, write, draw."""
    args = parse()
    path = args.out.with_name(args.out.name + ".json")
    content = known(path)
    if args.only:
        content |= {**provenance(print), "note": args.note}
    results = content.setdefault("results", {})

    def save(name: str, found: dict[str, Any]) -> None:
        results[name] = found
        write(path, content)

    with tempfile.TemporaryDirectory() as folder:
        data = str(args.data)
        reduced = inputs.components(data, 50, Path(folder)) if args.only else data
        for name in args.only:
            source = data if growth.family(name) == "reducers" else reduced
            measure(name, source, args, functools.partial(save, name))
            print(name, json.dumps(results[name]["seconds"]), results[name]["exponent"], flush=True)
    print(table(results))
    for key, label, end in (
        ("cpu_seconds", "processor seconds", ".svg"),
        ("peak_mib", "MiB above the input", "-memory.svg"),
    ):
        draw(results, key, label, args.out.with_name(args.out.name + end))


if __name__ == "__main__":
    main()
