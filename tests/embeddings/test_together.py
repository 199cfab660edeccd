"""Many encoders on one decoding pass: counted, the bits of each alone, kills, bad input."""

import collections
import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from gpuclust import datasets
from gpuclust.cell import Unit
from gpuclust.datasets.readers.folder import FolderDataset
from gpuclust.device import backend
from gpuclust.embeddings import embed, encode, load, members, parts, pending, together
from gpuclust.errors import BadImagesError, GpuclustError, WeightsError
from gpuclust.events import Stopped, Watcher
from gpuclust.store.store import Store

HERE = Path(__file__).parent
# One geometry, 160 of 168 pixels, bicubic; the means are those of ImageNet, and 0.5.
SAME = ("test_byobnet", "test_efficientnet", "test_vit", "test_convnext")
FOUR = tuple(f"random/{name}" for name in SAME)
BILINEAR = "random/test_resnet"


@dataclass(frozen=True)
class Counted(FolderDataset):
    """Folder with a log file of the images it decodes."""

    def __getitem__(self, i):
        with Path(os.environ["READ_IMAGES"]).open("a") as file:
            file.write(f"{i}\n")
        return super().__getitem__(i)


@dataclass(frozen=True)
class Ordered(Counted):
    """Counted folder to be read in order."""

    sequential: bool = True


def count_reads(patch, log, kind=Counted):
    """Let `datasets.load` open folders with a count of their reads."""
    plain = datasets.load

    def counted(name, **how):
        found = plain(name, **how)
        values = {field: getattr(found, field) for field in found.__dataclass_fields__}
        return kind(**values | {"sequential": kind is Ordered})

    patch.setenv("READ_IMAGES", str(log))
    patch.setattr(datasets, "load", counted)


def reads(log):
    return collections.Counter(log.read_text().split()) if log.exists() else {}


def write_photos(root, count=42):
    pictures = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    for i in range(count):
        path = root / "ab"[i % 2] / f"{i:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        corner = (7 * i, 3 * i, 7 * i + 190, 3 * i + 180)
        pictures[i % 2].crop(corner).save(path, quality=90)
    return root


@pytest.fixture
def root(tmp_path):
    return write_photos(tmp_path / "photos")


@pytest.fixture
def log(tmp_path, monkeypatch):
    log = tmp_path / "reads.txt"
    count_reads(monkeypatch, log)
    return log


@pytest.fixture
def every_pass(monkeypatch):
    """Write a part after each forward pass."""
    monkeypatch.setattr(pending, "PART_SECONDS", 0.0)


def units_of(root, encoders=FOUR):
    return [Unit(f"folder:{root}", "all", name, "own", ()) for name in encoders]


def run(units, store, *, watcher=None, stop=lambda: False, **options):
    options = load.Options(**{"batch_size": 16, "workers": 0} | options)
    return together.embed_together(
        units, Store(store), backend.select("cpu"), options, watcher or Watcher(), stop=stop
    )


def alone(unit, store, **options):
    """Embed with the call for one unit; return its vectors."""
    options = load.Options(**{"batch_size": 16, "workers": 0} | options)
    looked = load.Lookup(unit)
    load.embed_unit(looked, Store(store), backend.select("cpu"), options, Watcher())
    return vectors(unit, store)


def vectors(unit, store):
    files = Store(store).embedding(unit)
    embed.verify(files)
    assert not parts.home(files).exists()
    return np.array(embed.load(files).X)


def assert_bits_of_each_alone(units, tmp_path, store, **options):
    for unit in units:
        expected = alone(unit, tmp_path / "alone", **options)
        assert np.array_equal(vectors(unit, store), expected), unit


class Listener(Watcher):
    """Remembers notes and progress; raises Stopped after `images` of a unit."""

    def __init__(self, images=10**9):
        self.notes, self.progress, self.images = [], {}, images

    def note(self, text):
        self.notes.append(text)

    def embedding(self, unit, done, total):
        self.progress.setdefault(unit.encoder, []).append((done, total))
        if done >= self.images:
            raise Stopped("the run was asked to stop")


@pytest.mark.parametrize("workers", [0, 2])
def test_four_encoders_decode_each_image_once_and_get_the_bits_of_each_alone(
    root, log, tmp_path, workers
):
    units, watcher = units_of(root), Listener()
    done = run(units, tmp_path / "store", workers=workers, watcher=watcher)
    assert reads(log) == {str(i): 1 for i in range(42)}
    assert [unit for unit, _ in done] == units
    assert [meta.n for _, meta in done] == [42] * 4
    assert [meta.encoder for _, meta in done] == list(FOUR)
    assert watcher.notes == [f"folder:{root}: the images are decoded once for 4 encoders"]
    assert {name: seen[-1] for name, seen in watcher.progress.items()} == dict.fromkeys(
        FOUR, (42, 42)
    )
    assert_bits_of_each_alone(units, tmp_path, tmp_path / "store", workers=workers)


def test_another_geometry_gets_a_pass_of_its_own_and_what_is_stored_is_taken(root, log, tmp_path):
    units = units_of(root, (*FOUR[:2], BILINEAR))
    (_, first), *_ = run(units[:1], tmp_path)
    log.unlink()
    done = run(units, tmp_path)
    assert done[0][1] == first
    assert set(reads(log).values()) == {2}  # one of test_efficientnet, one of test_resnet
    log.unlink()
    assert run(units, tmp_path) == done
    assert not log.exists()


def test_with_little_memory_encoders_follow_in_another_pass(root, log, tmp_path, monkeypatch):
    monkeypatch.setattr(members.Room, "for_another", lambda self, some: len(list(some)) < 3)
    watcher = Listener()
    done = run(units_of(root), tmp_path, watcher=watcher)
    assert [meta.n for _, meta in done] == [42] * 4
    assert set(reads(log).values()) == {2}
    assert any("1 more encoder follows in another pass" in text for text in watcher.notes)


def test_room_keeps_a_quarter_of_the_free_memory(root, tmp_path, monkeypatch):
    free = [800]
    monkeypatch.setattr(members, "_free_host_bytes", lambda: free[0])
    room = members.Room(backend.select("cpu"))

    class Fake:
        bytes = 100

    for free[0], count, expected in [(700, 0, True), (700, 1, True), (600, 2, False)]:
        assert room.for_another([Fake()] * count) is expected


def test_a_dataset_that_is_read_in_order_is_read_once(root, tmp_path, monkeypatch):
    log = tmp_path / "reads.txt"
    count_reads(monkeypatch, log, Ordered)
    units = units_of(root)
    run(units, tmp_path / "store", workers=2)
    assert log.read_text().split() == [str(i) for i in range(42)]
    assert_bits_of_each_alone(units, tmp_path, tmp_path / "store")


@pytest.mark.parametrize("kind", [Counted, Ordered])
def test_encoders_interrupted_at_different_places_go_on_together(
    root, tmp_path, monkeypatch, every_pass, kind
):
    log = tmp_path / "reads.txt"
    count_reads(monkeypatch, log, kind)
    units, store = units_of(root), tmp_path / "store"
    for unit, images in zip(units, (8, 30, 16), strict=False):
        with pytest.raises(Stopped):
            run([unit], store, watcher=Listener(images))
    log.unlink()
    run(units, store)
    assert max(reads(log).values()) == 1
    assert_bits_of_each_alone(units, tmp_path, store)


def test_an_encoder_with_vectors_from_before_runs_apart_from_the_others(root, tmp_path, log):
    units, store = units_of(root), tmp_path / "store"
    run(units[:1], store)
    write_photos(root, 50)
    log.unlink()
    run(units, store)
    assert sum(reads(log).values()) == 50 + 8
    for unit in units[1:]:
        assert np.array_equal(vectors(unit, store), alone(unit, tmp_path / "alone"))
    assert len(vectors(units[0], store)) == 50


def test_a_stop_keeps_what_every_encoder_has(root, tmp_path, log):
    units, store = units_of(root), tmp_path / "store"
    with pytest.raises(Stopped):
        run(units, store, watcher=Listener(20))
    kept = [encoded(store, unit) for unit in units]
    assert kept == [28, 14, 14, 14]  # batches of two forward passes; the first met the stop
    log.unlink()
    run(units, store)
    assert max(reads(log).values()) == 1
    assert_bits_of_each_alone(units, tmp_path, store)
    with pytest.raises(Stopped):
        run(units, tmp_path / "other", stop=lambda: True)


def encoded(store, unit):
    (plan,) = parts.plans(Store(store).embedding(unit))
    state = parts.Parts(plan)
    state.scan()
    return int(state.done.sum())


# ---- bad input --------------------------------------------------------------------------------


def test_an_encoder_that_cannot_be_loaded_does_not_end_the_others(root, tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"cut off")
    damaged = f"file:{tmp_path / 'weights.pth'}?arch=test_vit"
    units = units_of(root, (FOUR[0], damaged, "no/encoder", FOUR[2]))
    done = run(units, tmp_path)
    outcomes = [type(one).__name__ for _, one in done]
    assert outcomes == ["EmbeddingMeta", "WeightsError", "UnknownNameError", "EmbeddingMeta"]
    assert isinstance(done[1][1], WeightsError)


def test_a_bad_header_is_refused_before_anything_is_encoded(root, tmp_path, log, monkeypatch):
    (root / "a/10.jpg").write_bytes(b"no image")
    checks = []
    monkeypatch.setattr(
        "gpuclust.embeddings.headers.bad_headers",
        lambda data, some: checks.append(len(some)) or {5: "no image"},
    )
    done = run(units_of(root), tmp_path / "store")
    assert [type(one) for _, one in done] == [BadImagesError] * 4
    assert not log.exists()
    assert sum(checks) == 42  # once for four encoders
    assert not list((tmp_path / "store").rglob("*.part*"))


def spoil_pixels(path):
    """Damage the pixels of an image behind a good header."""
    Image.open(path).save(path, "png")
    content = bytearray(path.read_bytes())
    at = content.index(b"IDAT") + 30
    content[at : at + 40] = bytes(40)
    path.write_bytes(content)


def test_bad_pixels_are_found_once_and_end_all_encoders(root, tmp_path, log):
    for name in ("a/20.jpg", "b/31.jpg"):
        spoil_pixels(root / name)
    done = run(units_of(root), tmp_path / "store")
    for _, error in done:
        assert isinstance(error, BadImagesError)
        assert [Path(path).name for path in error.paths] == ["20.jpg", "31.jpg"]
    assert max(reads(log).values()) <= 2  # those of the batch, and examined without an encoder
    watcher = Listener()
    done = run(units_of(root), tmp_path / "store", skip_bad=True, watcher=watcher)
    assert [meta.n for _, meta in done] == [40] * 4
    assert len([text for text in watcher.notes if "were skipped" in text]) == 1
    assert_bits_of_each_alone(units_of(root), tmp_path, tmp_path / "store", skip_bad=True)
    done = run(units_of(root), tmp_path / "store")  # stored with fewer images: taken as it is
    assert [meta.n for _, meta in done] == [40] * 4


def test_a_full_disk_ends_one_encoder_and_keeps_the_others(root, tmp_path, monkeypatch, every_pass):
    units, plain = units_of(root), encode.write_part
    full = Store(tmp_path / "store").embedding(units[1]).array.name.removesuffix(".npy")

    def write(plan, rows, **header):
        if plan.folder.parent.name.startswith(full) and header["ranges"][0][0] >= 16:
            raise embed_error()
        return plain(plan, rows, **header)

    monkeypatch.setattr(encode, "write_part", write)
    done = run(units, tmp_path / "store")
    outcomes = [type(one).__name__ for _, one in done]
    assert outcomes == ["EmbeddingMeta", "StorageError", "EmbeddingMeta", "EmbeddingMeta"]
    assert encoded(tmp_path / "store", units[1]) == 21  # three forward passes
    monkeypatch.setattr(encode, "write_part", plain)
    run(units, tmp_path / "store")
    assert_bits_of_each_alone(units, tmp_path, tmp_path / "store")


def embed_error():
    from gpuclust.errors import StorageError

    return StorageError(f"cannot write: {os.strerror(errno.ENOSPC)}")


def test_a_dataset_that_is_not_there_is_the_outcome_of_its_units(root, tmp_path):
    units = [*units_of(tmp_path / "nothing", FOUR[:2]), *units_of(root, FOUR[:1])]
    done = run(units, tmp_path / "store")
    assert [isinstance(one, GpuclustError) for _, one in done] == [True, True, False]


# ---- several processes ------------------------------------------------------------------------

CODE = """
    import sys, time
    sys.path.insert(0, {here!r})
    import pytest
    import test_together as t
    t.pending.PART_SECONDS = 0.05
    t.count_reads(pytest.MonkeyPatch(), t.Path(sys.argv[3]))
    take, images = t.encode.Share.take, []
    def slow(share, start, stop, batch, **how):
        time.sleep({seconds})
        before = share.encoded
        take(share, start, stop, batch, **how)
        images.append(share.encoded - before)
    t.encode.Share.take = slow
    print("begins", flush=True)
    done = t.run(t.units_of(sys.argv[1]), sys.argv[2])
    print(t.json.dumps([meta.n for _, meta in done]), sum(images))
"""


def start(root, store, log, seconds=0.02):
    code = textwrap.dedent(CODE.format(here=str(HERE), seconds=seconds))
    command = [sys.executable, "-c", code, str(root), str(store), str(log)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_run_that_is_killed_in_the_middle_ends_with_the_same_bits(root, tmp_path):
    units, store, log = units_of(root), tmp_path / "store", tmp_path / "reads.txt"
    process = start(root, store, log, 0.2)
    end = time.monotonic() + 60
    while not list(store.rglob("*.part")) and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert list(store.rglob("*.part"))
    with contextlib.suppress(StopIteration):
        next(store.rglob("*.part")).unlink()  # one encoder is behind the others
    run(units, store)
    assert_bits_of_each_alone(units, tmp_path, store)


@pytest.mark.slow
def test_two_processes_share_the_units_and_encode_nothing_twice(root, tmp_path):
    units, store = units_of(root), tmp_path / "store"
    logs = [tmp_path / "a.txt", tmp_path / "b.txt"]
    both = [start(root, store, log) for log in logs]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    found = [out.splitlines()[-1].rsplit(" ", 1) for out, _ in said]
    assert [json.loads(counts) for counts, _ in found] == [[42] * 4] * 2
    assert sum(int(images) for _, images in found) == 4 * 42
    assert_bits_of_each_alone(units, tmp_path, store)
