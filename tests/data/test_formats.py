"""core/data/formats.py: limits of memory hold for every kind of image, and sound images are not refused."""
import io
import os
import struct
import subprocess
import sys
import threading
import types
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, features

from core.data import formats, images
from core.data.images import GAP, decode_one, decode_piece
from tests.lib.deep_images import chunk, png, tiff
from tests.lib.own_data import picture, write_image


@pytest.fixture(autouse=True)
def forgotten():
    formats.formats.cache_clear()
    yield
    formats.formats.cache_clear()


# ---- memory --------------------------------------------------------------------------------------------------------

MPO = Image.new("RGB", (9, 9))         # the second picture of a file
SIDE = 3500                            # 12 million pixels
MEASURE = """
import sys
from core.data.images import decode_one
def peak():                            # of this process alone; ru_maxrss begins with that of its parent
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
decode_one(sys.argv[2], 32)
before = peak()
decode_one(sys.argv[1], 32)
print(1024 * (peak() - before))
"""
COSTLY = {"RGBA.png": {}, "RGB.png": {}, "L.png": {}, "P.png": {}, "LA.png": {}, "I;16.png": {}, "1.png": {},
          "RGBA.tif": {"compression": "tiff_deflate"}, "F.tif": {}, "CMYK.tif": {}, "I.tif": {}, "RGB.bmp": {},
          "P.gif": {}, "RGB.webp": {"lossless": True, "method": 0}, "RGBA.webp": {"quality": 50, "method": 0},
          "RGB.avif": {"speed": 10}, "RGBA.avif": {"speed": 10, "subsampling": "4:4:4"}, "RGB.ppm": {},
          "RGB.jpg": {"progressive": True, "subsampling": 0}, "CMYK.jpg": {"progressive": True}, "L.jpg": {}}


def large(path, mode, options):
    """A picture of SIDE x SIDE pixels in a mode."""
    small = Image.fromarray(np.tile(picture(0, 50, 50), (SIDE // 50, SIDE // 50, 1)))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(small.convert("L")).astype(np.uint16) * 16)
    elif mode == "LA":
        image = small.convert("RGBA").convert("LA")
    else:
        image = small.convert("L").convert(mode) if mode in ("F", "I") else small.convert(mode)
    image.save(path, **options)


@pytest.mark.thorough
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no peak of memory here")
@pytest.mark.parametrize("name", [*COSTLY, "48 bits.png", "turned.png"])
def test_an_image_takes_no_more_memory_than_its_limit_says(tmp_path, name):
    path = tmp_path / name
    if name == "48 bits.png":
        path.write_bytes(png(np.tile(picture(0, 50, 50).astype(np.uint16) * 16, (SIDE // 50, SIDE // 50, 1))))
    elif name == "turned.png":
        exif = Image.Exif()
        exif[0x0112] = 6
        large(path, "RGBA", {"exif": exif})
    else:
        large(path, name.partition(".")[0], COSTLY[name])
    small = write_image(tmp_path / f"small.{name.rpartition('.')[2]}", picture(1))
    taken = int(subprocess.run([sys.executable, "-c", MEASURE, path, small], check=True, capture_output=True,
                               text=True).stdout)
    with Image.open(path) as image:
        usual = formats.BYTES.get(image.format, formats.USUAL)
    usual = {"48 bits.png": 12, "CMYK.jpg": 8}.get(name, usual)
    sample = 20 << 20 if name[0] in "IF4" else 0             # of an image of many bits
    assert SIDE**2 < taken <= SIDE**2 * usual + sample + (4 << 20) or name == "L.jpg"


@pytest.mark.parametrize("suffix, options, part", [
    ("png", {}, 1), ("tif", {}, 1), ("webp", {}, 3), ("jpg", {"progressive": True}, 1), ("bmp", {}, 1)])
def test_the_limit_of_pixels_is_that_of_the_kind(tmp_path, monkeypatch, suffix, options, part):
    path = write_image(tmp_path / f"a.{suffix}", picture(0, 30, 40), **options)
    for limit, good in ((1200 * part, True), (1200 * part - part, False)):
        monkeypatch.setattr(formats, "LARGEST", limit)
        why, = decode_piece([path], 16)[2]
        assert (why is None) == good
        assert good or why == f"40 x 30 pixels are more than {limit // part:,}: make it smaller"


@pytest.mark.parametrize("name, limit", [("48 bits.png", 2400), ("progressive.jpg", 1600)])
def test_the_limit_of_images_that_take_more(tmp_path, monkeypatch, name, limit):
    """16 bits a colour are held twice; libjpeg keeps 16 bits of each of the four colours."""
    if name == "48 bits.png":
        (tmp_path / name).write_bytes(png(picture(0, 30, 40).astype(np.uint16)))
    else:
        Image.fromarray(picture(0, 30, 40)).convert("CMYK").save(tmp_path / name, progressive=True)
    for pixels, good in ((limit, True), (limit - 2, False)):
        monkeypatch.setattr(formats, "LARGEST", pixels)
        why, = decode_piece([tmp_path / name], 16)[2]
        assert (why is None) == good and (good or "40 x 30 pixels are more than 1,19" in why)


@pytest.mark.parametrize("options", [{}, {"format": "MPO", "save_all": True, "append_images": [MPO]}])
def test_a_jpeg_above_the_limit_is_unpacked_in_part(tmp_path, monkeypatch, options):
    ramp = np.add.outer(np.linspace(0, 200, 640), np.linspace(0, 55, 900))[..., None].repeat(3, axis=2).astype(np.uint8)
    path = write_image(tmp_path / "a.jpg", ramp, quality=95, **options)
    whole = decode_one(path, 16)[0]
    monkeypatch.setattr(formats, "LARGEST", 640 * 900 // 10)
    pixels, shape, _ = decode_one(path, 16)
    assert (pixels == whole).all() and shape == (640, 900)
    assert "pixels are more than" in decode_piece([path], 200)[2][0]     # of which more than a tenth would be needed


def test_a_jpeg_that_is_held_as_a_whole_is_refused(tmp_path, monkeypatch):
    """A progressive one, and one whose colours follow one another: libjpeg keeps all of it until the end."""
    path = write_image(tmp_path / "a.jpg", picture(0, 640, 900), quality=95)
    raw = path.read_bytes()
    at = raw.index(b"\xff\xda")
    monkeypatch.setattr(formats, "LARGEST", 640 * 900 // 10)
    assert decode_piece([path], 16)[2] == [None]
    path.write_bytes(raw[:at] + b"\xff\xda\x00\x08\x01" + raw[at + 5:])
    assert "900 x 640 pixels are more than 57,600" in decode_piece([path], 16)[2][0]
    write_image(path, picture(0, 640, 900), progressive=True)
    assert "900 x 640 pixels are more than 57,600" in decode_piece([path], 16)[2][0]


def test_of_a_jpeg_there_is_a_limit_too(tmp_path, monkeypatch):
    path = write_image(tmp_path / "a.jpg", picture(0, 640, 900))
    monkeypatch.setattr(formats, "LARGEST", 57_600)
    monkeypatch.setattr(formats, "FARTHEST", 575_999)
    assert "900 x 640 pixels are more than 57,600" in decode_piece([path], 16)[2][0]


def test_pillows_own_limit_is_left_to_others(tmp_path):
    before = Image.MAX_IMAGE_PIXELS
    decode_one(write_image(tmp_path / "a.png"), 16)
    assert Image.MAX_IMAGE_PIXELS == before


def test_pillows_own_limit_is_left_to_others_by_threads_too(tmp_path, monkeypatch):
    """The second opens its file while the first does, and is ready after it; at one time only one may."""
    path, first, second = write_image(tmp_path / "a.png"), threading.Event(), threading.Event()
    before, pillows = Image.MAX_IMAGE_PIXELS, Image.open
    threads = [threading.Thread(target=decode_one, args=(path, 16)) for _ in range(2)]

    def slow(*args, **options):
        if threading.current_thread() is threads[0]:
            first.set()
            second.wait(0.2)
        else:
            second.set()
            threads[0].join(0.2)
        return pillows(*args, **options)

    monkeypatch.setattr(Image, "open", slow)
    threads[0].start()
    first.wait()
    threads[1].start()
    for thread in threads:
        thread.join()
    assert Image.MAX_IMAGE_PIXELS == before and before


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK"])
@pytest.mark.parametrize("height, width", [(700, 641), (97, 333), (96, 96), (48, 200)])
def test_an_image_in_parts_is_the_whole_image(tmp_path, monkeypatch, mode, height, width):
    monkeypatch.setattr(images, "ROWS", 1500)
    image = Image.fromarray(picture(0, height, width)).convert(mode)
    image.save(tmp_path / "a.tif")
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    square = image.convert("RGBA").crop((left, top, left + side, top + side))
    page = Image.new("RGBA", square.size, "white")
    page.alpha_composite(square)
    expected = page.convert("RGB").resize((16, 16), Image.Resampling.LANCZOS, reducing_gap=GAP)
    assert abs(decode_one(tmp_path / "a.tif", 16)[0].astype(int) - np.asarray(expected)).max() <= (mode != "RGB")


# ---- formats -------------------------------------------------------------------------------------------------------

@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif_is_read_whatever_it_is_called(tmp_path):
    for name in ("a.avif", "b.jpg"):
        Image.fromarray(picture(0, 64, 64)).save(tmp_path / name, format="AVIF", quality=100, subsampling="4:4:4")
        assert abs(decode_one(tmp_path / name, 64)[0].astype(int) - picture(0, 64, 64)).mean() < 4


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)


def test_heic_is_read_where_pillow_heif_is_installed(tmp_path, monkeypatch):
    (tmp_path / "a.heic").write_bytes(HEIC)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)                # as if it were not installed
    assert decode_piece([tmp_path / "a.heic"], 16)[2] == [
        "HEIC: to read it install pillow-heif (`python -m pip install pillow-heif`), or convert it to JPEG"]
    other = types.ModuleType("pillow_heif")
    other.register_heif_opener = lambda thumbnails: Image.register_open("HEIF", Painted, Painted.accept)
    monkeypatch.setitem(sys.modules, "pillow_heif", other)
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    formats.formats.cache_clear()
    assert (decode_one(tmp_path / "a.heic", 16)[0] == (10, 20, 30)).all()


def Painted(file, name):
    """What stands for the library's image."""
    image = Image.new("RGB", (20, 16), (10, 20, 30))
    image.tile, image.format = [], "HEIF"
    return image


Painted.accept = lambda head: head[4:12] == b"ftypheic"


def test_real_heic(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    image = Image.fromarray(picture(0, 4, 4)).resize((64, 64))
    image.save(tmp_path / "a.heic", quality=100)
    assert abs(decode_one(tmp_path / "a.heic", 64)[0].astype(int) - np.asarray(image)).mean() < 4


def test_a_pillow_without_avif_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.avif").write_bytes(b"\0\0\0\x20ftypavif" + bytes(50))
    Image.init()
    monkeypatch.setattr(Image, "OPEN", {name: opener for name, opener in Image.OPEN.items() if name != "AVIF"})
    assert decode_piece([tmp_path / "a.avif"], 16)[2] == [
        "AVIF: to read it install Pillow 11.3 or newer, or convert it to JPEG"]


NOTE = chunk(b"zTXt", b"scene\0\0" + zlib.compress(b"camera 1\n" * 300_000))
PROFILE = chunk(b"iCCP", b"wide\0\0" + zlib.compress(bytes(3_000_000)))
UTF8 = chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(b"x" * 3_000_000))
MANY = b"".join(chunk(b"tEXt", b"k\0" + b"x" * 900_000) for _ in range(80))


@pytest.mark.parametrize("extra", [NOTE, PROFILE, UTF8, MANY], ids=["note", "profile", "utf8", "many"])
@pytest.mark.parametrize("last", [False, True])
def test_texts_and_profiles_of_any_size_change_nothing(tmp_path, extra, last):
    raw = write_image(tmp_path / "a.png", picture(0, 16, 16)).read_bytes()
    at = len(raw) - 12 if last else 33
    (tmp_path / "a.png").write_bytes(raw[:at] + extra + raw[at:])
    assert (decode_one(tmp_path / "a.png", 16)[0] == picture(0, 16, 16)).all()


def test_transparency_and_orientation_survive_a_large_text(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(picture(0, 16, 16)).convert("P")
    image.save(tmp_path / "a.png", exif=exif, transparency=3)
    expected = decode_one(tmp_path / "a.png", 16)[0]
    raw = (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(raw[:33] + NOTE + raw[33:])
    assert (decode_one(tmp_path / "b.png", 16)[0] == expected).all()


def test_a_damaged_png_with_a_large_text_has_its_reason(tmp_path):
    raw = write_image(tmp_path / "a.png", picture(0, 100, 100)).read_bytes()
    for end in (1000, len(raw) // 2):
        (tmp_path / "a.png").write_bytes((raw[:33] + NOTE + raw[33:])[:len(NOTE) + end])
        why, = decode_piece([tmp_path / "a.png"], 16)[2]
        assert why and "MAX_TEXT" not in why


def test_what_pillow_and_libtiff_say_of_a_file_does_not_reach_the_terminal(tmp_path):
    """They do not name the file. A TIFF with more samples than can be decoded, and one with damaged data."""
    raw = bytearray(tiff(np.zeros((16, 16, 3), np.uint8)))
    at = raw.index(struct.pack("<HHI", 277, 3, 1))
    raw[at + 8:at + 10] = struct.pack("<H", 99)
    (tmp_path / "a.tif").write_bytes(raw)
    raw = bytearray(tiff(picture(0, 50, 50), compressed=True))
    raw[-40] ^= 255
    (tmp_path / "b.tif").write_bytes(raw)
    paths = [str(tmp_path / name) for name in ("a.tif", "b.tif")]
    code = ("import sys; from core.data.images import decode_piece\n"
            f"print(decode_piece({paths}, 16)[2]); print('later', file=sys.stderr)")
    for close in ("", "2>&-"):
        done = subprocess.run(["sh", "-c", f'exec "$0" -c "$1" {close}', sys.executable, code], capture_output=True,
                              text=True)
        assert done.returncode == 0 and done.stderr == "later\n" * (not close) and "None" not in done.stdout


def test_a_file_in_memory_is_a_file():
    assert isinstance(formats.without_text(io.BytesIO(b"\x89PNG\r\n\x1a\n")), io.BytesIO)


# ---- 16 bits a colour ----------------------------------------------------------------------------------------------

def test_both_bytes_of_every_colour_are_read_and_nothing_is_changed_for_others():
    """From black to white in steps that are seen in the lower byte alone; Pillow's own limit is as it was."""
    values = np.random.default_rng(0).integers(0, 1 << 16, (5, 7, 4)).astype(np.uint16)
    before = Image.MAX_IMAGE_PIXELS
    for raw in (png(values), png(values[..., :3]), tiff(values[..., :3]), tiff(values[..., :3], ">")):
        file = io.BytesIO(raw)
        image = formats.opened(file)
        assert Image.MAX_IMAGE_PIXELS == before and before
        low = formats.low_bytes(image, file)
        assert (images.values_of(image, low, (0, 0, 7, 5)) == values[..., :3]).all()
        assert (images.values_of(image, low, (2, 1, 6, 4)) == values[1:4, 2:6, :3]).all()
    with pytest.raises(OSError):
        formats.opened(io.BytesIO(b"no image"))
    assert Image.MAX_IMAGE_PIXELS == before


def test_without_its_texts_a_png_keeps_its_colours_what_is_transparent_and_how_it_is_turned():
    small = Image.fromarray(picture(0, 9, 7)).quantize(8)
    exif, texts, file = Image.Exif(), PngImagePlugin.PngInfo(), io.BytesIO()
    exif[0x112] = 6
    texts.add_text("words", "x" * 1000)
    texts.add_itxt("more", "y" * 1000)
    small.save(file, "PNG", transparency=3, exif=exif, pnginfo=texts)
    found, whole = (Image.open(one) for one in (formats.without_text(file), file))
    assert (np.asarray(found.convert("RGBA")) == np.asarray(whole.convert("RGBA"))).all()
    assert found.getexif()[0x112] == 6 and found.info["transparency"] == 3 and len(whole.text) == 2 and not found.text


def test_no_file_is_left_open(tmp_path):
    def lowest_free():
        numbers = [os.open(os.devnull, os.O_RDONLY) for _ in range(9)]
        for number in numbers:
            os.close(number)
        return numbers

    for name in ("a.tif", "a.png", "a.jpg", "a.gif"):
        path = write_image(tmp_path / name)
        decode_one(path, 8)
        before, error = lowest_free(), os.fstat(2).st_ino
        decode_one(path, 8)
        path.write_bytes(path.read_bytes()[:200])
        decode_piece([path], 8)
        assert (lowest_free(), os.fstat(2).st_ino) == (before, error), name
