"""core/data/photos.py: the whole photo, upright and small, and only if it still is what the network saw."""
import numpy as np
import pytest
from PIL import Image

from core.data.images import decode_one
from core.data.photos import agree, photo

SIDE = 192


def scene(width=800, height=600, seed=0):
    """Smooth colours with a bright disc left of the middle, which tells the sides apart."""
    rng = np.random.default_rng(seed)
    low = Image.fromarray(rng.integers(0, 160, (6, 8, 3), np.uint8)).resize((width, height), 3)
    y, x = np.mgrid[:height, :width]
    pixels = np.array(low)
    pixels[np.hypot(x - .3 * width, y - .5 * height) < .15 * height] = (250, 240, 60)
    return Image.fromarray(pixels)


def saved(path, image, **options):
    image.save(path, **options)
    return path, decode_one(path, 32)[0]


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.gif"])
def test_the_whole_photo_comes_back_small(tmp_path, name):
    path, seen = saved(tmp_path / name, scene())
    found = photo(path, seen, SIDE)
    assert found.size == (192, 144) and found.mode == "RGB"
    expected = scene().resize((192, 144), 1)
    assert abs(np.asarray(found, float) - np.asarray(expected)).mean() < (12 if name == "a.gif" else 3)


def test_it_stands_upright_as_its_camera_noted(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6                                            # to be turned by 90 degrees clockwise
    path, seen = saved(tmp_path / "a.jpg", scene(600, 800).rotate(90, expand=True), exif=exif)
    found = photo(path, seen, SIDE)
    assert found.size == (144, 192)
    assert abs(np.asarray(found, float) - np.asarray(scene(600, 800).resize((144, 192), 1))).mean() < 3


def test_a_small_image_keeps_its_pixels(tmp_path):
    path, seen = saved(tmp_path / "a.png", scene(40, 30))
    assert (np.asarray(photo(path, seen, SIDE)) == np.asarray(scene(40, 30))).all()


def test_transparency_becomes_white(tmp_path):
    image = scene().convert("RGBA")
    image.putalpha(Image.fromarray(np.tile(np.r_[np.zeros(400), np.full(400, 255)].astype(np.uint8), (600, 1))))
    path, seen = saved(tmp_path / "a.png", image)
    found = np.asarray(photo(path, seen, SIDE))
    assert (found[:, :90] == 255).all() and found[:, 100:].mean() < 200


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_values_of_many_bits_are_as_bright_as_the_network_saw_them(tmp_path, bits):
    grey = np.asarray(scene().convert("L"))
    Image.fromarray(grey.astype(np.uint16) << (bits - 8)).save(tmp_path / "a.png")
    seen = np.asarray(scene().convert("L").crop((100, 0, 700, 600)).resize((32, 32), 1).convert("RGB"))
    found = np.asarray(photo(tmp_path / "a.png", seen, SIDE), float)
    assert abs(found - np.asarray(scene().convert("L").resize((192, 144), 1), float)[..., None]).mean() < 4


def test_what_the_network_saw_as_white_is_white_at_every_step_above_it(tmp_path):
    """A ramp from black to twice of what is white, one step at a time."""
    ramp = np.tile(np.arange(512), (512, 1))
    Image.fromarray((100 * ramp).astype(np.uint16)).save(tmp_path / "a.png")
    seen = np.clip(np.tile(np.arange(0, 512, 16), (32, 1)), 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    found = np.asarray(photo(tmp_path / "a.png", seen, 512), int)
    assert (np.diff(found, axis=1) >= 0).all() and (found[:, -1] == 255).all() and len(np.unique(found)) > 200


def test_another_photo_a_damaged_and_a_missing_one_are_none(tmp_path):
    path, seen = saved(tmp_path / "a.jpg", scene())
    scene(seed=1).save(tmp_path / "b.jpg")
    raw = path.read_bytes()
    (tmp_path / "c.jpg").write_bytes(raw[:len(raw) // 2])
    (tmp_path / "d.jpg").write_bytes(b"no image")
    assert [photo(tmp_path / name, seen, SIDE) for name in ("b.jpg", "c.jpg", "d.jpg", "e.jpg")] == [None] * 4
    assert photo(path, seen, SIDE) is not None


def test_a_mirrored_photo_is_another_one(tmp_path):
    path, seen = saved(tmp_path / "a.png", scene())
    assert agree(scene(), Image.fromarray(seen)) and not agree(scene().transpose(0), Image.fromarray(seen))


def test_a_photo_of_too_many_pixels_is_left_alone(tmp_path, monkeypatch):
    path, seen = saved(tmp_path / "a.png", scene())
    monkeypatch.setattr("core.data.formats.LARGEST", 800 * 600 - 1)
    assert photo(path, seen, SIDE) is None
