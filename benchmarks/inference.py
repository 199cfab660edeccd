"""Time encoders on a CPU: gpuclust, plain loops over batches, and torch.compile.

    python benchmarks/inference.py --out benchmarks/results/inference-cpu-DATE.json
    python benchmarks/inference.py --encoders vit_small_patch16_224 --cases channels_last_4 gpuclust

All cases of an encoder encode the same 64 random images of 224 x 224 in one process, in float32.
Runs are interleaved, so that changes of the machine's load affect all cases.  Reported are medians,
without decoding; the first run, which compiles, is reported apart.  Weights are random, including
the statistics of batch norms: speed does not depend on them.  The default takes under four minutes
on two idle cores.  torch.compile needs a C++ compiler; without one its cases are listed as missing.
"""

from __future__ import annotations

import argparse
import copy
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from torch import Tensor, nn

from gpuclust.bench.results import provenance, write
from gpuclust.embeddings.inference import Forward

Run = Callable[[Tensor], Tensor]
IMAGES, SIDE = 64, 224
ENCODERS = ("tf_efficientnet_lite0", "resnet50")


class Case(NamedTuple):
    """Setting of one run over the images.

    Attributes
    ----------
    batch : int
        Images per call of the module; for gpuclust the batch size of `embed`.
    channels_last : bool
        Memory format of weights and images.
    compiled : bool
        Run the module through torch.compile.
    ours : bool
        Run `Forward` of gpuclust.
    """

    batch: int
    channels_last: bool = False
    compiled: bool = False
    ours: bool = False

    def build(self, module: nn.Module) -> Run:
        """Return a function from images (n, 3, h, w) to features (n, d)."""
        module = copy.deepcopy(module)
        if self.ours:
            return Forward(
                module, device="cpu", batch_size=self.batch, dtype=None, compile=self.compiled
            )
        if self.channels_last:
            module = module.to(memory_format=torch.channels_last)
        run: Run = module
        if self.compiled:
            run = torch.compile(module, dynamic=False, options={"freezing": True})
        return lambda images: torch.cat([run(part) for part in images.split(self.batch)])


# The first case is the plain loop; the baseline of a claim about speed is BASELINE.
CASES = {
    "eager_nchw_64": Case(64),
    "eager_nchw_4": Case(4),
    "channels_last_64": Case(64, channels_last=True),
    "channels_last_4": Case(4, channels_last=True),
    "compiled_16": Case(16, channels_last=True, compiled=True),
    "gpuclust": Case(64, channels_last=True, ours=True),
    "gpuclust_compiled": Case(64, channels_last=True, compiled=True, ours=True),
}
BASELINE = "channels_last_4"


def encoder(name: str) -> nn.Module:
    """Build a timm model without classifier; draw weights and statistics of its batch norms."""
    drawn = torch.Generator().manual_seed(0)
    module = timm.create_model(name, num_classes=0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            buffers = dict(norm.named_buffers())
            buffers["running_mean"].uniform_(-0.3, 0.3, generator=drawn)
            buffers["running_var"].uniform_(0.5, 1.5, generator=drawn)
            norm.weight.data.uniform_(0.5, 1.5, generator=drawn)
    return module.eval().requires_grad_(requires_grad=False)


def timed(run: Run, images: Tensor) -> tuple[float, Tensor]:
    """Run once; return wall-clock seconds and features."""
    begun = time.perf_counter()
    features = run(images)
    return time.perf_counter() - begun, features


def measure(name: str, cases: Mapping[str, Case], *, n: int, side: int, runs: int) -> Any:
    """Time the cases of one encoder on n random images, run by run in turn."""
    module = encoder(name)
    images = torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1
    inputs = {
        case: images.contiguous(memory_format=torch.channels_last) if how.channels_last else images
        for case, how in cases.items()
    }
    runners: dict[str, Run] = {}
    first: dict[str, tuple[float, Tensor]] = {}
    seconds: dict[str, list[float]] = {case: [] for case in cases}
    with torch.inference_mode():
        for case, how in cases.items():
            runners[case] = how.build(module)
            first[case] = timed(runners[case], inputs[case])
        for _ in range(runs):
            for case, run in runners.items():
                seconds[case].append(timed(run, inputs[case])[0])
    return summary(seconds, first, n)


def summary(
    seconds: Mapping[str, list[float]], first: Mapping[str, tuple[float, Tensor]], n: int
) -> dict[str, dict[str, float]]:
    """Compute images per second, speed relative to the baseline, and difference of the features."""
    baseline = BASELINE if BASELINE in seconds else next(iter(seconds))
    expected = next(iter(first.values()))[1]
    result = {}
    for case, walls in seconds.items():
        compile_seconds, features = first[case]
        off = (features - expected).abs().amax(1) / expected.abs().amax(1)
        result[case] = {
            "images_per_second": n / statistics.median(walls),
            "fastest": n / min(walls),
            "speedup": statistics.median(seconds[baseline]) / statistics.median(walls),
            "first_seconds": compile_seconds,
            "max_relative_difference": float(off.max()),
        }
    return result


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS), help="Models of timm.")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--side", type=int, default=SIDE, help="Image size in pixels.")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, help="Write the results to this file (JSON).")
    args = parser.parse_args(argv)
    if args.out and args.out.is_dir():
        parser.error(f"--out {args.out} is a folder; name a file in it")
    compiler = shutil.which("g++") is not None
    cases = {case: CASES[case] for case in args.cases if compiler or not CASES[case].compiled}
    content = provenance(print) | {"torch_threads": torch.get_num_threads()}
    content |= {"images": args.images, "side": args.side, "runs": args.runs, "baseline": BASELINE}
    content |= {"missing": [case for case in args.cases if case not in cases], "cases": {}}
    for name in args.encoders:
        rows = measure(name, cases, n=args.images, side=args.side, runs=args.runs)
        content["cases"][name] = rows
        for case, row in rows.items():
            print(
                f"{name:22s} {case:18s} {row['images_per_second']:7.1f} images/s "
                f"(fastest {row['fastest']:7.1f})  {row['speedup']:5.2f} x {BASELINE}  "
                f"difference {row['max_relative_difference']:.0e}  "
                f"first run {row['first_seconds']:.1f} s",
                flush=True,
            )
    if args.out:
        write(args.out, content)


if __name__ == "__main__":
    main()
