"""How fast are our algorithms on a GPU, against what exists there and against the hardware?

    PYTHONPATH=. python3 benchmarks/gpu_kernels.py --data FILE.npz --out gpu.json --limit 540
    PYTHONPATH=. python3 benchmarks/gpu_kernels.py --data FILE.npz --out gpu.json --only ward_100k
    PYTHONPATH=. python3 benchmarks/gpu_kernels.py --dry --out dry.json     # NumPy, n = 300, no GPU

FILE.npz holds real embeddings `X`, reduced to 50 dimensions on the host and, for larger n, repeated
with a little noise.  Needs CuPy, scikit-learn and array-api-compat; cuML with rmm and torchmetrics
are peers where they import, and their absence is written down.  GPUCLUST_COMMIT names the commit
where there is no git.

Both sides get the same device arrays, by turns; the device is idle at each reading of the clock.
The first turn is warm-up; seconds are the median of three more, of fewer where a case takes long.
scikit-learn comes last and once, on the CPU, at 10,000 samples.  `fraction` is the least time that
this card's own copy bandwidth and float32 matrix rate allow for what the algorithm cannot do
without (`Least` in gpu_cases.py), over the time that it took.

Each algorithm runs in a process of its own; a case that fails, hangs or crashes is written down and
the others go on.  The JSON is rewritten after each case, and a later run with --only adds to it.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import gpu_cases
from gpu_cases import CPU_PEER, CPU_SIZE
from gpu_process import MACHINE, failed, run_jobs
from scaling import commit, known, write

from gpuclust.device import machine

DRY_DATA = Path(__file__).parent.parent / "tests/data/fashionmnist-300.npz"


class Report:
    """The JSON, rewritten whenever a job is done."""

    def __init__(self, path: Path, cases: dict[str, gpu_cases.Case], *, dry: bool):
        self._path, self._cases = path, cases
        self.content = known(path) | {"date": machine.now(), "commit": commit(), "dry": dry}
        self.content.setdefault("cases", {})

    def add(self, job: str, done: dict[str, Any]) -> None:
        """Take in what a job found; what the case knew of other sides stays."""
        if job == MACHINE:
            unknown = "bytes_per_second" not in done
            self.content[MACHINE] = self.content.get(MACHINE, done) if unknown else done
        else:
            self._add_sides(job, done)
        write(self._path, self.content)
        print(job, json.dumps(done), flush=True)

    def _add_sides(self, job: str, done: dict[str, Any]) -> None:
        name, _, peer = job.partition("/")
        before = self.content["cases"].get(name, {})
        if all(
            "not_run" in side and "seconds" in before.get(key, {}) for key, side in done.items()
        ):
            return  # an earlier run knows more
        kept = before if peer else {key: before[key] for key in (CPU_PEER,) if key in before}
        kept |= done | {"date": machine.now(), "commit": self.content["commit"]}
        self.content["cases"][name] = kept
        self._judge(kept, self._cases[name])

    def _judge(self, found: dict[str, Any], case: gpu_cases.Case) -> None:
        """Set what follows from the times: ratios, the target, the fraction of the hardware."""
        seconds = found.get("ours", {}).get("seconds")
        if seconds is None:
            return
        algorithm = gpu_cases.ALGORITHMS[case.algorithm]
        for peer in algorithm.peers:
            if "seconds" in found.get(peer, {}):
                found[peer]["ratio"] = found[peer]["seconds"] / seconds
        if case.n in algorithm.targets:
            target = algorithm.targets[case.n]
            found["target"] = {"seconds": target, "met": seconds < target}
        speed = self.content.get(MACHINE, {})
        if algorithm.least and "bytes_per_second" in speed:
            found["least"] = least(algorithm.least, case.n, speed, seconds)


def least(work: gpu_cases.Least, n: int, speed: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Give the least bytes, operations and seconds, and how near the run came."""
    moved, done = work.bytes(n, 50), work.operations(n, 50)
    parts = {
        "memory": moved / speed["bytes_per_second"],
        "arithmetic": done / speed["float32_per_second"],
    }
    bound = max(parts, key=parts.get)
    return {
        "bytes": moved,
        "operations": done,
        "seconds": parts[bound],
        "bound": bound,
        "fraction": parts[bound] / seconds,
        "why": work.why,
    }


def groups(names: list[str], *, dry: bool) -> list[list[str]]:
    """Order the jobs: the machine, the algorithms, at last the CPU; a process for each list."""
    cases = gpu_cases.cases(dry=dry)
    by_algorithm: dict[str, list[str]] = {}
    on_cpu = []
    for name in names:
        algorithm, n = cases[name]
        by_algorithm.setdefault(algorithm, []).append(name)
        if n <= CPU_SIZE and CPU_PEER in gpu_cases.ALGORITHMS[algorithm].peers:
            on_cpu.append(f"{name}/{CPU_PEER}")
    ordered = [[MACHINE], *by_algorithm.values(), on_cpu]
    return [list(itertools.chain(*ordered))] if dry else ordered


def supervise(jobs: list[str], args: argparse.Namespace, deadline: float, report: Report) -> None:
    """Run jobs in a process, and what is left after a crash or a hang in another."""
    left = list(jobs)
    while left:
        if time.monotonic() > deadline:
            for job in left:
                report.add(job, failed(job, f"the limit of {args.limit} s", how="not_run"))
            return
        why = attend(left, args, deadline, report)
        if left:
            report.add(left[0], failed(left[0], why))
            del left[0]


def attend(left: list[str], args: argparse.Namespace, deadline: float, report: Report) -> str:
    """Run one process; take jobs that are done off `left`; say how it ended."""
    done, log = args.folder / "done", args.folder / "log"
    done.write_text("")
    command = [sys.executable, __file__, "--folder", str(args.folder), "--child", *left]
    command += ["--case-limit", str(args.case_limit), *(["--dry"] if args.dry else [])]
    seen, last, ended = 0, time.monotonic(), None
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as run:
        while ended is None:
            ended = run.poll()  # before reading: what an ended process wrote is all there
            for line in done.read_text().splitlines()[seen:]:
                job, found = json.loads(line)
                report.add(job, found)
                left.remove(job)
                seen, last = seen + 1, time.monotonic()
            if ended is None and time.monotonic() > min(last + args.case_limit, deadline):
                run.kill()
                return "killed: " + ("the run" if last + args.case_limit > deadline else "a case")
            time.sleep(0.05)
    return f"the process ended with {ended}: {log.read_text()[-1500:]}"


def show(content: dict[str, Any]) -> None:
    """Print the table, last, so that the end of a log holds it."""
    print(f"\n{'case':24} {'seconds':>10} {'target':>8} {'fraction':>8}  peers")
    for name, found in content["cases"].items():
        ours, target = found.get("ours", {}), found.get("target")
        told = "-" if not target else f"{target['seconds']}{'' if target['met'] else ' !'}"
        part = f"{found['least']['fraction']:.3f}" if "least" in found else "-"
        peers = [
            f"{side} x{one['ratio']:.1f} ({one['agreement']:.3g})"
            for side, one in found.items()
            if isinstance(one, dict) and "ratio" in one and "agreement" in one
        ]
        time_ = f"{ours['seconds']:.4g}" if "seconds" in ours else "-"
        print(f"{name:24} {time_:>10} {told:>8} {part:>8}  {', '.join(peers)}")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="embeddings; a dry run has its own")
    parser.add_argument("--out", type=Path, default=Path("gpu-kernels.json"))
    parser.add_argument("--only", nargs="+", metavar="CASE", help="cases, or algorithms")
    parser.add_argument("--limit", type=float, default=540, help="seconds the run may take")
    parser.add_argument("--case-limit", type=float, default=150, help="seconds for one case")
    parser.add_argument("--dry", action="store_true", help="NumPy and 300 samples")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    cases = gpu_cases.cases(dry=args.dry)
    asked = args.only or list(cases)
    args.names = [name for name in cases if name in asked or cases[name].algorithm in asked]
    if unknown := set(asked) - set(cases) - set(gpu_cases.ALGORITHMS):
        parser.error(f"no case {', '.join(sorted(unknown))}; there are {', '.join(cases)}")
    if not (args.data or args.dry or args.child):
        parser.error("give --data FILE.npz, or --dry")
    return args


def main() -> None:
    """Parse, measure, write."""
    args = parse()
    if args.child:
        run_jobs(args.child, args)
        return
    deadline = time.monotonic() + args.limit
    with tempfile.TemporaryDirectory() as folder:
        args.folder = Path(folder)
        gpu_cases.prepare(args.data or DRY_DATA, args.folder)
        report = Report(args.out, gpu_cases.cases(dry=args.dry), dry=args.dry)
        for jobs in groups(args.names, dry=args.dry):
            supervise(jobs, args, deadline, report)
            if "bytes_per_second" not in report.content.get(MACHINE, {}):
                sys.exit(f"the device does not work, nothing was run: {report.content[MACHINE]}")
    show(report.content)


if __name__ == "__main__":
    main()
