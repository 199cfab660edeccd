"""Image files decoded as a person sees them: orientation, color, depth, metadata, sizes."""

import io
import re
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo

from gpuclust.datasets import image
from gpuclust.datasets.photo import exif, opening
from gpuclust.errors import BadImagesError

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *, depth=8, color=0, data=b"", extra=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def picture(width=48, height=32):
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1)
    return Image.fromarray(pixels.astype(np.uint8))


def pixels(path):
    return np.asarray(image.read(path, where="x")).astype(int)


def with_orientation(value):
    tags = Image.Exif()
    tags[0x0112] = value
    return tags


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.png", {}),
        ("a.webp", {"lossless": True}),
        ("a.tiff", {}),
        ("a.tiff", {"compression": "tiff_lzw"}),
        ("a.jpg", {"quality": 100, "subsampling": 0}),
        ("a.avif", {"quality": 100}),
    ],
)
def test_every_orientation_is_applied_in_every_format(tmp_path, value, name, how):
    stored = picture()
    stored.save(tmp_path / name, exif=with_orientation(value), **how)
    stored.info["exif"] = with_orientation(value).tobytes()
    expected = np.asarray(ImageOps.exif_transpose(stored)).astype(int)
    got = pixels(tmp_path / name)
    assert got.shape == expected.shape
    assert np.abs(got - expected).mean() < 2


def test_two_files_of_one_picture_have_the_same_pixels(tmp_path):
    picture().save(tmp_path / "a.png")
    picture().rotate(90, expand=True).save(tmp_path / "b.png", exif=with_orientation(6))
    assert np.array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))


@pytest.mark.parametrize(
    "block",
    [
        b"Exif\0\0",
        b"Exif\0\0II*\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0",
        b"nonsense",
    ],
)
def test_damaged_orientation_is_ignored(tmp_path, block):
    picture().save(tmp_path / "a.jpg", exif=block)
    assert pixels(tmp_path / "a.jpg").shape == (32, 48, 3)
    assert exif.orientation(block) == 1


def test_a_directory_that_refers_to_itself_ends(tmp_path):
    block = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0"
    picture().save(tmp_path / "a.jpg", exif=block)
    assert pixels(tmp_path / "a.jpg").shape == (32, 48, 3)


def test_images_given_from_python_are_turned_only_straight_from_a_file(tmp_path):
    picture().save(tmp_path / "a.jpg", exif=with_orientation(6))
    with Image.open(tmp_path / "a.jpg") as opened:
        assert image.to_rgb(opened).size == (32, 48)
        assert image.to_rgb(opened.rotate(0)).size == (48, 32)


def swapped(profile, first, second):
    """Exchange the names of two tags of a color profile."""
    out = bytearray(profile)
    for at in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12):
        name = bytes(profile[at : at + 4])
        out[at : at + 4] = {first: second, second: first}.get(name, name)
    return bytes(out)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tiff", "a.avif"])
def test_an_embedded_profile_is_converted_to_srgb(tmp_path, name):
    red = Image.new("RGB", (16, 16), (250, 10, 10))
    red.save(tmp_path / name, icc_profile=swapped(SRGB, b"rXYZ", b"gXYZ"))
    assert np.abs(pixels(tmp_path / name) - (10, 250, 10)).max() <= 4
    red.save(tmp_path / name, icc_profile=SRGB)
    assert np.abs(pixels(tmp_path / name) - (250, 10, 10)).max() <= 4


def test_a_profile_that_is_srgb_changes_no_pixel(tmp_path):
    picture().save(tmp_path / "a.png", icc_profile=SRGB)
    assert np.array_equal(pixels(tmp_path / "a.png"), np.asarray(picture()))


@pytest.mark.parametrize("profile", [b"garbage" * 100, SRGB[:200], b"\0" * 5000])
def test_a_damaged_profile_is_ignored(tmp_path, profile):
    picture().save(tmp_path / "a.png", icc_profile=profile)
    assert np.array_equal(pixels(tmp_path / "a.png"), np.asarray(picture()))


RAMP = np.linspace(0, 1, 256).reshape(16, 16)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_gray_values_are_scaled_by_the_smallest_range_that_holds_them(tmp_path, bits, name):
    Image.fromarray(np.rint(RAMP * (2**bits - 1)).astype(np.uint16)).save(tmp_path / name)
    assert np.array_equal(pixels(tmp_path / name)[..., 0].ravel(), np.arange(256))


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize(("color", "channels"), [(2, 3), (6, 4), (4, 2)])
def test_colors_with_16_bits_are_scaled_by_the_same_rule(tmp_path, bits, color, channels):
    values = np.stack([RAMP, RAMP[::-1], RAMP.T, RAMP][:channels], -1)
    raw = np.rint(values * (2**bits - 1)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in raw)
    path = tmp_path / "a.png"
    path.write_bytes(png(16, 16, depth=16, color=color, data=zlib.compress(rows)))
    shown = values[..., :3] if channels > 2 else values[..., [0, 0, 0]]
    assert np.abs(pixels(path) - np.rint(shown * 255)).max() <= 1
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(BadImagesError):
        image.read(path, where="x")


def tiff48(values, order, orientation=1):
    height, width, channels = values.shape
    kinds = {3: "H", 4: "L"}
    tags = [(256, 4, width), (257, 4, height), (258, 3, 0), (259, 3, 1), (262, 3, 2), (273, 4, 0)]
    tags += [(274, 3, orientation), (277, 3, channels), (278, 4, height), (279, 4, values.size * 2)]
    end = 8 + 2 + 12 * len(tags) + 4
    out = struct.pack(order + "HLH", 42, 8, len(tags))
    for tag, kind, value in tags:
        count = channels if tag == 258 else 1
        value = {258: end, 273: end + 2 * channels}.get(tag, value)
        field = struct.pack(order + kinds[kind if tag != 258 else 4], value).ljust(4, b"\0")
        out += struct.pack(order + "HHL", tag, kind, count) + field
    bits = struct.pack(f"{order}{channels}H", *[16] * channels)
    data = values.astype(order + "u2").tobytes()
    return {"<": b"II", ">": b"MM"}[order] + out + bytes(4) + bits + data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [12, 16])
def test_tiff_colors_with_16_bits_are_scaled_by_the_same_rule(tmp_path, order, bits):
    values = np.stack([RAMP, RAMP[::-1], RAMP.T], -1)[:8]
    raw = np.rint(values * (2**bits - 1))
    path = tmp_path / "a.tiff"
    path.write_bytes(tiff48(raw, order))
    assert np.abs(pixels(path) - np.rint(values * 255)).max() <= 1
    path.write_bytes(tiff48(raw, order, orientation=6))
    assert pixels(path).shape == (16, 8, 3)


def test_a_declared_maximum_counts_not_the_largest_value(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 4095\n" + struct.pack(">HH", 0, 100))
    assert pixels(tmp_path / "a.pgm")[0, 1, 0] == round(100 / 4095 * 255)


def test_an_image_with_nan_is_bad(tmp_path):
    Image.fromarray(np.array([[0, np.nan]], np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(BadImagesError, match="NaN"):
        image.read(tmp_path / "a.tiff", where="x")


def test_cmyk_of_adobe_and_lab_have_their_colors(tmp_path):
    red = Image.new("RGB", (16, 16), (250, 10, 10))
    red.convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(pixels(tmp_path / "a.jpg") - (250, 10, 10)).max() <= 4
    spaces = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    ImageCms.profileToProfile(red, *spaces, outputMode="LAB").save(tmp_path / "b.tiff")
    assert np.abs(pixels(tmp_path / "b.tiff") - (250, 10, 10)).max() <= 6


def test_a_png_with_large_texts_and_a_large_profile_is_read(tmp_path):
    text = PngInfo()
    for key in ("workflow", "prompt"):
        text.add_text(key, "x" * 3_000_000, zip=True)
    text.add_itxt("notes", "y" * 2_000_000, zip=True)
    profile = SRGB + bytes(3_000_000)
    picture().save(tmp_path / "a.png", pnginfo=text, icc_profile=profile)
    assert np.array_equal(pixels(tmp_path / "a.png"), np.asarray(picture()))
    assert image.check(tmp_path / "a.png") is None


def test_orientation_in_the_texts_of_a_png_is_applied(tmp_path):
    block = with_orientation(6).tobytes()
    text = PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=True)
    picture().save(tmp_path / "a.png", pnginfo=text)
    assert pixels(tmp_path / "a.png").shape == (48, 32, 3)
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", '<rdf tiff:Orientation="8"/>')
    picture().save(tmp_path / "b.png", pnginfo=text)
    assert pixels(tmp_path / "b.png").shape == (48, 32, 3)


def test_a_jpeg_with_many_metadata_segments_is_read(tmp_path):
    picture().save(tmp_path / "a.jpg")
    raw = (tmp_path / "a.jpg").read_bytes()
    segment = b"\xff\xed" + struct.pack(">H", 60_002) + bytes(60_000)
    (tmp_path / "b.jpg").write_bytes(raw[:2] + segment * 40 + raw[2:])
    assert np.array_equal(pixels(tmp_path / "b.jpg"), pixels(tmp_path / "a.jpg"))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1000, 900), (1000, 900)), ((1100, 1000), (550, 500)), ((4000, 3000), (1000, 750))],
)
def test_jpegs_above_the_limit_are_decoded_smaller(tmp_path, monkeypatch, size, expected):
    monkeypatch.setattr(opening, "FULL_JPEG_PIXELS", 1_000_000)
    monkeypatch.setattr(opening, "_SHORTEST", 300)
    Image.new("RGB", size, (90, 120, 30)).save(tmp_path / "a.jpg")
    assert image.read(tmp_path / "a.jpg", where="x").size == expected


def test_the_shorter_edge_of_a_reduced_jpeg_is_long_enough_for_encoders(tmp_path):
    Image.new("L", (60_000, 1_500), 90).save(tmp_path / "a.jpg", quality=20)
    assert image.read(tmp_path / "a.jpg", where="x").size == (60_000, 1_500)


LARGE = """
import sys
from PIL import Image
Image.new("L", tuple(map(int, sys.argv[2:4])), 90).save(sys.argv[1], quality=30)
"""
MEMORY = """
import re, sys
from gpuclust.datasets import image
image.formats()
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024
before = peak()
print(image.read(sys.argv[1], where="x").size, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("width", "height"), [(16_320, 12_240), (32_000, 32_000)])
def test_photos_of_200_and_1000_megapixels_take_bounded_memory(tmp_path, width, height):
    path = tmp_path / "a.jpg"
    subprocess.run([sys.executable, "-c", LARGE, path, str(width), str(height)], check=True)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, path], capture_output=True, text=True, check=True
    )
    assert int(re.findall(r"\d+", done.stdout)[-1]) < 450  # MiB; 800 and 4,000 at full size


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.webp", "a.bmp", "a.tiff", "a.avif"])
def test_the_check_accepts_whole_files_and_finds_truncated_ones(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = tmp_path / name
    Image.fromarray(noise).save(path)
    assert image.check(path) is None
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert image.check(path)
    with pytest.raises(BadImagesError):
        image.read(path, where="x")


def test_bytes_after_the_end_of_an_image_do_not_matter(tmp_path):
    picture().save(tmp_path / "a.jpg")
    raw = (tmp_path / "a.jpg").read_bytes()
    for name, more in (("b.jpg", bytes(10_000)), ("c.jpg", b"ftypmp42" * 100_000)):
        (tmp_path / name).write_bytes(raw + more)
        assert image.check(tmp_path / name) is None
        assert np.array_equal(pixels(tmp_path / name), pixels(tmp_path / "a.jpg"))


def test_many_files_are_checked_in_their_order(tmp_path):
    paths = []
    for i in range(40):
        paths.append(tmp_path / f"{i}.png")
        picture().save(paths[-1])
    paths[7].write_bytes(b"")
    paths[23].write_text("hello")
    reasons = image.check_all(paths)
    assert [i for i, reason in enumerate(reasons) if reason] == [7, 23]
    assert reasons[7] == "the file is empty"


heif = pytest.mark.skipif(not image.has_heif(), reason="needs pillow-heif, the extra heic")


@heif
@pytest.mark.parametrize("value", [1, 3, 6])
def test_heic_photos_are_read_upright(tmp_path, value):
    path = tmp_path / "a.heic"
    assert image.formats()
    picture(128, 64).save(path, exif=with_orientation(value).tobytes(), quality=95)
    stored = picture(128, 64)
    stored.info["exif"] = with_orientation(value).tobytes()
    expected = np.asarray(ImageOps.exif_transpose(stored)).astype(int)
    assert np.abs(pixels(path) - expected).mean() < 8
    path.write_bytes(path.read_bytes()[:-100])
    assert image.check(path)


def test_heic_under_another_name_says_how_to_read_it(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "has_heif", lambda: False)
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert "pip install" in image.check(path)


def test_a_binary_file_is_read_like_a_path():
    file = io.BytesIO()
    picture().save(file, "png", exif=with_orientation(6))
    assert image.read(file, where="x").size == (32, 48)


@pytest.mark.parametrize("content", [b"x", b"x\n", b"BM", b"\xff\xd8", b"\0\0\0"])
def test_files_of_a_few_bytes_are_no_image(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    assert image.check(tmp_path / "a.jpg") == "no image, or in a format that is not read"


def test_a_limit_of_pillow_is_told_like_our_own(tmp_path, monkeypatch):
    Image.new("RGB", (3000, 2000)).save(tmp_path / "a.webp")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**6)
    expected = "it has 6 megapixels; at most 2 are read in WEBP. Make it smaller"
    assert image.check(tmp_path / "a.webp") == expected


def test_a_photo_that_is_gone_is_not_called_damaged(tmp_path):
    assert "no such file; if it was removed" in image.check(tmp_path / "a.jpg")
