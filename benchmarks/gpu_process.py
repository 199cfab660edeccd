"""One process of `gpu_kernels.py`: runs jobs on the device and writes down each as it is done."""

import argparse
import functools
import gc
import importlib.metadata
import json
import statistics
import subprocess
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import gpu_cases
import numpy as np

from gpuclust.algorithms import AffinityPropagation
from gpuclust.device import machine as host

RUNS = 3
MACHINE = "machine"
PROPERTIES = ("name", "totalGlobalMem", "multiProcessorCount", "major", "minor", "l2CacheSize")
PACKAGES = ("rmm-cu13", "rmm-cu12", "torchmetrics", "array-api-compat")


# ---- the device ---------------------------------------------------------------------------------


class Device(NamedTuple):
    """Where our side runs: NumPy in a dry run, else CuPy."""

    xp: Any
    synchronize: Callable[[], object]
    memory: str
    peak: Callable[[Callable[[], Any]], tuple[Any, float | None]]  # of a call: result, GiB

    def put(self, given: Any) -> Any:
        """Copy arrays, and lists and tuples of them, to the device."""
        if isinstance(given, (list, tuple)):
            return type(given)(self.put(one) for one in given)
        return self.xp.asarray(given)


def device(*, dry: bool) -> Device:
    """Set up the memory that both sides share, before anything allocates."""
    if dry:
        return Device(np, lambda: None, "NumPy", lambda call: (call(), None))
    import cupy

    synchronize = cupy.cuda.Device().synchronize
    try:
        import rmm
        import rmm.statistics
        from rmm.allocators.cupy import rmm_cupy_allocator
    except ImportError as error:
        memory = f"CuPy's pool ({error})"
        return Device(cupy, synchronize, memory, lambda call: (call(), None))
    rmm.mr.set_current_device_resource(rmm.mr.CudaAsyncMemoryResource())
    rmm.statistics.enable_statistics()
    cupy.cuda.set_allocator(rmm_cupy_allocator)  # cuML would do the same when it is imported

    def peak(call: Callable[[], Any]) -> tuple[Any, float]:
        with rmm.statistics.statistics():
            result = call()
            return result, rmm.statistics.get_statistics().peak_bytes / 2**30

    return Device(cupy, synchronize, "rmm over cudaMallocAsync", peak)


def machine(on: Device) -> dict[str, Any]:
    """Describe the machine and measure its two ceilings."""
    real = on.xp is not np
    elements, side = (2**29, 8192) if real else (2**22, 256)
    source = on.xp.arange(elements, dtype=on.xp.float32)
    target = on.xp.empty_like(source)
    copied = 2 * source.nbytes  # read and written
    random = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    matrix = on.put(random)
    return {
        "host": host.facts(),
        "versions": versions(),
        "memory": on.memory,
        **(card(on.xp) if real else {}),
        "bytes_per_second": rate(on, lambda: on.xp.copyto(target, source), copied),
        "float32_per_second": rate(on, lambda: on.xp.matmul(matrix, matrix), 2.0 * side**3),
    }


def card(cupy: Any) -> dict[str, Any]:
    """Describe the GPU and its driver."""
    found = cupy.cuda.runtime.getDeviceProperties(0)
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        driver = "no nvidia-smi"
    values = {name: found[name] for name in PROPERTIES if name in found}
    return {
        "gpu": {k: v.decode() if isinstance(v, bytes) else v for k, v in values.items()},
        "driver": driver,
        "cuda_driver": cupy.cuda.runtime.driverGetVersion(),
        "cuda_runtime": cupy.cuda.runtime.runtimeGetVersion(),
    }


def versions() -> dict[str, str]:
    """Give the versions of the peers that `host.facts` does not know."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def rate(on: Device, call: Callable[[], Any], work: float) -> float:
    """Measure work per second: the median of three times ten calls, after ten."""
    times = []
    for _ in range(4):
        on.synchronize()
        start = time.perf_counter()
        for _ in range(10):
            call()
        on.synchronize()
        times.append(time.perf_counter() - start)
    return 10 * work / statistics.median(times[1:])


# ---- one case, in its own process ---------------------------------------------------------------


def clocked(on: Device, run: Callable[[Any], Any], given: Any) -> tuple[float, Any]:
    """Time a call with the device idle before and after."""
    on.synchronize()
    start = time.perf_counter()
    result = run(given)
    on.synchronize()
    return time.perf_counter() - start, result


def clocked_iteration(on: Device, run: Callable[[Any], Any], given: Any) -> tuple[float, Any]:
    """Time the message passing of `run`, affinity propagation, per iteration."""
    passing = AffinityPropagation._propagate
    seen: list[tuple[float, AffinityPropagation]] = []

    def timed(self: AffinityPropagation, *args: Any) -> Any:
        seconds, found = clocked(on, lambda _: passing(self, *args), None)
        seen.append((seconds, self))
        return found

    AffinityPropagation._propagate = timed
    try:
        result = run(given)
    finally:
        AffinityPropagation._propagate = passing
    [(seconds, model)] = seen
    return seconds / model.n_iter_, result


def run_job(job: str, inputs: gpu_cases.Inputs, on: Device, args: argparse.Namespace) -> dict:
    """Measure what a job names: the machine, the sides on the device, or those on the CPU."""
    if job == MACHINE:
        return machine(on)
    name, _, peer = job.partition("/")
    case = gpu_cases.cases(dry=args.dry)[name]
    algorithm = gpu_cases.ALGORITHMS[case.algorithm]
    given = algorithm.given(inputs, case.n)
    if peer:
        algorithm.peers[peer](algorithm.given(inputs, 300))  # its imports are not its time
        theirs, result = clocked(on, algorithm.peers[peer], given)
        ours = algorithm.ours(on.put(given))
        return {peer: {"seconds": theirs, "runs": 1, "agreement": algorithm.agree(ours, result)}}
    return by_turns(algorithm, on.put(given), on, patience=args.case_limit / 2)


def by_turns(
    algorithm: gpu_cases.Algorithm, given: Any, on: Device, *, patience: float
) -> dict[str, Any]:
    """Run ours and the peers on the device by turns, a warm-up first."""
    run = {"ours": algorithm.ours} | algorithm.peers
    run.pop(gpu_cases.CPU_PEER, None)
    clock = clocked_iteration if algorithm.per_iteration else clocked
    times: dict[str, list[float]] = {side: [] for side in run}
    found: dict[str, dict] = {side: {} for side in run}
    results, began = {}, time.perf_counter()
    for turn in range(1 + RUNS):
        for side in [side for side in run if "error" not in found[side]]:
            call = functools.partial(clock, on, run[side], given)
            try:
                (seconds, results[side]), peak = on.peak(call) if turn == 0 else (call(), None)
            except Exception as error:  # noqa: BLE001 - one side's failure is a result
                found[side] = {"error": f"{type(error).__name__}: {error}"}
                continue
            times[side].append(seconds)
            found[side].update({"peak_gib": peak} if peak else {})
        if time.perf_counter() - began > patience:
            break
    for side, known in found.items():
        if "error" not in known:
            known |= summary(times[side])
            if side != "ours" and "error" not in found["ours"]:
                known["agreement"] = algorithm.agree(results["ours"], results[side])
    return found


def summary(times: list[float]) -> dict[str, Any]:
    """Summarise the times of a side, of which the first is warm-up unless it is the only one."""
    kept = times[1:] or times
    spread = max(kept) - min(kept)
    warm = len(times) > 1
    return {
        "seconds": statistics.median(kept),
        "spread": spread,
        "runs": len(kept),
        "warm": warm,
    }


def run_jobs(jobs: list[str], args: argparse.Namespace) -> None:
    """Run jobs and append a line of JSON for each as soon as it is done."""
    warnings.simplefilter("ignore")  # 100 iterations do not converge, and need not
    on, inputs = device(dry=args.dry), gpu_cases.load(args.folder)
    for job in jobs:
        try:
            done = run_job(job, inputs, on, args)
        except Exception as error:  # noqa: BLE001 - one case's failure is a result
            done = failed(job, f"{type(error).__name__}: {error}")
        with (args.folder / "done").open("a") as lines:
            lines.write(json.dumps([job, done]) + "\n")
        gc.collect()


def failed(job: str, why: str, *, how: str = "error") -> dict[str, Any]:
    """Describe a job that came to nothing."""
    return {job.partition("/")[2] or "ours": {how: why}}
