"""Part `residency` of `gpu.py`: copies to the host and peak memory, stage by stage.

python3 benchmarks/gpu.py --dry --out DIR --parts residency
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gpu_report import LARGE, Report

from gpuclust.bench import execute, inputs
from gpuclust.device.backend import Backend
from gpuclust.embeddings.data import Data
from gpuclust.methods.table import CLUSTERERS


def residency(args: argparse.Namespace, report: Report) -> None:
    """Trace the copies and the memory of the stages of two units and of a grid."""
    on = execute.select("gpu", dry=args.dry)
    reducers = ("none", "pca(5)") if args.dry else ("none", "umap")
    trace = not args.dry
    unit = execute.unit_of(reducers, CLUSTERERS)
    follow(on, report, "study", embedding(args, None, None), unit, trace=trace)
    n, d = (400, 16) if args.dry else LARGE
    # All iterations of affinity propagation are alike, and each kernel is an event of the trace.
    some = [f"{name}(max_iter=30)" if name == "affinity" else name for name in CLUSTERERS]
    unit = execute.unit_of(reducers, some)
    follow(on, report, "large", embedding(args, n, d), unit, trace=trace)
    grid(on, report, args)


def embedding(args: argparse.Namespace, n: int | None, d: int | None) -> Data:
    """Load the real embeddings, or `d` principal components of them with copies up to `n`."""
    path = str(args.data) if d is None else inputs.components(str(args.data), d, args.folder)
    X, y, _ = inputs.load(path, n)
    return Data(X, y, "given")


def follow(on: Backend, report: Report, where: str, data: Data, unit: Any, *, trace: bool) -> None:
    """Run a unit and record the copies, the peak and the array library of each stage."""
    from gpuclust.device import transfers

    X_bytes, size = data.X.nbytes, " x ".join(f"{length:,}" for length in data.X.shape)
    with on.watch(transfers.trace if trace else None) as loaded:
        data = on.place(data)
        on.synchronize()
    report.put(where, "embedding", value={"size": size, "bytes": X_bytes, "load": loaded})

    def note(stage: str, outcome: Any) -> None:
        if outcome is None:
            report.running(f"{where}: {stage}")
        else:
            report.put(where, "stages", stage, value=described(outcome, X_bytes))

    for _ in execute.run_unit(unit, data, on, note=note, trace=trace):
        pass
    conclude(report, where, size, type(data.X).__module__.partition(".")[0])


def described(outcome: Any, X_bytes: int) -> dict[str, Any]:
    """Describe a stage; its seconds contain compiling, loading and tracing."""
    found: dict[str, Any] = {"seconds": round(outcome.seconds, 4), **outcome.device}
    if outcome.error is not None:
        found["error"] = f"{type(outcome.error).__name__}: {outcome.error}"[:1000]
    if (array := execute.array_of(outcome.value)) is not None:
        found["array"] = f"{type(array).__module__.partition('.')[0]} {array.dtype}"
    if "to_host" in found:
        found["share_of_X"] = found["to_host"] / X_bytes
    return found


def conclude(report: Report, where: str, size: str, library: str) -> None:
    """Sum up a unit: arrays outside the library of the embedding, and the largest copies."""
    stages = report.content[where]["stages"]
    arrays = {stage: one["array"] for stage, one in stages.items() if "array" in one}
    astray = [stage for stage, of in arrays.items() if not of.startswith(library)]
    failed = [stage for stage, one in stages.items() if "error" in one]
    shares = {stage: one["share_of_X"] for stage, one in stages.items() if "share_of_X" in one}
    result: dict[str, Any] = {"library": library, "astray": astray, "failed": failed}
    if shares:
        most = max(shares, key=lambda stage: shares[stage])
        result |= {"largest_share": [most, shares[most]], "total_share": sum(shares.values())}
        peak = max((one.get("peak_bytes") or 0) for one in stages.values())
        report.line(
            f"{where} {size}: to host {100 * sum(shares.values()):.1f} % of X in all, most in "
            f"{most} ({100 * shares[most]:.1f} %), peak {peak / 2**30:.1f} GiB"
        )
    report.put(where, "result", value=result)
    report.line(f"{where}: {len(arrays)} arrays, not of {library}: {astray}; failed: {failed}")


def photographs(folder: Path, edge: int) -> Path:
    """Cut scikit-learn's two photographs into square patches: a folder of real images."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    bunch = load_sample_images()
    for name, image in zip(bunch.filenames, bunch.images, strict=True):
        place = folder / "photographs" / Path(name).stem
        place.mkdir(parents=True, exist_ok=True)
        height, width = (length // edge for length in image.shape[:2])
        for i in range(height):
            for j in range(width):
                patch = image[i * edge : (i + 1) * edge, j * edge : (j + 1) * edge]
                Image.fromarray(patch).save(place / f"{i:02}-{j:02}.png")
    return folder / "photographs"


def grid(on: Backend, report: Report, args: argparse.Namespace) -> None:
    """Run two encoders on two datasets as a grid, from images to rows."""
    from gpuclust.report.transfers import transfers

    photos = f"folder:{photographs(args.folder, edge=100 if args.dry else 32)}"
    places = [(photos, "all")] if args.dry else [("digits", "all"), (photos, "all")]
    encoders = ("random/resnet50", "random/vit_base_patch16_224")
    encoders = ("raw", "random/test_resnet") if args.dry else encoders
    how = (["none"], ["kmeans"]) if args.dry else (["none", "umap"], CLUSTERERS)
    rows: list[dict[str, Any]] = []
    for dataset, split in places:
        for encoder in encoders:
            unit = execute.unit_of(*how, dataset=dataset, split=split, encoder=encoder)
            report.running(f"grid: {unit}")
            rows = execute.run_grid([unit], args.folder / "grid", on, trace=not args.dry)
            report.put("grid", "rows", value=[shortened(row) for row in rows])
    report.put("grid", "table", value=transfers(rows)._asdict())
    failed = [row for row in rows if row["status"] != "ok"]
    report.line(f"grid: {len(rows)} rows, {len(failed)} failed")


def shortened(row: dict[str, Any]) -> dict[str, Any]:
    """Keep the place, stages, device figures and AMI of a row."""
    names = ("dataset", "encoder", "reducer", "clusterer", "status", "n", "d", "stages", "device")
    kept = {name: row[name] for name in names if name in row}
    return kept | {"ami": row["scores"].get("ami"), "error": row.get("error", {}).get("message")}
