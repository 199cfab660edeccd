"""All that only a GPU host can show, by one command in eight minutes, as one JSON.

    PYTHONPATH=.:$PYTHONPATH python3 benchmarks/gpu.py --data FILE.npz --out DIR
    python3 benchmarks/gpu.py --data FILE.npz --out DIR --parts tests residency --limit 300
    python3 benchmarks/gpu.py --dry --out DIR                # the CPU in the GPU's place, tiny

Runs from a checkout, nothing installed.  FILE.npz holds real embeddings `X` (n, d) and classes `y`.
GPUCLUST_COMMIT names the commit where there is no git; --out is $OUT where that is set.

Every part is a process of its own, and has of the time that is left its share; what it leaves over
goes to the later ones.  DIR/<gpu>-<date>.json is written anew whenever a part has found something,
so that a kill loses nothing; a part that fails or is killed is written down with what it found, its
last words and what it was doing, and the others go on.  A later run with --parts adds to the file.
"""

import argparse
import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]  # whatever PYTHONPATH says

DRY_DATA = ROOT / "tests/data/fashionmnist-300.npz"
NEEDED = ("numpy", "scipy", "sklearn", "pandas", "torch", "threadpoolctl", "array_api_compat")
PROPERTIES = ("name", "major", "minor", "totalGlobalMem", "multiProcessorCount")
ALSO = ("rmm-cu13", "rmm-cu12", "numba", "array-api-compat", "triton", "pytest")


class Part(NamedTuple):
    """A part of the run: how much of the time it may have beside the others, and what it tells."""

    share: float
    about: str


PARTS = {
    "doctor": Part(1.5, "gpuclust doctor, with fits"),
    "tests": Part(4, "pytest -m gpu"),
    "residency": Part(4, "what crosses to the host, and peaks, stage by stage"),
    "speed": Part(4, "the CPU engine against the GPU engine on this host, and their agreement"),
    "accel": Part(1.5, "scikit-learn's code under cuml.accel against the GPU engine"),
    "kernels": Part(3, "benchmarks/gpu_kernels.py"),
}


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="real embeddings; a dry run has its own")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--limit", type=float, default=480, help="seconds for the whole run")
    parser.add_argument("--dry", action="store_true", help="the CPU in the GPU's place, tiny sizes")
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
    """Say what keeps this run from working, before anything is started."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return f"these packages cannot be imported: {', '.join(missing)}. Bring them on PYTHONPATH."
    from gpuclust.device import backend

    return None if dry else backend.why_no_gpu()


# ---- the JSON -----------------------------------------------------------------------------------


def header(*, dry: bool) -> dict[str, Any]:
    """Describe the machine and what runs."""
    from scaling import commit

    from gpuclust.device import machine

    return {
        "date": machine.now(),
        "commit": commit(),
        "dry": dry,
        "host": machine.facts(),
        "versions": versions(),
        "gpu": None if dry else card(),
    }


def versions() -> dict[str, str]:
    """Give the versions that `host.facts` does not know."""
    from importlib import metadata

    found = {}
    for name in ALSO:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def card() -> dict[str, Any]:
    """Describe the GPU, its driver and the CUDA of each library."""
    import cupy
    import torch

    of = cupy.cuda.runtime
    found = {key: value for key, value in of.getDeviceProperties(0).items() if key in PROPERTIES}
    name = found["name"].decode() if isinstance(found["name"], bytes) else found["name"]
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(query, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        driver = "no nvidia-smi"
    return {
        "name": name,
        "compute_capability": f"{found['major']}.{found['minor']}",
        "memory_gib": round(found["totalGlobalMem"] / 2**30, 1),
        "multiprocessors": found.get("multiProcessorCount"),
        "driver": driver,
        "cuda": {
            "driver": of.driverGetVersion(),
            "cupy": of.runtimeGetVersion(),
            "torch": torch.version.cuda,
        },
    }


def place_of(content: dict[str, Any], out: Path) -> Path:
    """Name the JSON after the card and the day."""
    name = content["gpu"]["name"] if content["gpu"] else "dry"
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower().removeprefix("nvidia")).strip("-")
    return out / f"{slug}-{content['date'][:10]}.json"


# ---- parts --------------------------------------------------------------------------------------


def command(part: str, args: argparse.Namespace, seconds: float) -> list[str]:
    """Give the command of a part; it writes its findings to <folder>/<part>.json."""
    if part == "kernels":
        made = [sys.executable, str(HERE / "gpu_kernels.py"), "--data", str(args.data)]
        made += ["--out", str(args.folder / "kernels.json"), "--limit", str(max(seconds - 5, 1))]
        return made + (["--dry", "--only", "ami"] if args.dry else [])
    made = [sys.executable, str(HERE / "gpu.py"), "--child", part, "--folder", str(args.folder)]
    made += ["--data", str(args.data), "--limit", str(seconds)]
    return made + (["--dry"] if args.dry else [])


def run_part(part: str, args: argparse.Namespace, seconds: float, save: Any) -> dict[str, Any]:
    """Run a part for so many seconds at most; `save` takes what it has found whenever that grows.

    Returns what it found, with `seconds`, and `error` unless it came to its end.  What a part has
    started ends with it.
    """
    from scaling import known

    found, log = args.folder / f"{part}.json", args.folder / f"{part}.log"
    began, seen, why = time.monotonic(), 0.0, None
    paths = [str(ROOT), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONFAULTHANDLER": "1"}
    with (
        log.open("w") as output,
        subprocess.Popen(
            command(part, args, seconds),
            stdout=output,
            stderr=output,
            env=env,
            process_group=0,
            cwd=ROOT,
        ) as run,
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
    if why is None and run.returncode:
        why = f"ended with {run.returncode}: {log.read_text(errors='replace')[-3000:]}"
    content = known(found) | {"seconds": round(time.monotonic() - began, 1)}
    content.setdefault("summary", log.read_text(errors="replace").splitlines()[-30:])
    return content | ({"error": why} if why else {})


def run_all(args: argparse.Namespace) -> dict[str, Any]:
    """Run the parts that are asked for, one after another."""
    from scaling import known, write

    fresh = header(dry=args.dry)
    args.out.mkdir(parents=True, exist_ok=True)
    place = place_of(fresh, args.out)
    content = known(place) | fresh
    parts = content.setdefault("parts", {})
    left, deadline = list(args.parts), time.monotonic() + args.limit

    def save(part: str, found: dict[str, Any]) -> None:
        parts[part] = {"about": PARTS[part].about, "commit": fresh["commit"]} | found
        write(place, content)

    while left:
        part = left[0]
        shares = sum(PARTS[name].share for name in left)
        seconds = (deadline - time.monotonic()) * PARTS[part].share / shares
        save(part, run_part(part, args, seconds, lambda found, part=part: save(part, found)))
        show(part, parts[part])
        del left[0]
    print(f"\n{place}")
    return content


def show(part: str, found: dict[str, Any]) -> None:
    """Print how a part went: its own summary, and the error, if there was one."""
    print(f"\n== {part}: {found['seconds']} s" + (" FAILED" if "error" in found else ""))
    for line in found.get("summary", []):
        print(f"   {line}")
    if "error" in found:
        doing = f" while it did: {found['running']}" if found.get("running") else ""
        print(f"   {found['error'][-1500:]}{doing}")
    sys.stdout.flush()


def main() -> None:
    """Check, then run the parts, or one of them as a child."""
    args = parse()
    if args.child:
        import recipe_gpu

        recipe_gpu.run(args)
        return
    if why := obstacle(dry=args.dry):
        print(f"gpu.py cannot run here: {why}", file=sys.stderr)
        sys.exit(2)
    with tempfile.TemporaryDirectory() as folder:
        args.folder = Path(folder)
        content = run_all(args)
    sys.exit(1 if any("error" in content["parts"][part] for part in args.parts) else 0)


if __name__ == "__main__":
    main()
