"""The part of `gpu.py` that follows every byte: what crosses to the host, and what is held."""

import argparse
from pathlib import Path
from typing import Any

from recipe_gpu import Report, array_of, engine, large, real, recorded, size, unit_of

from gpuclust import pipeline
from gpuclust.cell import Unit
from gpuclust.device import transfers
from gpuclust.device.backend import Backend
from gpuclust.embeddings.data import Data
from gpuclust.methods.table import CLUSTERERS
from gpuclust.pipeline import Outcome


def residency(args: argparse.Namespace, report: Report) -> None:
    """Trace what the stages of two units and of a grid copy, and what memory they hold."""
    on = engine(dry=args.dry)
    data = real(args)
    reducers = ("none", "pca(5)") if args.dry else ("none", "umap")
    follow(on, report, "study", data, unit_of(reducers, CLUSTERERS), trace=not args.dry)
    # Every iteration of affinity propagation is alike, and each kernel is an event of the trace.
    some = [f"{name}(max_iter=30)" if name == "affinity" else name for name in CLUSTERERS]
    unit = unit_of(reducers, some)
    follow(on, report, "large", large(data, dry=args.dry), unit, trace=not args.dry)
    grid(on, report, args)


def follow(on: Backend, report: Report, where: str, data: Data, unit: Unit, *, trace: bool) -> None:
    """Run a unit and write down of each stage its copies, peak, and where its array lies."""
    X_bytes, name = data.X.nbytes, size(data)
    with on.watch(transfers.trace if trace else None) as loaded:
        data = on.place(data)
        on.synchronize()
    report.put(where, "embedding", value={"size": name, "bytes": X_bytes, "load": loaded})

    def note(kind: str, stage: str, outcome: Outcome) -> None:
        if kind == "begin":
            report.running(f"{where}: {stage}")
        else:
            report.put(where, "stages", stage, value=described(outcome, X_bytes))

    for _ in pipeline.run_unit(unit, data, on, attempt=recorded(on, note, trace=trace)):
        pass
    conclude(report, where, name, type(data.X).__module__.partition(".")[0])


def described(outcome: Outcome, X_bytes: int) -> dict[str, Any]:
    """Give what a stage did; its seconds contain compiling, loading and tracing."""
    found: dict[str, Any] = {"seconds": round(outcome.seconds, 4), **outcome.device}
    if outcome.error is not None:
        found["error"] = f"{type(outcome.error).__name__}: {outcome.error}"[:1000]
    if (array := array_of(outcome.value)) is not None:
        found["array"] = f"{type(array).__module__.partition('.')[0]} {array.dtype}"
    if "to_host" in found:
        found["share_of_X"] = found["to_host"] / X_bytes
    return found


def conclude(report: Report, where: str, name: str, library: str) -> None:
    """Sum a unit up: does everything lie where the embedding lies, and what crossed most?"""
    stages = report.content[where]["stages"]
    arrays = {stage: one["array"] for stage, one in stages.items() if "array" in one}
    astray = [stage for stage, of in arrays.items() if not of.startswith(library)]
    failed = [stage for stage, one in stages.items() if "error" in one]
    shares = {stage: one["share_of_X"] for stage, one in stages.items() if "share_of_X" in one}
    result = {"library": library, "astray": astray, "failed": failed}
    if shares:
        most = max(shares, key=shares.get)
        result |= {"largest_share": [most, shares[most]], "total_share": sum(shares.values())}
        peak = max((one.get("peak_bytes") or 0) for one in stages.values())
        report.tell(
            f"{where} {name}: to host {100 * sum(shares.values()):.1f} % of X in all, most in "
            f"{most} ({100 * shares[most]:.1f} %), peak {peak / 2**30:.1f} GiB"
        )
    report.put(where, "result", value=result)
    report.tell(
        f"{where}: {len(arrays)} arrays, all of {library} but {astray}; failed stages: {failed}"
    )


def photographs(folder: Path, side: int) -> Path:
    """Cut scikit-learn's two photographs into square patches: a folder of real images."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    bunch = load_sample_images()
    for name, image in zip(bunch.filenames, bunch.images, strict=True):
        place = folder / "photographs" / Path(name).stem
        place.mkdir(parents=True, exist_ok=True)
        height, width = (length // side for length in image.shape[:2])
        for i in range(height):
            for j in range(width):
                patch = image[i * side : (i + 1) * side, j * side : (j + 1) * side]
                Image.fromarray(patch).save(place / f"{i:02}-{j:02}.png")
    return folder / "photographs"


def grid(on: Backend, report: Report, args: argparse.Namespace) -> None:
    """Run two encoders on two datasets through `run_grid`: images to rows, embedded there."""
    from gpuclust.grid.run import run_grid
    from gpuclust.report import tables
    from gpuclust.store.store import Store

    photos = f"folder:{photographs(args.folder, side=100 if args.dry else 32)}"
    places = [(photos, "all")] if args.dry else [("digits", "all"), (photos, "all")]
    encoders = ("random/resnet50", "random/vit_base_patch16_224")
    encoders = ("raw", "random/test_resnet") if args.dry else encoders
    how = [(["none"], ["kmeans"])] if args.dry else [(["none", "umap"], CLUSTERERS)]
    units = [
        unit_of(*one, dataset=dataset, split=split, encoder=encoder)
        for one in how
        for dataset, split in places
        for encoder in encoders
    ]
    store = Store(args.folder / "grid")
    for unit in units:
        report.running(f"grid: {unit}")
        run_grid([unit], store, on, trace=not args.dry)
        rows = store.rows()[0]
        report.put("grid", "rows", value=[shortened(row) for row in rows])
    brief = tables.transfers(rows)
    report.put("grid", "table", value={"common": brief.common, "header": brief.header})
    report.put("grid", "table", "lines", value=brief.lines)
    failed = [row for row in rows if row["status"] != "ok"]
    report.tell(f"grid: {len(rows)} rows of {len(units)} units, {len(failed)} failed")


def shortened(row: dict[str, Any]) -> dict[str, Any]:
    """Keep of a row what this benchmark is about."""
    names = ("dataset", "encoder", "reducer", "clusterer", "status", "n", "d", "stages", "device")
    kept = {name: row[name] for name in names if name in row}
    return kept | {"ami": row["scores"].get("ami"), "error": row.get("error", {}).get("message")}
