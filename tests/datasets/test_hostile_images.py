"""Damaged and hostile images and folders: one sentence or the right pixels, in little memory."""

import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image
from test_image_files import chunk, picture, png

from gpuclust import datasets
from gpuclust.datasets import image
from gpuclust.errors import BadImagesError, InputError


def encoded(kind, **how):
    file = io.BytesIO()
    picture(64, 64).save(file, kind, **how)
    return file.getvalue()


def half(kind):
    data = encoded(kind)
    return data[: len(data) // 2]


def gif_bomb():
    frame = struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x44\x01\x00;"
    return b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"," + frame


def tiff(tags, tail=b""):
    body = b"".join(struct.pack("<HHLL", *tag) for tag in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + body + bytes(68) + tail


def tiff_bomb():
    wide = [(256, 4, 1, 200_000), (257, 4, 1, 200_000), (278, 4, 1, 200_000)]
    more = [(258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1)]
    return tiff(sorted([*wide, *more, (279, 4, 1, 64)]))


def tags_bomb():
    tags = [(256, 4, 1, 4), (257, 4, 1, 4)]
    return tiff([*tags, *((40_000 + i, 1, 60_000, 8) for i in range(4_000))], bytes(60_000))


def exif_bomb():
    tags = b"".join(struct.pack("<HHLL", 40_000 + i, 1, 60_000, 8) for i in range(5_000))
    block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 5_000) + tags
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    data = encoded("jpeg")
    return data[:2] + segment * 50 + data[2:]


def metadata_bomb(kind):
    packed = zlib.compress(bytes(200_000_000))
    head = b"k\0\0" if kind != b"iTXt" else b"XML:com.adobe.xmp\0\1\0\0\0"
    data = encoded("png")
    return data[:33] + chunk(kind, head + packed) + data[33:]


def long_animation():
    frames = [Image.new("P", (8, 8), i % 250) for i in range(2_000)]
    file = io.BytesIO()
    frames[0].save(file, "gif", save_all=True, append_images=frames[1:])
    return file.getvalue()


REFUSED = {
    "empty.jpg": lambda: b"",
    "text.jpg": lambda: b"hello" * 100,
    "half.jpg": lambda: half("jpeg"),
    "half.png": lambda: half("png"),
    "half.webp": lambda: half("webp"),
    "half.avif": lambda: half("avif"),
    "header.png": lambda: encoded("png")[:20],
    "header.jpg": lambda: encoded("jpeg")[:30],
    "bomb.png": lambda: png(100_000, 100_000, data=zlib.compress(bytes(10**7))),
    "bomb.gif": gif_bomb,
    "bomb.tiff": tiff_bomb,
    "tags.tiff": tags_bomb,
    "nothing.png": lambda: png(0, 5, data=zlib.compress(b"")),
    "negative.bmp": lambda: encoded("bmp")[:18] + b"\0\0\0\x80" + encoded("bmp")[22:],
    "vector.png": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "script.png": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(x) run\n",
    "pages.png": lambda: b"%PDF-1.4\n%%EOF",
    "page.png": lambda: b"<html><body>404 not found</body></html>",
    "short.png": lambda: png(64, 64, data=zlib.compress(bytes(10))),
    "zeros.heic.jpg": lambda: bytes(100_000),
}

READ = {
    "exif.jpg": exif_bomb,
    "text.png": lambda: metadata_bomb(b"zTXt"),
    "xmp.png": lambda: metadata_bomb(b"iTXt"),
    "profile.png": lambda: metadata_bomb(b"iCCP"),
    "profile.jpg": lambda: encoded("jpeg", icc_profile=b"x" * 300_000),
    "animation.gif": long_animation,
    "trailing.jpg": lambda: encoded("jpeg") + bytes(1_000_000),
    "palette.png": lambda: encoded("png")[:0] + _palette(),
}


def _palette():
    file = io.BytesIO()
    picture(64, 64).quantize(7).save(file, "png", transparency=bytes(7))
    return file.getvalue()


@pytest.mark.parametrize("name", REFUSED)
def test_damaged_and_hostile_images_are_refused_with_a_reason(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(REFUSED[name]())
    with pytest.raises(BadImagesError, match=name) as caught:
        image.read(path, where=name)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in REFUSED if name != "short.png"])
def test_the_check_finds_them_without_decoding(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(REFUSED[name]())
    assert image.check(path)


@pytest.mark.parametrize("name", READ)
def test_images_with_strange_metadata_are_read(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(READ[name]())
    assert image.check(path) is None
    assert image.read(path, where=name).mode == "RGB"


ALL = """
import resource, sys
from pathlib import Path
from gpuclust.datasets import image
from gpuclust.errors import BadImagesError
image.formats()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(Path(sys.argv[1]).iterdir()):
    image.check(path)
    try:
        image.read(path, where="x")
    except BadImagesError:
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_all_of_them_together_take_little_memory(tmp_path):
    for name, make in {**REFUSED, **READ}.items():
        (tmp_path / name).write_bytes(make())
    command = [sys.executable, "-c", ALL, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) < 200  # MiB
    assert done.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")
def test_pipes_devices_and_folders_with_image_names_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
    (tmp_path / "folder.jpg").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    data = datasets.load(f"folder:{tmp_path}")
    assert data.files == ("a.png",)
    assert data.ignored == ("pipe.jpg", "self.jpg", "zero.jpg")
    reasons = image.check_all([tmp_path / name for name in ("pipe.jpg", "zero.jpg", "folder.jpg")])
    assert reasons == ["it is no regular file"] * 3


def test_folders_linked_to_one_another_are_refused_in_time(tmp_path):
    names = [f"d{i}" for i in range(6)]
    for name in names:
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "a.png")
    for name in names:
        for other in names:
            (tmp_path / name / f"to-{other}").symlink_to(tmp_path / other)
    with pytest.raises(InputError, match="reached more than 16 times through links"):
        datasets.load(f"folder:{tmp_path}")


def test_a_very_deep_folder_is_listed(tmp_path):
    here = os.getcwd()  # noqa: PTH109 - the path is too long for one call
    try:
        os.chdir(tmp_path)
        for _ in range(300):
            os.mkdir("d")  # noqa: PTH102
            os.chdir("d")
        Image.new("RGB", (8, 8)).save("a.png")
    finally:
        os.chdir(here)
    assert len(datasets.load(f"folder:{tmp_path}")) == 1


def test_pixels_of_a_deep_image_with_a_palette_are_right(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(_palette())
    expected = np.asarray(picture(64, 64).quantize(7).convert("RGB"))
    assert np.array_equal(np.asarray(image.read(path, where="x")), expected)
