"""Time the steps of an embedding: decoding, resizing, normalizing, encoding, and all together."""

from __future__ import annotations

import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..device import backend, threads
from ..errors import BadImagesError, GpuclustError, InputError, unknown
from .subset import Subset, write_photos

if TYPE_CHECKING:
    from ..encoders.encoder import Encoder

Say = Callable[[str], object]
PREPROCESSINGS = ("own", "study")  # decoded in loaders, step by step
STEPS = ("decode", "resize", "normalize", "encode")


@dataclasses.dataclass(frozen=True)
class Setting:
    """Images, encoders and options to time; see `bench_embed`."""

    encoders: tuple[str, ...]
    dataset: str | None = None
    split: str | None = None
    data_dir: str | None = None
    images: int = 200
    loaders: int | None = None
    batch_size: int = 64
    preprocess: str = "own"
    device: str = "auto"
    runs: int = 3


def bench_embed(setting: Setting, *, together: bool = False, say: Say = print) -> dict[str, Any]:
    """Time every step of an embedding alone, and the embedding as a whole.

    Every round times all steps of all encoders on the same images.  The steps run in this process,
    decoding and resizing on one core.  `whole` is `embed` with its loaders.

    Parameters
    ----------
    setting : Setting
        Without a dataset, photographs of 6 megapixels are made from two of scikit-learn's.
    together : bool
        Also compare one decoding pass for all encoders with one pass for each, in new processes.

    Returns
    -------
    dict
        ``images``, ``loaders``, ``cores``, and by encoder: ``seconds`` per image of each step and
        round, ``per_second`` (median), ``spread``, ``share`` of the seconds of the whole, and the
        step that ``limits``.

    Raises
    ------
    InputError
        For a dataset without a readable image, or a preprocessing on the device.
    GpuclustError
        As `embed.embed`.
    """
    if setting.preprocess not in PREPROCESSINGS:
        raise unknown("preprocessing to time step by step", setting.preprocess, PREPROCESSINGS)
    with ExitStack() as stack:
        if setting.dataset is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()), "photos")
            say(f"making {setting.images} photographs of 6 megapixels")
            write_photos(folder, setting.images)
            setting = dataclasses.replace(setting, dataset=f"folder:{folder}", split=None)
        found: dict[str, Any] = {"setting": dataclasses.asdict(setting), "cores": threads.cores()}
        found |= _steps(setting, say)
        if together:
            found["together"] = _compare_passes(setting, say)
    return found


def _steps(setting: Setting, say: Say) -> dict[str, Any]:
    from .. import encoders

    data = open_subset(setting)
    on = backend.select(setting.device)
    opened = [
        encoders.load(name, preprocess=setting.preprocess, image_size=data.image_size)
        for name in setting.encoders
    ]
    timed = [_Timed(data, one, on.torch_device(), setting) for one in opened]
    for number in range(setting.runs):
        for one in timed:
            one.round()
            last = ", ".join(f"{name} {one.seconds[name][-1] * 1e3:.2f}" for name in one.seconds)
            say(f"{one.encoder.name}: round {number + 1} of {setting.runs}, ms per image: {last}")
    return {
        "images": len(data),
        "loaders": timed[0].job.workers,
        "device": str(timed[0].job.forward.device),
        "encoders": {one.encoder.name: one.result() for one in timed},
    }


def open_subset(setting: Setting) -> Subset:
    """Open the dataset, and choose images at equal distances."""
    from .. import datasets
    from ..cell import canonical_dataset

    assert setting.dataset is not None
    folder = None if setting.data_dir is None else Path(setting.data_dir)
    whole = datasets.load(canonical_dataset(setting.dataset), split=setting.split, data_dir=folder)
    if not len(whole):
        raise InputError(f"{setting.dataset} has no images to time.")
    count = min(setting.images, len(whole))
    if whole.sequential:  # the first ones
        return Subset(whole, np.arange(count))
    return Subset(whole, np.linspace(0, len(whole) - 1, count).astype(np.int64))


class _Timed:
    """Steps of one encoder, and their seconds per image, one of each round."""

    def __init__(self, data: Subset, encoder: Encoder, device: str, setting: Setting):
        from ..embeddings import embed, planning

        self.data, self.encoder = data, encoder
        self.setting, self.device = setting, device
        self.job = embed.make_job(
            data,
            encoder,
            batch_size=setting.batch_size,
            workers=setting.loaders,
            device=device,
        )
        self.normalize, self.job.forward.normalize = self.job.forward.normalize, None
        self.size = planning.decoded_at_once(self.job.forward.device, encoder, setting.batch_size)
        self.seconds: dict[str, list[float]] = {name: [] for name in (*STEPS, "whole")}

    def round(self) -> None:
        """Time every step once."""
        decode, resize, pixels = self._decode()
        normalize = encode = 0.0
        if not self.seconds["encode"]:  # warm up: the first pass folds batch norms
            for _ in range(2):
                self._encode(self._normalize(pixels[: self.size])[0])
        for start in range(0, len(pixels), self.size):
            batch, seconds = self._normalize(pixels[start : start + self.size])
            normalize += seconds
            encode += self._encode(batch)
        spent = dict(zip(STEPS, (decode, resize, normalize, encode), strict=True))
        for name, seconds in (spent | {"whole": self._whole()}).items():
            self.seconds[name].append(seconds / max(1, len(pixels)))

    def _decode(self) -> tuple[float, float, list[torch.Tensor]]:
        """Decode and resize the images one by one; return the seconds of both, and the pixels."""
        decode = resize = 0.0
        pixels = []
        for i in range(len(self.data)):
            began = time.perf_counter()
            try:
                image, _ = self.data[i]
            except BadImagesError:
                continue
            middle = time.perf_counter()
            pixels.append(self.job.transform(image))
            decode += middle - began
            resize += time.perf_counter() - middle
        if not pixels:
            raise InputError(f"none of {len(self.data)} images of {self.data.name} can be decoded.")
        return decode, resize, pixels

    def _normalize(self, pixels: list[torch.Tensor]) -> tuple[torch.Tensor, float]:
        """Copy a batch to the device and normalize it, unless the transform does so."""
        batch = torch.stack(pixels).contiguous(memory_format=torch.channels_last)
        self._wait()
        began = time.perf_counter()
        batch = batch.to(self.job.forward.device)
        chunk = self.job.forward.chunk or len(batch)
        if self.normalize is not None:
            batch = torch.cat([self.normalize(part) for part in batch.split(chunk)])
        self._wait()
        return batch, time.perf_counter() - began

    def _encode(self, batch: torch.Tensor) -> float:
        began = time.perf_counter()
        self.job.forward(batch).cpu()
        return time.perf_counter() - began

    def _whole(self) -> float:
        """Embed all images with the loaders; return the seconds."""
        from ..embeddings import embed
        from ..store.store import EmbeddingFiles

        with tempfile.TemporaryDirectory() as folder:
            names = ("e.npy", "e.labels.parquet", "e.json")
            files = EmbeddingFiles(*(Path(folder, name) for name in names))
            self._wait()
            began = time.perf_counter()
            embed.embed(
                self.data,
                self.encoder,
                files,
                device=self.device,
                batch_size=self.setting.batch_size,
                workers=self.setting.loaders,
                skip_bad=True,
            )
            return time.perf_counter() - began

    def _wait(self) -> None:
        if self.job.forward.device.type == "cuda":
            torch.cuda.synchronize()

    def result(self) -> dict[str, Any]:
        """Summarize the rounds."""
        median = {name: statistics.median(some) for name, some in self.seconds.items()}
        return {
            "seconds": self.seconds,
            "per_second": {name: 1 / max(one, 1e-12) for name, one in median.items()},
            "spread": {
                name: (max(some) - min(some)) / max(median[name], 1e-12)
                for name, some in self.seconds.items()
            },
            "share": {name: median[name] / max(median["whole"], 1e-12) for name in STEPS},
            "limits": limit(
                median,
                self.job.workers,
                on_gpu=self.job.forward.device.type != "cpu",
                cores=threads.cores(),
            ),
        }


def limit(seconds: dict[str, float], loaders: int, *, on_gpu: bool, cores: int) -> str:
    """Return the slowest step.

    Loaders on other cores than the encoder decode while it encodes: on a GPU their seconds count
    divided by their number.  On a CPU all steps share the cores.

    Examples
    --------
    >>> seconds = {"decode": 0.01, "resize": 0.002, "normalize": 0.0, "encode": 0.004}
    >>> limit(seconds, 2, on_gpu=True, cores=16), limit(seconds, 8, on_gpu=True, cores=16)
    ('decode', 'encode')
    """
    parallel = min(loaders, cores) if on_gpu and loaders else 1
    loading = (seconds["decode"] + seconds["resize"]) / parallel
    encoding = seconds["normalize"] + seconds["encode"]
    names = ("decode", "resize") if loading > encoding else ("normalize", "encode")
    return max(names, key=seconds.__getitem__)


# ---- one pass against one pass per encoder ------------------------------------------------------


def _compare_passes(setting: Setting, say: Say) -> dict[str, Any]:
    """Embed with all encoders in one pass and in one pass each, in new processes, in turns."""
    seconds: dict[str, list[float]] = {"one_pass": [], "pass_each": []}
    hashes = set()
    for number in range(setting.runs):
        order = list(seconds)
        for name in order if number % 2 == 0 else reversed(order):
            answer = _in_new_process(setting, name)
            seconds[name].append(answer["seconds"])
            hashes.add(json.dumps(answer["sha256"]))
            say(f"{name}: round {number + 1} of {setting.runs}, {answer['seconds']:.2f} s")
    median = {name: statistics.median(some) for name, some in seconds.items()}
    return {
        "seconds": seconds,
        "speedup": median["pass_each"] / median["one_pass"],
        "bits_equal": len(hashes) == 1,
    }


def _in_new_process(setting: Setting, how: str) -> dict[str, Any]:
    given = json.dumps({"setting": dataclasses.asdict(setting), "how": how})
    command = [sys.executable, "-m", "gpuclust.bench.passes", given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GpuclustError(f"the process of {how} failed: {done.stderr.strip()[-400:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
