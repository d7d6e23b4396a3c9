"""core/data/images.py: every kind of image becomes what a person would expect,
and damaged or hostile files a reason."""
import errno
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data import formats, images
from core.data.images import decode, decode_one, decode_piece
from core.errors import InputError, Refused
from tests.lib.deep_images import tiff
from tests.lib.own_data import picture, write_image

ROOT = Path(__file__).parents[2]
PLAIN = picture(0, 16, 16)
DAMAGED = "not an image of a known kind, or its beginning is damaged"


def shown(path, size=16):
    """The pixels, after a check that the file was left alone."""
    before = path.read_bytes()
    pixels, shape, _ = decode_one(path, size)
    assert pixels.shape == (size, size, 3) and pixels.dtype == np.uint8 and path.read_bytes() == before
    return pixels


def saved(path, image, **options):
    image.save(path, **options)
    return path


# ---- kinds ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tif", "webp", "gif"])
def test_an_image_of_the_right_size_keeps_its_pixels(tmp_path, suffix):
    pixels = PLAIN // 128 * 255                                          # eight colours, so that GIF can keep them
    options = {"lossless": True} if suffix == "webp" else {}
    assert (shown(write_image(tmp_path / f"a.{suffix}", pixels, **options)) == pixels).all()


def test_a_name_may_lie_about_the_kind(tmp_path):
    (tmp_path / "a.jpg").write_bytes(write_image(tmp_path / "a.png", PLAIN).read_bytes())
    assert (shown(tmp_path / "a.jpg") == PLAIN).all()


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_black_and_white_and_palettes_become_colours(tmp_path, mode):
    image = Image.fromarray(PLAIN).convert(mode)
    assert (shown(saved(tmp_path / "a.png", image)) == np.asarray(image.convert("RGB"))).all()


def test_16_bits_are_scaled_and_not_clipped(tmp_path):
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    for name in ("a.png", "a.tif", "a.pgm"):
        found = shown(saved(tmp_path / name, Image.fromarray(values)))
        assert (found == (values // 256)[..., None]).all() and len(np.unique(found)) == 256, name


def test_16_bits_of_colour_are_scaled_and_not_clipped(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (16, 16, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)             # written by hand: Pillow cannot
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)),
              (b"IEND", b"")]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks))
    assert (shown(tmp_path / "a.png") == values // 256).all()


@pytest.mark.parametrize("values", [np.linspace(-3, 5, 256, dtype=np.float32), np.linspace(0, 1, 256, dtype=np.float32),
                                    np.linspace(-10**9, 10**9, 256).astype(np.int32)])
def test_32_bits_are_stretched_from_the_darkest_to_the_brightest(tmp_path, values):
    found = shown(saved(tmp_path / "a.tif", Image.fromarray(values.reshape(16, 16))))
    assert (found[..., 0].ravel() == np.arange(256)).all() and (found == found[..., :1]).all()


def test_one_grey_value_of_32_bits_is_black(tmp_path):
    assert (shown(saved(tmp_path / "a.tif", Image.fromarray(np.full((16, 16), 0.5, np.float32)))) == 0).all()


def test_what_is_transparent_is_white(tmp_path):
    alpha = np.random.default_rng(1).integers(0, 256, (16, 16, 1)).astype(np.uint8)
    alpha[:2] = 0
    expected = PLAIN * (alpha / 255) + 255 * (1 - alpha / 255)
    found = shown(write_image(tmp_path / "a.png", np.concatenate([PLAIN, alpha], axis=2)))
    assert abs(found - expected).max() <= 1 and (found[:2] == 255).all()


@pytest.mark.parametrize("suffix", ["gif", "png"])
def test_a_transparent_colour_of_a_palette_is_white(tmp_path, suffix):
    image = Image.new("P", (16, 16), 0)
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.paste(1, (0, 0, 16, 8))
    found = shown(saved(tmp_path / f"a.{suffix}", image, transparency=0))
    assert (found[8:] == 255).all() and (found[:8] == (200, 100, 0)).all()


def test_cmyk_has_its_colours_and_not_their_negative(tmp_path):
    found = shown(saved(tmp_path / "a.jpg", Image.new("CMYK", (16, 16), (0, 255, 255, 0)), quality=95))
    assert (found[..., 0] > 200).all() and (found[..., 1:] < 60).all()


def test_of_an_animation_the_first_frame(tmp_path):
    first, second = (Image.new("RGB", (16, 16), colour) for colour in ("red", "blue"))
    for name in ("a.gif", "a.webp", "a.png", "a.tif"):
        options = {"lossless": True} if name == "a.webp" else {}
        assert (shown(saved(tmp_path / name, first, save_all=True, append_images=[second],
                            **options)) == (255, 0, 0)).all(), name


# ---- geometry ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_images_are_turned_as_the_camera_noted(tmp_path, orientation, suffix):
    upright = picture(3, 16, 16)
    stored = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.transpose(1, 0, 2),
              6: np.rot90(upright), 7: upright[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(upright, -1)}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert (shown(write_image(tmp_path / f"a.{suffix}", np.ascontiguousarray(stored), exif=exif)) == upright).all()


def test_a_note_that_cannot_be_read_turns_nothing(tmp_path):
    assert (shown(write_image(tmp_path / "a.png", PLAIN, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")) == PLAIN).all()


def test_the_middle_square_is_shown(tmp_path):
    wide, tall = np.zeros((16, 40, 3), np.uint8), np.zeros((50, 16, 3), np.uint8)
    wide[:, 12:28], tall[17:33] = PLAIN, PLAIN
    assert (shown(write_image(tmp_path / "w.png", wide)) == PLAIN).all()
    assert (shown(write_image(tmp_path / "t.png", tall)) == PLAIN).all()


def test_shrinking_averages_and_keeps_no_stripes(tmp_path):
    stripes = np.zeros((160, 160, 3), np.uint8)
    stripes[:, ::2] = 255
    inner = shown(write_image(tmp_path / "a.png", stripes))[:, 2:-2]      # the filter is cut off at the edge
    assert abs(inner.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("height, width", [(1, 1), (1, 300), (300, 1), (2, 3), (17, 16), (1000, 31)])
def test_any_shape_can_be_shown(tmp_path, height, width):
    pixels, shape, _ = decode_one(write_image(tmp_path / "a.png", np.full((height, width, 3), 77, np.uint8)), 16)
    assert (pixels == 77).all() and shape == (height, width)


def test_a_large_jpeg_is_unpacked_in_part_and_looks_the_same(tmp_path):
    ramp = np.add.outer(np.linspace(0, 200, 640), np.linspace(0, 55, 900))[..., None].repeat(3, axis=2).astype(np.uint8)
    whole = np.asarray(Image.fromarray(ramp).resize((16, 16), Image.Resampling.LANCZOS, (130, 0, 770, 640)))
    assert abs(shown(write_image(tmp_path / "a.jpg", ramp, quality=95)).astype(int) - whole).max() <= 3


@pytest.mark.parametrize("turned", [False, True])
def test_the_short_side_says_how_much_of_a_jpeg_is_unpacked(tmp_path, turned):
    """An eighth of the long one would do; of the short one it would leave 8 pixels for 16."""
    stripes = np.where(np.arange(64) // 4 % 2, 200, 50).astype(np.uint8)
    image = np.broadcast_to(stripes[:, None], (64, 2000))[..., None].repeat(3, axis=2)
    pixels = shown(write_image(tmp_path / "a.jpg", image.swapaxes(0, 1) if turned else image, quality=95))
    pixels = pixels.swapaxes(0, 1) if turned else pixels
    assert abs(pixels[::2].astype(int) - pixels[1::2]).min() > 80


@pytest.mark.parametrize("resample", ["LANCZOS", "BICUBIC", "BOX"])
def test_the_filter_is_the_one_that_is_asked_for(tmp_path, resample):
    path = write_image(tmp_path / "a.png", picture(2, 40, 40))
    expected = np.asarray(Image.fromarray(picture(2, 40, 40)).resize((16, 16), Image.Resampling[resample]))
    found, = ([*decode([path], 16, 1, None, resample)][0][0])
    assert (found == expected).all()
    assert (shown(path) == expected).all() == (resample == "LANCZOS")


# ---- damaged and hostile files ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "ppm", "tif", "gif", "webp"])
def test_a_file_that_was_cut_off_is_found(tmp_path, suffix):
    path = write_image(tmp_path / f"a.{suffix}", picture(0, 200, 200))
    raw = path.read_bytes()
    for part in (0, 0.1, 0.5, 0.9):
        path.write_bytes(raw[:int(part * len(raw))])
        pixels, shapes, (why,), _ = decode_piece([path], 16)
        assert why and "\n" not in why and (shapes == 0).all() and (pixels == 0).all()


def test_what_claims_too_many_pixels_is_refused_unread(tmp_path, monkeypatch):
    path = write_image(tmp_path / "a.png", np.zeros((10, 11, 3), np.uint8))
    monkeypatch.setattr(formats, "LARGEST", 109)
    assert decode_piece([path], 16)[2] == ["11 x 10 pixels are more than 109: make it smaller"]
    raw = bytearray(path.read_bytes())
    raw[16:24] = struct.pack(">II", 60_000, 60_000)                      # the header of a bomb
    raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
    path.write_bytes(raw)
    assert decode_piece([path], 16)[2] == ["60000 x 60000 pixels are more than 109: make it smaller"]


@pytest.mark.parametrize("raw, why", [
    (b"", "an empty file"), (b"text", DAMAGED),
    (b"GIF89a", "GIF, but damaged or of a variety that is not read: save it again"),
    (b"\xff\xd8\xff", "JPEG, but damaged or of a variety that is not read: save it again"),
    (tiff(np.zeros((4, 4))), "TIFF, but damaged or of a variety that is not read: save it again"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG: convert it to JPEG or PNG"),
    (b"<?xml version='1.0'?>\n<!-- a -->\n<svg/>", "SVG: convert it to JPEG or PNG"),
    (b"%!PS-Adobe-3.0\n", "PostScript: convert it to JPEG or PNG"),
    (b"\xff\n" + bytes(20), "JPEG XL: convert it to JPEG or PNG"),
    (b"\0\0\0\x18ftypmp42", "a video: save single pictures of it as JPEG"),
    (b"II*\0\x10\0\0\0CR\2\0", "a camera's raw file: convert it to JPEG or PNG"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS: fetch the images themselves "
                                                                 "(`git lfs pull`)"),
    (b"<!DOCTYPE html><html>404", "a web page: download the image itself"),
    (b"PK\x03\x04", "an archive: unpack it")])
def test_other_kinds_are_not_opened_and_called_by_their_names(tmp_path, raw, why):
    (tmp_path / "a.png").write_bytes(raw)
    assert decode_piece([tmp_path / "a.png"], 16)[2] == [why]


@pytest.mark.parametrize("kind, why", [("ICNS", "an icon: convert it to JPEG or PNG"), ("TGA", DAMAGED),
                                       ("PDF", "PDF: convert it to JPEG or PNG"), ("PCX", DAMAGED),
                                       ("EPS", "PostScript: convert it to JPEG or PNG"),
                                       ("ICO", "an icon: convert it to JPEG or PNG"),
                                       ("JPEG2000", "JPEG 2000: convert it to JPEG or PNG")])
def test_kinds_that_pillow_could_open_are_not_opened(tmp_path, kind, why):
    Image.new("RGB", (16, 16)).save(tmp_path / "b.png", format=kind)
    assert decode_piece([tmp_path / "b.png"], 16)[2] == [why]


def test_values_that_are_no_numbers(tmp_path):
    for values in ([[np.nan]], [[np.inf]], [[0, -np.inf], [0, 0]], [[3e38, -3e38], [0, 0]]):
        path = saved(tmp_path / "a.tif", Image.fromarray(np.array(values, np.float32)))
        assert decode_piece([path], 16)[2] == ["some of its values are not finite"]


def test_a_file_that_is_gone(tmp_path):
    assert decode_piece([tmp_path / "none.png"], 16)[2] == ["No such file or directory"]


def test_no_image_is_left_out_because_too_many_files_are_open(tmp_path, monkeypatch):
    def refuses(*args):
        raise OSError(errno.EMFILE, "Too many open files")
    monkeypatch.setattr(images, "open", refuses, raising=False)
    with pytest.raises(Refused, match="^too many files are open"):
        images.decode_piece([tmp_path / "a.png"], 8)


def test_an_image_of_8_bits_has_no_depth(tmp_path):
    for mode in ("RGB", "L", "P", "RGBA", "1"):
        Image.fromarray(picture(1)).convert(mode).save(tmp_path / "a.png")
        assert decode_one(tmp_path / "a.png", 8)[2] == (0, 0, 0)


def test_ctrl_c_is_turned_off_for_a_moment_and_by_the_main_thread_alone():
    def heard():
        with images.deaf():
            seen.append(signal.getsignal(signal.SIGINT))

    seen, before = [], signal.getsignal(signal.SIGINT)
    heard()
    thread = threading.Thread(target=heard)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_IGN, before] and signal.getsignal(signal.SIGINT) == before


def test_images_are_decoded_where_there_is_no_shared_memory(tmp_path, monkeypatch):
    from joblib.externals import loky

    def refuses(*args):
        raise OSError(errno.EROFS, "Read-only file system")
    monkeypatch.setattr(loky, "ProcessPoolExecutor", refuses)
    paths = [str(write_image(tmp_path / f"{k % 7}.png")) for k in range(images.FEW + 1)]
    found = np.concatenate([pixels for pixels, *_ in images.decode(paths, 8, jobs=2)])
    assert (found[:7] == images.decode_piece(paths[:7], 8)[0]).all() and len(found) == len(paths)


# ---- in processes --------------------------------------------------------------------------------------------------

def test_processes_give_the_same_in_the_same_order(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "FEW", 0)
    monkeypatch.setattr(images, "CHUNK", 3)
    paths = [write_image(tmp_path / f"{i}.png", picture(i)) for i in range(10)]
    paths[4].write_bytes(b"")
    alone, shared = ([*decode(paths, 16, jobs)] for jobs in (1, 2))
    assert [len(piece) for piece, *_ in shared] == [3, 3, 3, 1]
    for (a, b, c, _), (d, e, f, _) in zip(alone, shared, strict=True):
        assert (a == d).all() and (b == e).all() and c == f


def test_a_process_that_is_killed_ends_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "FEW", 0)
    monkeypatch.setattr(images, "decode_piece", end_at_once)
    with pytest.raises(InputError, match="a process that decoded images was killed, "
                                         "most likely because the memory was full"):
        list(decode([tmp_path / "1.png"] * 200, 16, 2))


def end_at_once(paths, size, resample, levels):
    os._exit(9)


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C goes to a group of processes")
def test_ctrl_c_is_heard_once_and_leaves_nobody_behind(tmp_path):
    code = f"""
from core.data.images import decode
from tests.lib.signals import restore
restore()
pieces = decode([{str(write_image(tmp_path / "a.png"))!r}] * 10**6, 16, 2)
try:
    for _ in pieces:
        print("piece", flush=True)
except KeyboardInterrupt:
    pieces.close()
    print("\\nend", flush=True)      # Ctrl-C may come between a word and the end of its line
"""
    program = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, cwd=ROOT, text=True, bufsize=1,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert program.stdout.readline() == "piece\n"
    os.killpg(program.pid, signal.SIGINT)
    words = program.communicate(timeout=60)[0].split()
    assert words[-1] == "end" and set(words[:-1]) <= {"piece"} and program.returncode == 0
    with pytest.raises(ProcessLookupError):                              # the group is empty
        for _ in range(100):
            os.killpg(program.pid, 0)
            time.sleep(0.1)
