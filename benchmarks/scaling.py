"""How do time and memory of every method grow with n, and where does memory end?

    python benchmarks/scaling.py --data FILE.npz --out benchmarks/results/scaling-cpu-DATE
    python benchmarks/scaling.py --data FILE.npz --out ... --only kmeans umap --max-n 10000

FILE.npz holds real embeddings `X` and classes `y`.  Subjects are the tables of `gpuclust.methods.table`
and the main scores, as `gpuclust bench methods` runs them on the CPU engine: reducers on the
embeddings as they are, everything else on their 50 principal components.  Larger n are the same
samples again with a little noise.  Every point is a fresh process: imports, loading, a warm-up and
the labels to be scored are outside the clock, and memory is how far VmHWM rises above that.  What
others took of the processors just before is recorded; --quiet waits for them to be done.  Growth is
that of the processor seconds, all cores added up: what others took is not in them.

OUT.json is written after every point, so that a killed run loses nothing, and a later run with
--only adds to it; OUT.svg (time) and OUT-memory.svg come last, show all that OUT.json holds and
need matplotlib.  A size that would not fit in the free memory, or that would take longer than
--patience, is not run: the JSON says why under `stopped`.
"""

import argparse
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from kernels import embeddings, pca50

from gpuclust.bench import growth
from gpuclust.bench.runner import Side
from gpuclust.bench.work import Job
from gpuclust.device import machine
from gpuclust.errors import GpuclustError

Save = Callable[[dict[str, Any]], None]
SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
# Temporaries and the rest of the machine: buffers may take so much less than what is free.
HEADROOM = 1.3
OTHER_GIB = 80  # the other machine for which the end of memory is told
QUIET = 0.1  # of the processors: what others may take while a point waits for them
MARKERS = "osD^vP*X"


def enlarged(X: np.ndarray, n: int) -> np.ndarray:
    """Return n samples: the real ones, then theirs moved by a tenth of each dimension's spread."""
    if n <= len(X):
        return X[:n]
    noise = np.random.default_rng(0).normal(size=(n - len(X), X.shape[1]))
    more = np.resize(X, noise.shape) + 0.1 * X.std(axis=0) * noise
    return np.concatenate([X, more]).astype(X.dtype)


# ---- one subject --------------------------------------------------------------------------------


def obstacle(name: str, n: int, seconds: dict[int, float], patience: float) -> str | None:
    """Say why n samples cannot be measured; None when they can.  Seconds are of the processors."""
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
    """Read the bytes that are free for a new process."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])


def busy(seconds: float = 0.5) -> float:
    """Measure the share of all processors that is taken; by others, while our processes wait."""

    def ticks() -> tuple[int, int]:
        parts = [int(one) for one in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        return sum(parts), parts[3] + parts[4]  # all, idle

    before = ticks()
    time.sleep(seconds)
    total, idle = (now - then for now, then in zip(ticks(), before, strict=True))
    return 1 - idle / max(total, 1)


def others(wait: float) -> float:
    """Wait at most so long for a quiet machine and return what others take of it."""
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
        ``peak_mib``, how far they raised VmHWM; ``busy``, what others took of the machine before.

    Raises
    ------
    GpuclustError
        When it fails, dies, or is killed because it runs three times longer than allowed.
    """
    side, times = Side(job), []
    try:
        side.ready()
        share = others(wait)
        alarm = threading.Timer(3 * patience, side.kill)
        alarm.start()
        try:
            while not times or (len(times) < 5 and sum(times) < 1):
                times.append(side.run(0))
        finally:
            alarm.cancel()
        rise = side.end()["peak_mib"] - side.start_mib
        cpu = min(answer["cpu_seconds"] for answer in side.answers)
        rise = max(rise, 0.0)
        return {"seconds": min(times), "cpu_seconds": cpu, "peak_mib": rise, "busy": share}
    finally:
        side.stop()


def values(points: dict[int, dict[str, float]], key: str) -> dict[int, float]:
    """Pick one figure of every size."""
    return {n: point[key] for n, point in points.items()}


def measure(name: str, data: Path, args: argparse.Namespace, save: Save) -> None:
    """Measure a subject at all its sizes and save what is known after each."""
    points: dict[int, dict[str, float]] = {}
    stopped: dict[int, str] = {}
    d = embeddings(data)[0].shape[1]
    for n in (n for n in SIZES if n <= args.max_n):
        why = obstacle(name, n, values(points, "cpu_seconds"), args.patience)
        try:
            if not why:
                points[n] = point(Job("cpu", name, str(data), n), args.patience, args.quiet)
        except GpuclustError as error:
            why = str(error)
        if why:
            stopped[n] = why
        save(summary(name, d, points) | {"stopped": stopped})
        if why:
            return


def summary(name: str, d: int, points: dict[int, dict[str, float]]) -> dict[str, Any]:
    """Say what the sizes measured so far tell."""
    cpu_seconds, peak_mib = values(points, "cpu_seconds"), values(points, "peak_mib")
    ends = {}
    for gib in (machine.facts()["memory_gib"], OTHER_GIB):
        end = growth.memory_end(name, d, peak_mib, gib)
        ends[f"{gib:g} GiB"] = end and end._asdict()
    return {
        "family": growth.family(name),
        "dimensions": d,
        "seconds": values(points, "seconds"),
        "cpu_seconds": cpu_seconds,
        "peak_mib": peak_mib,
        "busy": values(points, "busy"),
        "exponent": growth.exponent(cpu_seconds),
        # Less than a MiB is what the allocator had at hand.
        "memory_exponent": growth.exponent({n: mib for n, mib in peak_mib.items() if mib >= 1}),
        "promised": growth.promise(name)._asdict(),
        "memory_ends_at": ends,
        "date": machine.now(),
        "commit": commit(),
    }


# ---- files --------------------------------------------------------------------------------------


def commit() -> str:
    """Name the commit that runs: from GPUCLUST_COMMIT, else from git, else "unknown"."""
    if named := os.environ.get("GPUCLUST_COMMIT"):
        return named
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def known(path: Path) -> dict[str, Any]:
    """Read what an earlier run wrote; nothing when there is none."""
    return json.loads(path.read_text()) if path.exists() else {}


def write(path: Path, content: dict[str, Any]) -> None:
    """Write JSON so that a kill leaves the old file or the new one."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)


def draw(results: dict[str, dict], key: str, label: str, path: Path) -> None:
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
            told = name if grows is None else f"{name}  n^{grows:.2f}"
            style = {"marker": MARKERS[i % len(MARKERS)], "markersize": 4, "label": told}
            axes.loglog(drawn.keys(), drawn.values(), **style)
        axes.set(xlabel="n", ylabel=label, title=kind)
        axes.grid(visible=True, alpha=0.3)
        if names:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), fontsize=8, frameon=False)
    facts = machine.facts()
    figure.suptitle(f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB")
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)


def table(results: dict[str, dict]) -> str:
    """Write what the documentation shows, in Markdown."""
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
        figures = [at[0], f"{last:,}", at[1], waited, time_power, held, peak_power]
        lines.append([name, str(found["dimensions"]), *figures, *limits, why])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="path of all files, no suffix")
    parser.add_argument(  # no name: draw and print again what OUT.json holds
        "--only", nargs="*", choices=growth.subjects(), default=growth.subjects(), metavar="NAME"
    )
    parser.add_argument("--max-n", type=int, default=SIZES[-1])
    parser.add_argument(
        "--patience", type=float, default=240, help="processor seconds a run may take"
    )
    parser.add_argument("--quiet", type=float, default=0, help="seconds to wait for others")
    parser.add_argument("--note", default="", help="what else ran on the machine, say")
    args = parser.parse_args()
    path = args.out.with_name(args.out.name + ".json")
    content = known(path)
    if args.only:
        content |= {
            "date": machine.now(),
            "commit": commit(),
            "host": machine.facts(),
            "note": args.note,
        }
    results = content.setdefault("results", {})
    with tempfile.TemporaryDirectory() as folder:
        reduced = Path(folder) / "pca50.npz"
        np.savez(reduced, X=pca50(args.data), y=embeddings(args.data)[1])
        for name in args.only:

            def save(found: dict[str, Any], name: str = name) -> None:
                results[name] = found
                write(path, content)

            measure(name, args.data if growth.family(name) == "reducers" else reduced, args, save)
            print(name, json.dumps(results[name]["seconds"]), results[name]["exponent"], flush=True)
    print(table(results))
    seconds = args.out.with_name(args.out.name + ".svg")
    draw(results, "cpu_seconds", "processor seconds", seconds)
    memory = args.out.with_name(args.out.name + "-memory.svg")
    draw(results, "peak_mib", "MiB above the input", memory)


if __name__ == "__main__":
    main()
