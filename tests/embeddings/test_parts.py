"""Parts of an embedding: nothing is encoded twice, and interruptions change no bit."""

import contextlib
import dataclasses
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from gpuclust import datasets
from gpuclust.embeddings import assemble, convoy, embed, encode, parts, pending
from gpuclust.errors import BadImagesError, StorageError
from gpuclust.store import store as stores
from gpuclust.store.store import EmbeddingFiles

HERE = Path(__file__).parent


def to_tensor(image):
    pixels = np.asarray(image.resize((8, 8)), np.float32).transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(pixels / 255))


class Counting(torch.nn.Module):
    """Encoder to count images; its vectors depend on the other images of a forward pass."""

    def __init__(self, *, seconds=0.0, after=None):
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(192, 16)
        self.images, self.seconds, self.after = 0, seconds, after

    def forward(self, x):
        if self.after is not None and self.images >= self.after:
            raise ZeroDivisionError
        self.images += len(x)
        if log := os.environ.get("COUNT_IMAGES"):
            with Path(log).open("a") as file:
                file.write(f"{len(x)}\n")
        time.sleep(self.seconds * len(x))
        # Every vector knows which images it was encoded with.
        return self.linear(x.flatten(1)) * (1 + 1e-3 * x.mean())


def encoder(module=None, **changes):
    values = {
        "name": "counting",
        "module": module or Counting(),
        "transform": to_tensor,
        "preprocessing": {"crop": [224, 224]},  # forward passes of 4
        "preprocess": "own",
        "pool": "",
        "weights_hash": "w",
        "source": {},
    }
    return SimpleNamespace(**values | changes)


@pytest.fixture
def files(tmp_path):
    return of(tmp_path / "out")


def of(folder):
    return EmbeddingFiles(folder / "e.npy", folder / "e.labels.parquet", folder / "e.json")


def write_photos(root, numbers, size=24):
    for i in numbers:
        path = root / "ab"[i % 2] / f"{i:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 255, (size, size, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return datasets.load(f"folder:{root}")


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos", range(101))


@pytest.fixture
def every_pass(monkeypatch):
    """Write a part after each forward pass."""
    monkeypatch.setattr(pending, "PART_SECONDS", 0.0)


def undisturbed(dataset, tmp_path, **options):
    calm = of(tmp_path / "calm")
    embed.embed(dataset, encoder(), calm, batch_size=16, **options)
    return np.array(embed.load(calm).X)


def spoil(path, *, header):
    """Damage an image: its header, or only the pixels behind a good header."""
    content = bytearray(path.read_bytes())
    if header:
        path.write_bytes(b"no image")
    else:
        at = content.index(b"IDAT") + 30
        content[at : at + 40] = bytes(40)
        path.write_bytes(content)


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_an_interrupted_run_goes_on_and_the_vectors_are_the_same_bit_for_bit(
    photos, files, tmp_path, every_pass
):
    expected = undisturbed(photos, tmp_path)
    said, total = [], 0
    for after in (10, 30, 17):
        module = Counting(after=after)
        with pytest.raises(ZeroDivisionError):
            embed.embed(photos, encoder(module), files, batch_size=16)
        assert embed.load_meta(files) is None
        total += module.images
    module = Counting()
    embed.embed(photos, encoder(module), files, batch_size=16, note=said.append)
    assert np.array_equal(embed.load(files).X, expected)
    embed.verify(files)
    assert total + module.images == 101  # no image was encoded twice
    assert said == ["64 of 101 images were embedded before"]
    assert names(files.array.parent) == ["e.json", "e.labels.parquet", "e.npy"]


def test_another_number_of_threads_or_loaders_changes_no_bit(photos, files, tmp_path, every_pass):
    before = torch.get_num_threads()
    expected = undisturbed(photos, tmp_path)
    with pytest.raises(ZeroDivisionError):
        embed.embed(photos, encoder(Counting(after=40)), files, batch_size=16)
    used = []
    module = Counting()
    module.register_forward_hook(lambda *_: used.append(torch.get_num_threads()))
    torch.set_num_threads(before + 1)
    try:
        embed.embed(photos, encoder(module), files, batch_size=16, workers=2)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    assert set(used) == {before}
    assert np.array_equal(embed.load(files).X, expected)


def test_a_halved_batch_stays_halved_when_the_run_goes_on(photos, files, every_pass):
    class Small(Counting):
        def __init__(self, fits, after=None):
            super().__init__(after=after)
            self.fits, self.sizes = fits, []

        def forward(self, x):
            if len(x) > self.fits:
                raise MemoryError
            self.sizes.append(len(x))
            return super().forward(x)

    with pytest.raises(ZeroDivisionError):
        embed.embed(photos, encoder(Small(2, after=20)), files, batch_size=16)
    module = Small(99)
    meta = embed.embed(photos, encoder(module), files, batch_size=16).meta
    assert set(module.sizes) == {1, 2}
    assert meta.batch_size == 2


def test_a_smaller_batch_size_keeps_what_was_encoded(photos, files, every_pass):
    with pytest.raises(ZeroDivisionError):
        embed.embed(photos, encoder(Counting(after=40)), files, batch_size=16)
    module = Counting()
    embed.embed(photos, encoder(module), files, batch_size=2)
    assert module.images == 61


@pytest.mark.parametrize(
    "change",
    [{"weights_hash": "v"}, {"pool": "cls"}, {"preprocessing": {"crop": [224, 224], "x": 1}}],
)
def test_parts_of_another_encoder_are_not_used(photos, files, every_pass, change):
    with pytest.raises(ZeroDivisionError):
        embed.embed(photos, encoder(Counting(after=40)), files, batch_size=16)
    module = Counting()
    embed.embed(photos, encoder(module, **change), files, batch_size=16, reuse=True)
    assert module.images == 101
    assert names(files.array.parent) == ["e.json", "e.labels.parquet", "e.npy"]


def test_parts_of_another_precision_are_not_used(photos, files, every_pass):
    with pytest.raises(ZeroDivisionError):
        embed.embed(photos, encoder(Counting(after=40)), files, batch_size=16)
    module = Counting()
    embed.embed(photos, encoder(module), files, batch_size=16, dtype="bfloat16", reuse=True)
    assert module.images == 101


@pytest.mark.parametrize("size", [0, 100, -1])
def test_a_part_that_was_cut_off_is_encoded_again(photos, files, tmp_path, every_pass, size):
    with pytest.raises(ZeroDivisionError):
        embed.embed(photos, encoder(Counting(after=40)), files, batch_size=16)
    part = sorted(parts.home(files).glob("*/*.part"))[3]
    part.write_bytes(part.read_bytes()[:size])
    module = Counting()
    embed.embed(photos, encoder(module), files, batch_size=16)
    assert module.images == 65
    assert np.array_equal(embed.load(files).X, undisturbed(photos, tmp_path))


def test_a_part_with_changed_content_is_encoded_again_and_said(photos, files, tmp_path, every_pass):
    with pytest.raises(ZeroDivisionError):
        embed.embed(photos, encoder(Counting(after=40)), files, batch_size=16)
    part = sorted(parts.home(files).glob("*/*.part"))[3]
    content = bytearray(part.read_bytes())
    content[-3] ^= 1
    part.write_bytes(content)
    said = []
    embed.embed(photos, encoder(), files, batch_size=16, note=said.append)
    assert any("is damaged" in text for text in said)
    assert np.array_equal(embed.load(files).X, undisturbed(photos, tmp_path))


def test_an_image_that_one_of_two_processes_could_not_decode_takes_no_row(
    photos, files, tmp_path, every_pass
):
    with pytest.raises(ZeroDivisionError):
        embed.embed(photos, encoder(Counting(after=40)), files, batch_size=16)
    calm = undisturbed(photos, tmp_path)
    (plan,) = parts.plans(files)
    (plan.folder.parent / ".DS_Store").touch()
    # Parts of 4 images are there; this one of another process ends in the middle of the tenth.
    header = {"labels": [0] * 5, "used": {"limit": 16, "layers": "python"}, "seconds": 1.0}
    bad = [(37, "no such disk")]
    parts.write_part(plan, [calm[32:37]], ranges=[[32, 38]], bad=bad, **header)
    meta = embed.embed(photos, encoder(), files, batch_size=16, skip_bad=True).meta
    assert [one["index"] for one in meta.skipped] == [37]
    assert np.array_equal(embed.load(files).X, np.delete(calm, 37, axis=0))


@pytest.mark.parametrize("name", ["plan.json", "images.npz"])
def test_without_a_readable_plan_everything_is_encoded_again(photos, files, every_pass, name):
    with pytest.raises(ZeroDivisionError):
        embed.embed(photos, encoder(Counting(after=40)), files, batch_size=16)
    for path in parts.home(files).glob(f"*/{name}"):
        path.write_bytes(b"{")
    module = Counting()
    embed.embed(photos, encoder(module), files, batch_size=16)
    assert module.images == 101


def test_a_disk_that_is_full_in_the_middle_keeps_the_parts(
    photos, files, tmp_path, every_pass, monkeypatch
):
    original, calls = encode.write_part, []

    def fill_up(*args, **how):
        calls.append(1)
        if len(calls) > 5:
            raise StorageError("No space left on device")
        return original(*args, **how)

    monkeypatch.setattr(encode, "write_part", fill_up)
    with pytest.raises(StorageError):
        embed.embed(photos, encoder(), files, batch_size=16)
    monkeypatch.undo()
    module = Counting()
    embed.embed(photos, encoder(module), files, batch_size=16)
    assert module.images == 101 - 5 * 4
    assert np.array_equal(embed.load(files).X, undisturbed(photos, tmp_path))


@pytest.mark.parametrize("last", ["e.npy", "e.labels.parquet", "e.json"])
def test_an_end_while_the_files_are_put_together_costs_no_encoding(
    photos, files, tmp_path, monkeypatch, last
):
    original = stores.atomic

    @contextlib.contextmanager
    def dying(path, **how):
        with original(path, **how) as temporary:
            yield temporary
            if path.name == last:
                raise KeyboardInterrupt

    monkeypatch.setattr("gpuclust.embeddings.assemble.atomic", dying)
    with pytest.raises(KeyboardInterrupt):
        embed.embed(photos, encoder(), files, batch_size=16)
    assert embed.load_meta(files) is None
    monkeypatch.undo()
    module = Counting()
    embed.embed(photos, encoder(module), files, batch_size=16)
    assert module.images == 0
    assert np.array_equal(embed.load(files).X, undisturbed(photos, tmp_path))


# ---- bad images -------------------------------------------------------------------------------


def test_bad_headers_are_listed_before_anything_is_encoded(photos, files):
    bad = [photos.root / photos.files[i] for i in (7, 50, 99)]
    for path in bad:
        spoil(path, header=True)
    changed, module = datasets.load(photos.name), Counting()
    with pytest.raises(BadImagesError, match=r"3 of 101 images cannot.*--skip-bad") as caught:
        embed.embed(changed, encoder(module), files, batch_size=16)
    assert caught.value.paths == tuple(map(str, bad))
    assert module.images == 0
    assert names(files.array.parent) == []
    meta = embed.embed(changed, encoder(module), files, batch_size=16, skip_bad=True).meta
    assert module.images == 98
    assert [one["index"] for one in meta.skipped] == [7, 50, 99]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_image_that_is_found_late_costs_no_encoding(photos, files, workers, tmp_path):
    for i in (40, 90):
        spoil(photos.root / photos.files[i], header=False)
    changed, first, second = datasets.load(photos.name), Counting(), Counting()
    how = {"batch_size": 16, "workers": workers}
    with pytest.raises(BadImagesError, match=r"2 of 101 .*the 32 images embedded so far are kept"):
        embed.embed(changed, encoder(first), files, **how)
    assert first.images == 32
    meta = embed.embed(changed, encoder(second), files, **how, skip_bad=True).meta
    assert first.images + second.images == 99
    assert [one["index"] for one in meta.skipped] == [40, 90]
    assert np.array_equal(embed.load(files).X, undisturbed(changed, tmp_path, skip_bad=True))


def test_a_bad_image_that_is_found_late_may_also_be_deleted(photos, files, every_pass):
    spoil(photos.root / photos.files[40], header=False)
    first, second = Counting(), Counting()
    with pytest.raises(BadImagesError):
        embed.embed(datasets.load(photos.name), encoder(first), files, batch_size=16, reuse=True)
    (photos.root / photos.files[40]).unlink()
    rest = datasets.load(photos.name)
    embed.embed(rest, encoder(second), files, batch_size=16, reuse=True)
    assert first.images + second.images == 100


def test_without_the_option_images_that_were_skipped_before_are_an_error(photos, files, every_pass):
    spoil(photos.root / photos.files[10], header=False)
    changed = datasets.load(photos.name)
    with pytest.raises(ZeroDivisionError):
        embed.embed(changed, encoder(Counting(after=40)), files, batch_size=16, skip_bad=True)
    module = Counting()
    with pytest.raises(BadImagesError, match="1 of 101"):
        embed.embed(changed, encoder(module), files, batch_size=16)
    assert module.images == 0


# ---- new and removed images -------------------------------------------------------------------


def test_one_new_photo_is_embedded_alone(photos, files):
    before = np.array(embed.embed(photos, encoder(), files, batch_size=16).X)
    fingerprint = embed.load_meta(files).fingerprint
    more, said, module = write_photos(photos.root, [500]), [], Counting()
    meta = embed.embed(
        more, encoder(module), files, batch_size=16, reuse=True, note=said.append
    ).meta
    assert module.images == 1
    assert said == ["1 of 102 images is new and is embedded; 101 are taken from before"]
    where = more.files.index("a/0500.png")
    X, y, _ = embed.load(files)
    assert np.array_equal(np.delete(X, where, 0), before)
    assert y.tolist() == more.labels.tolist()
    assert meta.fingerprint != fingerprint
    assert meta.images_per_second > 0
    embed.verify(files)


def test_removed_photos_drop_out_and_a_new_class_shifts_the_labels(photos, files, tmp_path):
    before = np.array(embed.embed(photos, encoder(), files, batch_size=16).X)
    for i in (0, 60):
        (photos.root / photos.files[i]).unlink()
    (photos.root / "0").mkdir()
    Image.new("RGB", (9, 9)).save(photos.root / "0" / "x.png")
    changed, module = datasets.load(photos.name), Counting()
    embed.embed(changed, encoder(module), files, batch_size=16, reuse=True)
    assert module.images == 1
    X, y, meta = embed.load(files)
    assert np.array_equal(X[1:], np.delete(before, [0, 60], 0))
    assert y.tolist() == changed.labels.tolist()
    assert meta.n_classes == 3


def test_only_removed_photos_encode_nothing(photos, files):
    embed.embed(photos, encoder(), files, batch_size=16)
    (photos.root / photos.files[3]).unlink()
    module = Counting()
    meta = embed.embed(
        datasets.load(photos.name), encoder(module), files, batch_size=16, reuse=True
    ).meta
    assert (module.images, meta.n, meta.layers) == (0, 100, "as built")


def test_a_photo_with_other_pixels_under_the_same_name_is_embedded_again(photos, files):
    embed.embed(photos, encoder(), files, batch_size=16)
    Image.new("RGB", (24, 24)).save(photos.root / photos.files[3])
    module = Counting()
    embed.embed(datasets.load(photos.name), encoder(module), files, batch_size=16, reuse=True)
    assert module.images == 1


def test_an_interrupted_addition_goes_on(photos, files, every_pass):
    embed.embed(photos, encoder(), files, batch_size=16)
    more = write_photos(photos.root, range(500, 520))
    counts = []
    for after in (8, 4):
        module = Counting(after=after)
        with pytest.raises(ZeroDivisionError):
            embed.embed(more, encoder(module), files, batch_size=16, reuse=True)
        counts.append(module.images)
    module = Counting()
    embed.embed(more, encoder(module), files, batch_size=16, reuse=True)
    assert sum(counts) + module.images == 20
    embed.verify(files)


def test_photos_that_come_while_a_run_is_interrupted_are_added(photos, files, every_pass):
    with pytest.raises(ZeroDivisionError):
        embed.embed(photos, encoder(Counting(after=40)), files, batch_size=16, reuse=True)
    more, module = write_photos(photos.root, [500, 501]), Counting()
    embed.embed(more, encoder(module), files, batch_size=16, reuse=True)
    assert module.images == 63
    assert len(list(parts.home(files).parent.iterdir())) == 3


def test_of_a_changed_embedding_nothing_is_taken_over(photos, files):
    embed.embed(photos, encoder(), files, batch_size=16)
    content = bytearray(files.array.read_bytes())
    content[-5] ^= 1
    files.array.write_bytes(content)
    module = Counting()
    embed.embed(write_photos(photos.root, [500]), encoder(module), files, batch_size=16, reuse=True)
    assert module.images == 102


def test_images_of_an_array_are_known_by_the_whole_dataset(files, every_pass):
    whole = datasets.load("digits")
    few = dataclasses.replace(whole, images=whole.images[:50], labels=whole.labels[:50])
    other = dataclasses.replace(few, images=whole.images[50:100], labels=whole.labels[50:100])
    embed.embed(few, encoder(), files, batch_size=16)
    module = Counting()
    embed.embed(other, encoder(module), files, batch_size=16, reuse=True)
    assert module.images == 50


def test_a_stream_goes_on_without_encoding_twice(files, every_pass, tmp_path):
    whole = datasets.load("digits")
    few = dataclasses.replace(
        whole, images=whole.images[:50], labels=whole.labels[:50], sequential=True
    )
    first, second = Counting(after=20), Counting()
    with pytest.raises(ZeroDivisionError):
        embed.embed(few, encoder(first), files, batch_size=16)
    embed.embed(few, encoder(second), files, batch_size=16)
    assert first.images + second.images == 50
    assert np.array_equal(embed.load(files).X, undisturbed(few, tmp_path))


# ---- several processes ------------------------------------------------------------------------

CODE = """
    import sys
    sys.path.insert(0, {here!r})
    import test_parts as t
    from pathlib import Path
    from gpuclust import datasets
    from gpuclust.embeddings import embed, pending
    pending.PART_SECONDS = {part}
    module = t.Counting(seconds={seconds})
    data, files = datasets.load("folder:" + sys.argv[1]), t.of(Path(sys.argv[2]))
    print("begins", flush=True)
    t.die_while_writing(*sys.argv[4:])
    if sys.argv[3] == "help":
        for _ in range(200):
            if embed.help_embed(data, t.encoder(module), files):
                break
            t.time.sleep(0.05)
    else:
        embed.embed(data, t.encoder(module), files, batch_size=16, workers={workers})
    print(module.images)
"""


def die_while_writing(ending=None, count=0):
    """Kill this process while it writes a file with this ending, after `count` others."""
    original, written = stores.atomic, []

    @contextlib.contextmanager
    def deadly(path, **how):
        with original(path, **how) as temporary:
            yield temporary
            if path.name.endswith(ending):
                written.append(path)
                if len(written) > int(count):
                    os.kill(os.getpid(), signal.SIGKILL)

    if ending is not None:
        parts.atomic = assemble.atomic = deadly


def start(folder, out, *role, seconds=0.0, part=0.2, workers=0):
    code = CODE.format(here=str(HERE), seconds=seconds, part=part, workers=workers)
    command = [sys.executable, "-c", textwrap.dedent(code), str(folder), str(out)]
    command += role or ["embed"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_processes_encode_each_image_once_between_them(photos, files, tmp_path):
    where = (photos.root, files.array.parent)
    both = [start(*where, role, seconds=0.02) for role in ("embed", "help")]
    said = [process.communicate(timeout=100) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    counts = [int(out.split()[-1]) for out, _ in said]
    assert sum(counts) == 101
    assert min(counts) > 0
    assert np.array_equal(embed.load(files).X, undisturbed(photos, tmp_path))


@pytest.mark.slow
def test_a_helper_that_is_killed_costs_its_part_only(photos, files, tmp_path):
    where = (photos.root, files.array.parent)
    owner, helper = start(*where, seconds=0.03), start(*where, "help", seconds=0.03)
    wait_for(lambda: any(parts.home(files).glob("*/*.lock")))
    assert helper.stdout.readline() == "begins\n"
    time.sleep(0.5)
    helper.kill()
    helper.communicate()
    _, err = owner.communicate(timeout=100)
    assert owner.returncode == 0, err
    assert np.array_equal(embed.load(files).X, undisturbed(photos, tmp_path))


def wait_for(event, patience=60):
    end = time.monotonic() + patience
    while not event():
        assert time.monotonic() < end
        time.sleep(0.02)


def encoded(files):
    """Count the images in the parts on the disk."""
    found = 0
    for plan in parts.plans(files):
        state = parts.Parts(plan)
        state.scan()
        found += int(state.done.sum())
    return found


def kill_and_resume(dataset, files, kills, *, seconds, part, workers, draw):
    """Kill runs at random moments after a new part; return the images kept each time."""
    kept = []
    for _ in range(kills):
        before = encoded(files)
        process = start(
            dataset.root, files.array.parent, seconds=seconds, part=part, workers=workers
        )
        wait_for(lambda before=before: encoded(files) > before or files.meta.exists())
        time.sleep(draw.uniform(0, part))
        process.kill()
        process.communicate()
        kept.append(encoded(files) - before)
    return kept


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "count"),
    [("images.npz", 0), ("plan.json", 0), (".part", 0), (".part", 9), ("e.npy", 0), ("e.json", 0)],
)
def test_a_run_that_is_killed_while_it_writes_goes_on(photos, files, tmp_path, ending, count):
    where = (photos.root, files.array.parent)
    process = start(*where, "embed", ending, str(count), part=0.0)
    process.communicate(timeout=100)
    assert process.returncode == -signal.SIGKILL
    assert embed.load_meta(files) is None
    before, module = encoded(files), Counting()
    embed.embed(photos, encoder(module), files, batch_size=16)
    assert module.images == 101 - before
    assert before == {"images.npz": 0, "plan.json": 0, ".part": 4 * count}.get(ending, 101)
    assert np.array_equal(embed.load(files).X, undisturbed(photos, tmp_path))


@pytest.mark.slow
def test_a_run_that_is_killed_at_random_moments_ends_with_the_same_bits(photos, files, tmp_path):
    expected = undisturbed(photos, tmp_path)
    kept = kill_and_resume(
        photos, files, 3, seconds=0.02, part=0.1, workers=1, draw=random.Random(0)
    )
    assert all(count > 0 for count in kept)
    module = Counting()
    embed.embed(photos, encoder(module), files, batch_size=16)
    assert module.images == 101 - sum(kept)
    assert np.array_equal(embed.load(files).X, expected)


def test_a_process_that_holds_a_range_without_end_is_not_waited_for(
    photos, files, monkeypatch, every_pass
):
    from gpuclust.store import claims

    with pytest.raises(ZeroDivisionError):
        embed.embed(photos, encoder(Counting(after=40)), files, batch_size=16)
    (plan,) = parts.plans(files)
    lock = claims.lock_now(plan.lock(5))  # its owner never writes a part
    monkeypatch.setattr(convoy, "PATIENCE_SECONDS", 0.5)
    embed.embed(photos, encoder(), files, batch_size=16)
    lock.release()
    embed.verify(files)


def test_there_is_nothing_to_help_with_after_the_end(photos, files):
    embed.embed(photos, encoder(), files, batch_size=16)
    assert embed.help_embed(photos, encoder(), files) == 0


def test_helpers_of_another_encoder_do_nothing(photos, files, every_pass):
    with pytest.raises(ZeroDivisionError):
        embed.embed(photos, encoder(Counting(after=40)), files, batch_size=16)
    other, same = Counting(), Counting()
    assert embed.help_embed(photos, encoder(other, weights_hash="v"), files) == 0
    assert embed.help_embed(photos, encoder(same), files) == 61
    assert (other.images, same.images) == (0, 61)
    assert embed.load_meta(files) is None  # a helper does not finish the embedding
    assert parts.home(files).is_dir()


@pytest.mark.long
def test_three_thousand_photos_survive_five_kills_bad_photos_and_a_new_one(
    tmp_path, files, monkeypatch
):
    count, kills = 3000, 5
    folder = write_photos(tmp_path / "photos", range(count)).root
    log = tmp_path / "count.txt"
    monkeypatch.setenv("COUNT_IMAGES", str(log))
    bad = [folder / "ab"[i % 2] / f"{i:04d}.png" for i in (3, 1500, 2999)]
    kept = [path.read_bytes() for path in bad]
    for path in bad:
        spoil(path, header=True)
    with pytest.raises(BadImagesError, match="3 of 3000"):
        embed.embed(datasets.load(f"folder:{folder}"), encoder(), files)
    assert not log.exists()
    for path, content in zip(bad, kept, strict=True):
        path.write_bytes(content)

    dataset = datasets.load(f"folder:{folder}")
    how = {"seconds": 0.01, "part": pending.PART_SECONDS, "workers": 2}
    kill_and_resume(dataset, files, kills, draw=random.Random(0), **how)
    embed.embed(dataset, encoder(), files)
    encodings = sum(map(int, log.read_text().split()))
    assert encodings - count <= kills * 30 * 100  # 30 s at 100 images/s
    assert np.array_equal(embed.load(files).X, undisturbed(dataset, tmp_path))

    log.unlink()
    more = write_photos(folder, [5000])
    embed.embed(more, encoder(), files, reuse=True)
    assert log.read_text() == "1\n"
    spoil(folder / "a" / "0000.png", header=False)
    said = []
    changed = datasets.load(f"folder:{folder}")
    embed.embed(changed, encoder(), files, skip_bad=True, reuse=True, note=said.append)
    assert log.read_text() == "1\n"
    assert said == ["1 of 3,001 images is new and is embedded; 3,000 are taken from before"]
