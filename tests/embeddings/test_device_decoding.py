"""Images decoded and resized on the device of the encoder; here the device is a CPU."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from sklearn.datasets import load_sample_images

from gpuclust import datasets, encoders
from gpuclust.datasets.photo import plain
from gpuclust.embeddings import embed
from gpuclust.encoders import device_geometry
from gpuclust.errors import BadImagesError, InputError
from gpuclust.store.store import EmbeddingFiles

PHOTO = Image.fromarray(load_sample_images().images[1])


@pytest.fixture
def photos(tmp_path):
    """Write JPEG files, plain and not plain, and a PNG, in two classes."""
    folder = tmp_path / "photos"
    for name in "ab":
        (folder / name).mkdir(parents=True)
    turned = Image.Exif()
    turned[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    PHOTO.save(folder / "a" / "1.jpg", quality=90)
    PHOTO.resize((300, 700)).save(folder / "a" / "2.jpg", quality=60, progressive=True)
    PHOTO.convert("L").resize((40, 30)).save(folder / "a" / "3.jpg")
    PHOTO.crop((0, 0, 200, 100)).save(folder / "b" / "4.jpg", exif=turned)
    PHOTO.convert("CMYK").save(folder / "b" / "5.jpg")
    PHOTO.save(folder / "b" / "6.jpg", icc_profile=profile)
    PHOTO.convert("RGBA").save(folder / "b" / "7.png")
    return folder


def vectors(folder, root, preprocess, **how):
    encoder = encoders.load("efficientnet_lite0", preprocess=preprocess)
    files = EmbeddingFiles(*(root / f"{preprocess}{end}" for end in (".npy", ".parquet", ".json")))
    X, y, meta = embed.embed(datasets.load(f"folder:{folder}"), encoder, files, **how)
    return np.array(X), y, meta


@pytest.mark.parametrize("workers", [0, 2])
def test_on_a_cpu_the_vectors_are_those_of_pillow(photos, tmp_path, workers):
    X, y, meta = vectors(photos, tmp_path, "study", workers=workers)
    Z, labels, other = vectors(photos, tmp_path, "study-device", workers=workers)
    assert np.array_equal(X, Z)
    assert y.tolist() == labels.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert meta.fingerprint != other.fingerprint


def test_only_upright_gray_and_rgb_files_without_a_profile_are_plain(photos):
    found = {path.name: plain.plain_jpeg(path) for path in sorted(photos.rglob("*.*"))}
    assert [name for name, content in found.items() if content] == ["1.jpg", "2.jpg", "3.jpg"]
    assert found["1.jpg"] == (photos / "a" / "1.jpg").read_bytes()


def test_a_damaged_file_is_named_and_the_others_are_embedded(photos, tmp_path, monkeypatch):
    X, _, _ = vectors(photos, tmp_path, "study")
    broken = photos / "a" / "2.jpg"
    decode = device_geometry.decode_jpeg

    def refuse(files, **how):
        if any(len(file) == broken.stat().st_size for file in files):
            raise RuntimeError("bad code\nin the file")
        return decode(files, **how)

    monkeypatch.setattr(device_geometry, "decode_jpeg", refuse)
    with pytest.raises(BadImagesError, match=r"2\.jpg: bad code$"):
        vectors(photos, tmp_path, "study-device", workers=0)
    Z, _, meta = vectors(photos, tmp_path, "study-device", workers=0, skip_bad=True)
    assert [one["where"] for one in meta.skipped] == [str(broken)]
    assert np.array_equal(Z, np.delete(X, 1, axis=0))


def test_lack_of_memory_is_no_damaged_file(photos, tmp_path, monkeypatch):
    def refuse(files, **how):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(device_geometry, "decode_jpeg", refuse)
    geometry = device_geometry.DeviceGeometry(32, (32, 32), "bilinear")
    with pytest.raises(torch.OutOfMemoryError):
        geometry.finish([torch.zeros(3, dtype=torch.uint8)])


def test_a_truncated_file_has_a_reason():
    file = io.BytesIO()
    PHOTO.save(file, "jpeg")
    cut = torch.frombuffer(bytearray(file.getvalue()[:9000]), dtype=torch.uint8)
    whole = torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)
    geometry = device_geometry.DeviceGeometry(32, (32, 32), "bilinear")
    found = geometry.finish([whole, cut, whole])
    assert isinstance(found[1], str)
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[0], geometry(Image.open(file).convert("RGB")))


@pytest.mark.parametrize(
    "other", [{"resize_mode": "squash"}, {"resize": [224, 200]}, {"interpolation": "lanczos"}]
)
def test_other_ways_of_scaling_are_refused(other):
    facts = encoders.load("raw").preprocessing | other
    with pytest.raises(InputError, match=r"an encoder cannot .* Use preprocess 'own'"):
        device_geometry.DeviceGeometry.of(facts, "an encoder")
