"""How fast are encoders on this machine's CPU, by what runs them, and are the features the same?

    python benchmarks/inference.py --out benchmarks/results/inference-cpu-DATE.json
    python benchmarks/inference.py --encoders resnet50 --runs 3

The variants take turns on the same images in one process, so that drift of the machine hits all of
them; seconds are medians, with the fastest run beside them, for the model alone.  The first of each
variant, which compiles and packs, is outside the clock and told apart.  Variants that need what is
not installed (onnxruntime with onnx and onnxscript, openvino, a C++ compiler) are named as missing.
EfficientNet-Lite0 has its real weights; ResNet-50 has random ones, statistics of its batch norms
included.  `embed` is the rate of the whole, decoding included.
"""

import argparse
import contextlib
import copy
import dataclasses
import importlib.util
import io
import json
import shutil
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import timm
import torch
from torch import Tensor, nn

from gpuclust import datasets, encoders
from gpuclust.device import machine
from gpuclust.embeddings import embed
from gpuclust.embeddings.inference import Forward

Run = Callable[[Tensor], Tensor]
BATCH = 64  # what `embed` takes by default


# ---- encoders -----------------------------------------------------------------------------------


def efficientnet_lite0() -> nn.Module:
    """Load real weights from the package."""
    return encoders.load("efficientnet_lite0").module


def resnet50() -> nn.Module:
    """Draw weights, and statistics of the batch norms that are not those of a new one."""
    drawn = torch.Generator().manual_seed(0)
    module = timm.create_model("resnet50", num_classes=0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-0.3, 0.3, generator=drawn)
            norm.running_var.uniform_(0.5, 1.5, generator=drawn)
            norm.weight.data.uniform_(0.5, 1.5, generator=drawn)
    return module.eval().requires_grad_(requires_grad=False)


ENCODERS = {"efficientnet_lite0": efficientnet_lite0, "resnet50": resnet50}


# ---- what runs them -----------------------------------------------------------------------------


def batched(run: Run, size: int) -> Run:
    """Run by batches of this size."""
    return lambda images: torch.cat([run(part) for part in images.split(size)])


def channels_last(module: nn.Module) -> Run:
    """Keep the pixels of a channel apart, as convolutions on a CPU want them."""
    module = copy.deepcopy(module).to(memory_format=torch.channels_last)
    return lambda images: module(images.contiguous(memory_format=torch.channels_last))


def autocast(run: Run) -> Run:
    """Let the layers compute in bfloat16."""

    def cast(images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return run(images)

    return cast


def ours(module: nn.Module, dtype: str | None = None) -> Run:
    """Run as `gpuclust embed` does."""
    ordered = torch.channels_last
    forward = Forward(copy.deepcopy(module), device="cpu", batch_size=BATCH, dtype=dtype)
    return lambda images: forward(images.contiguous(memory_format=ordered))


def inductor(module: nn.Module) -> Run:
    """Compile with torch.compile, weights frozen, which calls a C++ compiler."""
    import torch._inductor.config as config

    config.freezing = True
    return torch.compile(copy.deepcopy(module), dynamic=False)


def onnxruntime(module: nn.Module, example: Tensor) -> Run:
    """Export to ONNX and run there."""
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = str(Path(folder) / "encoder.onnx")
        torch.onnx.export(module, (example,), path, dynamo=True, external_data=False)
        options = ort.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: torch.from_numpy(session.run(None, {name: images.numpy()})[0])


def openvino(module: nn.Module, example: Tensor, precision: str = "f32") -> Run:
    """Convert to OpenVINO and run there."""
    import openvino as ov

    how = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    how["INFERENCE_NUM_THREADS"] = torch.get_num_threads()
    converted = ov.convert_model(copy.deepcopy(module), example_input=example)
    compiled = ov.Core().compile_model(converted, "CPU", how)
    return lambda images: torch.from_numpy(compiled(images.numpy())[0])


def variants(module: nn.Module, images: Tensor) -> dict[str, Callable[[], Run]]:
    """Name everything that can run the module here; the first is what the others are held to."""
    few = images[:4]
    found: dict[str, Callable[[], Run]] = {
        f"eager_nchw_{BATCH}": lambda: batched(module, BATCH),
        **{f"eager_nchw_{n}": lambda n=n: batched(module, n) for n in (4, 8, 16)},
        f"channels_last_{BATCH}": lambda: batched(channels_last(module), BATCH),
        "channels_last_4": lambda: batched(channels_last(module), 4),
        "gpuclust": lambda: ours(module),
        "channels_last_bf16": lambda: autocast(batched(channels_last(module), BATCH)),
        "gpuclust_bf16": lambda: ours(module, "bfloat16"),
    }
    if shutil.which("g++"):
        found["inductor_16"] = lambda: batched(inductor(module), 16)
    if has("onnxruntime", "onnx", "onnxscript"):
        found["onnxruntime_4"] = lambda: batched(onnxruntime(module, few), 4)
    if has("openvino"):
        found["openvino_4"] = lambda: batched(openvino(module, few), 4)
        found["openvino_bf16_4"] = lambda: batched(openvino(module, few, "bf16"), 4)
    return found


def has(*packages: str) -> bool:
    """Tell whether all of these can be imported."""
    return all(importlib.util.find_spec(package) for package in packages)


def missing() -> list[str]:
    """Name what is not here and was left out."""
    packages = ("onnxruntime", "onnx", "onnxscript", "openvino")
    compiler = [] if shutil.which("g++") else ["g++"]
    return compiler + [package for package in packages if not has(package)]


# ---- measuring ----------------------------------------------------------------------------------


def pictures(n: int) -> Tensor:
    """Real images as the encoder of the study sees them, (n, 3, 224, 224)."""
    transform = encoders.load("efficientnet_lite0").transform
    digits = datasets.load("digits")
    return torch.stack([transform(digits[i][0]) for i in range(n)])


def clocked(run: Run, images: Tensor) -> tuple[float, float, Tensor]:
    """Run once: seconds on the wall, seconds of the processor, features."""
    wall, processor = time.perf_counter(), time.process_time()
    features = run(images)
    return time.perf_counter() - wall, time.process_time() - processor, features


def measure(name: str, n: int, runs: int) -> dict[str, Any]:
    """Let the variants of one encoder take turns."""
    module, images = ENCODERS[name](), pictures(n)
    ready, said = {}, {}
    with torch.inference_mode():
        for variant, build in variants(module, images).items():
            began = time.perf_counter()
            with torch.inference_mode(mode=False), torch.no_grad():
                run = build()
            ready[variant] = run
            said[variant] = {"features": run(images).float().clone(), "times": []}
            said[variant]["first_seconds"] = time.perf_counter() - began
        for _ in range(runs):
            for variant, run in ready.items():
                said[variant]["times"].append(clocked(run, images)[:2])
    return summarise(said, n)


def summarise(said: dict[str, dict[str, Any]], n: int) -> dict[str, Any]:
    """Turn times and features into rates, ratios and agreement, against the first variant."""
    reference = next(iter(said.values()))
    expected = reference["features"]
    slowest = statistics.median(wall for wall, _ in reference["times"])
    result = {}
    for variant, one in said.items():
        walls, processor = zip(*one["times"], strict=True)
        off = (one["features"] - expected).abs().amax(1) / expected.abs().amax(1)
        cosine = torch.cosine_similarity(one["features"], expected)
        result[variant] = {
            "images_per_second": n / statistics.median(walls),
            "fastest": n / min(walls),
            "ratio": slowest / statistics.median(walls),
            "ratio_of_fastest": min(w for w, _ in reference["times"]) / min(walls),
            "processor_seconds": min(processor),
            "first_seconds": one["first_seconds"],
            "max_relative_difference": float(off.max()),
            "mean_cosine": float(cosine.mean()),
            "least_cosine": float(cosine.min()),
        }
    return result


def whole(n: int = 512) -> dict[str, Any]:
    """Embed real images as a user does, decoding included."""
    digits = datasets.load("digits")
    few = dataclasses.replace(digits, images=digits.images[:n], labels=digits.labels[:n])
    with tempfile.TemporaryDirectory() as folder:
        paths = {part: Path(folder) / part for part in ("array", "labels", "meta")}
        encoder = encoders.load("efficientnet_lite0")
        meta = embed.embed(few, encoder, SimpleNamespace(**paths)).meta
    return {"images": meta.n, "images_per_second": meta.images_per_second, "workers": meta.workers}


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoders", nargs="+", choices=ENCODERS, default=list(ENCODERS))
    parser.add_argument("--images", type=int, default=BATCH)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of the exporters
    cases = {}
    for name in args.encoders:
        cases[name] = measure(name, args.images, args.runs)
        for variant, row in cases[name].items():
            print(
                f"{name:20s} {variant:20s} {row['images_per_second']:7.1f}/s "
                f"x{row['ratio']:5.2f} (fastest {row['fastest']:7.1f}/s x"
                f"{row['ratio_of_fastest']:5.2f})  off {row['max_relative_difference']:.1e}"
                f"  cosine {row['least_cosine']:.6f}  first {row['first_seconds']:.1f} s",
                flush=True,
            )
    content = {"date": machine.now(), "host": machine.facts(), "threads": torch.get_num_threads()}
    content |= {"images": args.images, "runs": args.runs, "missing": missing()}
    content |= {"cases": cases, "embed": whole()}
    print("embed", json.dumps(content["embed"]))
    if args.out:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
        ).stdout.strip()
        text = json.dumps(content | {"commit": commit}, indent=1)
        args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
