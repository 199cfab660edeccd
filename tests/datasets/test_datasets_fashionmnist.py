"""Fashion-MNIST read from synthetic idx files."""

import gzip
import struct

import numpy as np
import pytest

from gpuclust import datasets
from gpuclust.datasets.readers import fashionmnist
from gpuclust.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 28, 28), np.uint8)
LABELS = (np.arange(12) % 10).astype(np.uint8)


def idx(array):
    header = struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape)
    return header + array.tobytes()


def write(folder, *, packed, stem="t10k"):
    folder.mkdir(parents=True, exist_ok=True)
    for kind, array in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
        path = folder / f"{stem}-{kind}-ubyte{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))


@pytest.fixture(autouse=True)
def no_debian(monkeypatch, tmp_path):
    monkeypatch.setattr(fashionmnist, "DEBIAN", tmp_path / "debian")


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("layout", ["FashionMNIST/raw", ".", "fashion-mnist"])
def test_each_layout_is_found(tmp_path, layout, packed):
    write(tmp_path / layout, packed=packed)
    data = datasets.load("fashionmnist", data_dir=tmp_path)
    image, label = data[11]
    assert (len(data), data.split, data.image_size, label) == (12, "test", 28, 1)
    assert np.array_equal(np.asarray(image)[..., 2], IMAGES[11])
    assert data.class_names[9] == "Ankle boot"


def test_debians_package_is_found_without_a_folder(tmp_path):
    write(tmp_path / "debian", packed=True, stem="train")
    assert len(datasets.load("fashionmnist", split="train")) == 12


def test_missing_files_are_an_error_with_the_folders_and_the_next_step(tmp_path):
    with pytest.raises(InputError) as caught:
        datasets.load("fashionmnist", data_dir=tmp_path)
    for part in (
        f"{tmp_path}/FashionMNIST/raw",
        "apt-get install dataset-fashion-mnist",
        "--data-dir",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (idx(IMAGES)[:-1], "is truncated"),
        (idx(IMAGES)[:9], "is truncated"),
        (idx(IMAGES)[:2], "is truncated"),
        (b"", "is truncated"),
        (idx(IMAGES) + b"x", "is too long"),
        (idx(LABELS), "not an idx file"),
        (idx(IMAGES[:5]), "5 images but"),
    ],
)
def test_a_file_that_contradicts_its_header_is_refused(tmp_path, content, match):
    write(tmp_path, packed=False)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(InputError, match=match):
        datasets.load("fashionmnist", data_dir=tmp_path)


def test_a_truncated_gz_is_refused(tmp_path):
    write(tmp_path, packed=True)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"cannot read .*Download it again"):
        datasets.load("fashionmnist", data_dir=tmp_path)


def test_the_fingerprint_depends_on_the_pixels(tmp_path):
    write(tmp_path, packed=True)
    before = datasets.load("fashionmnist", data_dir=tmp_path).fingerprint
    changed = IMAGES.copy()
    changed[3, 3, 3] ^= 1
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(changed))
    assert datasets.load("fashionmnist", data_dir=tmp_path).fingerprint != before
