"""Test and measure gpuclust on a GPU machine, with one command in eight minutes, into one JSON.

    PYTHONPATH=.:$PYTHONPATH python3 benchmarks/gpu.py --data FILE.npz --out DIR
    python3 benchmarks/gpu.py --data FILE.npz --out DIR --parts tests residency --limit 300
    python3 benchmarks/gpu.py --dry --out DIR                # tiny, on the CPU in place of the GPU

Runs from a checkout without installation.  FILE.npz holds real embeddings `X` (n, d) and classes
`y`.  GPUCLUST_COMMIT names the commit where there is no git; --out is $OUT where that is set.

Every part is a process of its own with a share of the remaining time; unused time goes to the
later parts.  DIR/<gpu>-<date>.json is rewritten at every finding, so that a kill loses nothing.  A
part that fails or is killed is recorded with its findings, its last output and its last action, and
the others go on.  A later run with --parts adds to the file.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.metadata
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]  # independent of PYTHONPATH

DRY_DATA = ROOT / "tests/data/fashionmnist-300.npz"
NEEDED = ("numpy", "scipy", "sklearn", "pandas", "torch", "threadpoolctl", "array_api_compat")
# Packages that the facts of the machine do not list.
ALSO = ("numba", "array-api-compat", "triton", "pytest", "torchmetrics")


class Part(NamedTuple):
    """A part of the run: its share of the time, relative to the others, and its subject."""

    share: float
    about: str


PARTS = {
    "doctor": Part(1.5, "gpuclust doctor, with fits"),
    "tests": Part(4, "pytest -m gpu"),
    "residency": Part(4, "copies to the host and peak memory, stage by stage"),
    "speed": Part(4, "the CPU backend against the GPU backend on this host, and their agreement"),
    "accel": Part(1.5, "scikit-learn's code under cuml.accel against the GPU backend"),
    "kernels": Part(3, "the GPU cases of gpuclust.bench.cases"),
}


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="real embeddings; a dry run has its own")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--limit", type=float, default=480, help="seconds for the whole run")
    parser.add_argument("--dry", action="store_true", help="CPU in place of the GPU, tiny sizes")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.dry:
        args.data = args.data or DRY_DATA
    elif args.data is None or not args.data.is_file():
        parser.error(f"give --data FILE.npz that exists, or --dry; got {args.data}")
    args.data = args.data.resolve()
    return args


def obstacle(*, dry: bool) -> str | None:
    """Return the reason why this run cannot work here, before anything is started."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return f"these packages cannot be imported: {', '.join(missing)}. Put them on PYTHONPATH."
    from gpuclust.device import backend

    return None if dry else backend.why_no_gpu()


def header(*, dry: bool) -> dict[str, Any]:
    """Describe the machine and the versions."""
    from gpuclust.bench.results import provenance

    found = {}
    for name in ALSO:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return {**provenance(print), "dry": dry, "versions": found, "gpu": None if dry else card()}


def card() -> dict[str, Any]:
    """Describe the GPU, its driver and the CUDA version of each library."""
    import cupy
    import torch

    from gpuclust.device import machine

    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(query, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        driver = "no nvidia-smi"
    cuda = {"cupy": cupy.cuda.runtime.runtimeGetVersion(), "torch": torch.version.cuda}
    return {**machine.gpu(), "driver": driver, "cuda": cuda}


def place_of(content: dict[str, Any], out: Path) -> Path:
    """Name the JSON after the card and the day."""
    name = content["gpu"]["name"] if content["gpu"] else "dry"
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower().removeprefix("nvidia")).strip("-")
    return out / f"{slug}-{content['date'][:10]}.json"


def command(part: str, args: argparse.Namespace, seconds: float) -> list[str]:
    """Return the command of a part; it writes its findings to <folder>/<part>.json."""
    made = [sys.executable, str(HERE / "gpu.py"), "--child", part, "--folder", str(args.folder)]
    made += ["--data", str(args.data), "--limit", str(seconds)]
    return made + (["--dry"] if args.dry else [])


def run_part(
    part: str, args: argparse.Namespace, seconds: float, save: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Run a part for at most `seconds`, with everything it starts; `save` gets new findings.

    Returns its findings, with `seconds`, and `error` unless it ended by itself.
    """
    from gpuclust.bench.results import known

    found, log = args.folder / f"{part}.json", args.folder / f"{part}.log"
    began, seen, why = time.monotonic(), 0.0, None
    paths = [str(ROOT), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONFAULTHANDLER": "1"}
    how: dict[str, Any] = {"env": env, "process_group": 0, "cwd": ROOT}
    with (
        log.open("w") as output,
        subprocess.Popen(command(part, args, seconds), stdout=output, stderr=output, **how) as run,
    ):
        while run.poll() is None:
            if time.monotonic() - began > seconds:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(run.pid, signal.SIGKILL)
                why = f"killed after {seconds:.0f} s, its share of the time"
            elif found.exists() and found.stat().st_mtime > seen:
                seen = found.stat().st_mtime
                save(known(found))
            time.sleep(0.2)
    said = log.read_text(errors="replace")
    if why is None and run.returncode:
        why = f"ended with {run.returncode}: {said[-3000:]}"
    content = known(found) | {"seconds": round(time.monotonic() - began, 1)}
    content.setdefault("summary", said.splitlines()[-30:])
    return content | ({"error": why} if why else {})


def run_all(args: argparse.Namespace) -> dict[str, Any]:
    """Run the requested parts, one after another."""
    from gpuclust.bench.results import known, write

    fresh = header(dry=args.dry)
    args.out.mkdir(parents=True, exist_ok=True)
    place = place_of(fresh, args.out)
    content = known(place) | fresh
    parts = content.setdefault("parts", {})
    deadline = time.monotonic() + args.limit

    def save(part: str, found: dict[str, Any]) -> None:
        parts[part] = {"about": PARTS[part].about, "commit": fresh["commit"]} | found
        write(place, content)

    for i, part in enumerate(args.parts):
        shares = sum(PARTS[name].share for name in args.parts[i:])
        seconds = (deadline - time.monotonic()) * PARTS[part].share / shares
        save(part, run_part(part, args, seconds, functools.partial(save, part)))
        show(part, parts[part])
    print(f"\n{place}")
    return content


def show(part: str, found: dict[str, Any]) -> None:
    """Print the summary of a part, and its error."""
    print(f"\n== {part}: {found['seconds']} s" + (" FAILED" if "error" in found else ""))
    for line in found.get("summary", []):
        print(f"   {line}")
    if "error" in found:
        doing = f" during: {found['running']}" if found.get("running") else ""
        print(f"   {found['error'][-1500:]}{doing}")
    sys.stdout.flush()


def main() -> None:
    """Check, then run the parts, or one of them as a child."""
    args = parse()
    if args.child:
        import gpu_parts

        gpu_parts.run(args)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # torch's, RMM's and CuPy's teardown at exit may crash a part that is done
    if why := obstacle(dry=args.dry):
        print(f"gpu.py cannot run here: {why}", file=sys.stderr)
        sys.exit(2)
    with tempfile.TemporaryDirectory() as folder:
        args.folder = Path(folder)
        content = run_all(args)
    sys.exit(1 if any("error" in content["parts"][part] for part in args.parts) else 0)


if __name__ == "__main__":
    main()
