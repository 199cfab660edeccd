"""Folders of images: layouts, fingerprints, and damaged or missing files."""

import os
import subprocess
import sys
import tempfile
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gpuclust import datasets
from gpuclust.errors import BadImagesError, InputError


def draw(path, value=0, size=(6, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)
    return path


def open_folder(path):
    return datasets.load(f"folder:{path}")


def test_sub_folders_are_classes_and_nested_images_count_for_them(tmp_path):
    for k, name in enumerate(["b/1.png", "a/deep/er/2.JPG", "a/0.bmp", "a-b/x.jpeg"]):
        draw(tmp_path / name, k)
    data = open_folder(tmp_path)
    assert data.class_names == ("a", "a-b", "b")
    assert data.files == ("a/0.bmp", "a/deep/er/2.JPG", "a-b/x.jpeg", "b/1.png")
    assert data.labels.tolist() == [0, 0, 1, 2]
    assert data[0][0].getpixel((0, 0)) == (2, 2, 2)
    assert data[0][1] == 0
    assert data.where(3) == str(tmp_path / "b/1.png")
    assert ForkingPickler.loads(ForkingPickler.dumps(data))[3][1] == 2


def test_a_flat_folder_has_no_labels(tmp_path):
    draw(tmp_path / "b.png")
    draw(tmp_path / "a.png")
    data = open_folder(tmp_path)
    assert data.files == ("a.png", "b.png")
    assert (data.labels, data.class_names, data[0][1]) == (None, None, None)


def test_other_files_are_listed_and_hidden_files_are_skipped(tmp_path):
    draw(tmp_path / "a/x.png")
    draw(tmp_path / ".thumbs/x.png")
    draw(tmp_path / "a/.hidden.png")
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "a/notes.md").write_text("hello")
    (tmp_path / "a/gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "empty").mkdir()
    data = open_folder(tmp_path)
    assert data.files == ("a/x.png",)
    assert data.ignored == ("a/gone.png", "a/notes.md", "readme.txt")
    assert data.class_names == ("a",)


def test_links_are_followed_but_not_in_circles(tmp_path):
    draw(tmp_path / "a/x.png")
    (tmp_path / "a/again.png").symlink_to(tmp_path / "a/x.png")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert open_folder(tmp_path).files == ("a/again.png", "a/x.png", "b/again.png", "b/x.png")


def test_images_beside_and_inside_sub_folders_are_refused(tmp_path):
    draw(tmp_path / "x.png")
    draw(tmp_path / "a/x.png")
    with pytest.raises(InputError, match=r"images at the top level \(x.png.*a/x.png.*Move"):
        open_folder(tmp_path)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda p: None, "has no images: there is nothing"),
        (lambda p: (p / "a.txt").write_text(""), r"only other files \(a.txt"),
        (lambda p: (p / "a").mkdir(), "has no images: there is nothing"),
    ],
)
def test_a_folder_without_images_lists_its_files(tmp_path, make, match):
    make(tmp_path)
    with pytest.raises(InputError, match=match):
        open_folder(tmp_path)


def test_a_missing_path_or_a_file_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        datasets.check(f"folder:{tmp_path}/no")
    with pytest.raises(InputError, match=f"is a file.*folder:{tmp_path}"):
        datasets.check(f"folder:{draw(tmp_path / 'x.png')}")
    with pytest.raises(InputError, match="has no path"):
        datasets.check("folder:")


def test_only_a_relative_path_is_called_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        datasets.check("folder:no")
    assert (
        str(caught.value)
        == f"there is no folder no. Check the path (it is relative to {tmp_path})."
    )
    with pytest.raises(InputError) as caught:
        datasets.check(f"folder:{tmp_path}/no")
    assert str(caught.value) == f"there is no folder {tmp_path}/no. Check the path."


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_an_unreadable_sub_folder_says_how_to_make_it_readable(tmp_path):
    draw(tmp_path / "a/x.png")
    (tmp_path / "a").chmod(0)
    temporary = Path(tempfile.gettempdir()).resolve()
    for parent in (tmp_path, *(path for path in tmp_path.parents if temporary in path.parents)):
        parent.chmod(parent.stat().st_mode | 0o055)
    code = (
        "import os, sys; from gpuclust import datasets; from gpuclust.errors import InputError\n"
        "import gpuclust.datasets.image\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "try: datasets.load(sys.argv[1])\n"
        "except InputError as e: sys.exit('REFUSED ' + str(e))\n"
    )
    command = [sys.executable, "-c", code, f"folder:{tmp_path}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        (tmp_path / "a").chmod(0o755)
    assert "REFUSED cannot read" in done.stderr
    assert "Permission denied" in done.stderr
    assert "chmod -R u+rX" in done.stderr


def test_the_fingerprint_depends_on_names_and_sizes_not_on_the_path(tmp_path):
    for where in ("one", "two"):
        draw(tmp_path / where / "a/x.png")
        draw(tmp_path / where / "a/y.png")
    first, second = open_folder(tmp_path / "one"), open_folder(tmp_path / "two")
    assert first.fingerprint == second.fingerprint
    draw(tmp_path / "two/a/y.png", size=(99, 99))
    assert open_folder(tmp_path / "two").fingerprint != first.fingerprint
    (tmp_path / "one/a/y.png").rename(tmp_path / "one/a/z.png")
    assert open_folder(tmp_path / "one").fingerprint != first.fingerprint


def test_a_name_that_is_not_utf8_is_escaped(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.png"
    try:
        with open(path, "wb") as file:  # noqa: PTH123 - a bytes path
            Image.new("RGB", (2, 2)).save(file, "png")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    data = open_folder(tmp_path)
    assert data[0][0].size == (2, 2)
    assert data.where(0).endswith(r"\xff.png")


def bad_reason(path):
    with pytest.raises(BadImagesError) as caught:
        open_folder(path.parent)[0]
    assert caught.value.paths == (str(path),)
    return str(caught.value)


def test_a_truncated_jpeg_is_bad(tmp_path):
    path = tmp_path / "x.jpg"
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    assert "truncated" in bad_reason(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"not an image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"%!PS-Adobe-3.0 EPSF-3.0\n"],
)
def test_other_content_under_an_image_name_is_bad(tmp_path, content):
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    assert "cannot read" in bad_reason(path)


def test_16_and_32_bit_images_are_scaled_not_clipped_to_white(tmp_path):
    ramp = np.linspace(0, 65535, 256).reshape(16, 16)
    Image.fromarray(ramp.astype(np.uint16)).save(tmp_path / "a.png")
    Image.fromarray(ramp.astype(np.int32)).save(tmp_path / "b.tiff")
    Image.fromarray((ramp / 65535).astype(np.float32)).save(tmp_path / "c.tiff")
    Image.fromarray((ramp / 257).astype(np.float32)).save(tmp_path / "d.tiff")
    Image.fromarray((ramp - 30000).astype(np.float32)).save(tmp_path / "e.tiff")
    data = open_folder(tmp_path)
    for i in range(len(data)):
        grey = np.asarray(data[i][0])[..., 1]
        assert np.abs(grey.astype(int) - np.arange(256).reshape(16, 16)).max() <= 1, data.where(i)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK"])
def test_every_mode_is_converted_as_pillow_does(tmp_path, mode):
    image = Image.new("RGB", (3, 3), (10, 200, 30)).convert("L" if mode == "LA" else "RGB")
    image = image.convert("P").convert("PA") if mode == "PA" else image.convert(mode)
    path = tmp_path / ("x.tiff" if mode == "CMYK" else "x.png")
    if mode == "P":
        image.save(path, transparency=b"\x00\x80")
    else:
        (image.convert("RGBA") if mode == "PA" else image).save(path)
    read = open_folder(tmp_path)[0][0]
    assert read.mode == "RGB"
    assert np.array_equal(np.asarray(read), np.asarray(image.convert("RGB")))
