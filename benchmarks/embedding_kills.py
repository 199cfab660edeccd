"""Kill an embedding of 3,000 photos five times and compare it with an undisturbed one.

Run with a folder for its files and an encoder::

    python benchmarks/embedding_kills.py /tmp/kills efficientnet_lite0

It prints the time of the undisturbed run, the images on the disk after each kill, the time of the
last run, and whether the vectors are equal bit for bit.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from gpuclust.cell import Unit, place
from gpuclust.embeddings import parts
from gpuclust.store.store import EmbeddingFiles, Store


def photos(folder: Path, count: int) -> Path:
    """Write photos of 64 x 64 pixels in two classes, unless they are there."""
    rng = np.random.default_rng(0)
    for i in range(count):
        path = folder / "ab"[i % 2] / f"{i:05d}.jpg"
        pixels = rng.integers(0, 255, (64, 64, 3), np.uint8)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return folder


def encoded(files: EmbeddingFiles) -> int:
    """Count the images in the parts on the disk."""
    found = 0
    for plan in parts.plans(files):
        state = parts.Parts(plan)
        state.scan()
        found += int(state.done.sum())
    return found


def start(folder: Path, encoder: str, root: Path, *more: str) -> subprocess.Popen[str]:
    """Start `gpuclust embed` as a process."""
    name = Path(sys.executable).with_name("gpuclust")
    command = [name, "embed", f"folder:{folder}", encoder, "--root", root, *more]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(folder: Path, encoder: str, root: Path, *more: str) -> str:
    """Run `gpuclust embed` to its end; print its time and return its messages."""
    began = time.perf_counter()
    said = start(folder, encoder, root, *more).communicate()[0]
    print(f"{time.perf_counter() - began:6.1f} s  {said.strip().splitlines()[0]}", flush=True)
    return said


def main() -> None:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("encoder")
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=5)
    asked = parser.parse_args()
    folder, draw = photos(asked.folder / "photos", asked.images), random.Random(0)
    roots = {name: asked.folder / name for name in ("calm", "killed")}
    names = place(f"folder:{folder}", None, asked.encoder)
    unit = Unit(**names, preprocess="own", cells=())
    files = {name: Store(root).embedding(unit) for name, root in roots.items()}
    run(folder, asked.encoder, roots["calm"])
    for kill in range(asked.kills):
        before = encoded(files["killed"])
        process = start(folder, asked.encoder, roots["killed"])
        while encoded(files["killed"]) <= before and process.poll() is None:
            time.sleep(0.05)
        wait = draw.uniform(0, 20)
        time.sleep(wait)
        process.kill()
        process.communicate()
        print(f"kill {kill + 1}: {encoded(files['killed'])} images on the disk", flush=True)
    run(folder, asked.encoder, roots["killed"])
    calm, killed = (np.load(files[name].array, mmap_mode="r") for name in roots)
    print("equal bit for bit:", np.array_equal(calm, killed))


if __name__ == "__main__":
    main()
