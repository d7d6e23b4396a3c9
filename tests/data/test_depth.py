"""core/data/depth.py: what a set of images of many bits uses decides what is black and white, in all of them alike."""
import shutil

import numpy as np
import pytest
from PIL import Image

from core.data import depth, own
from core.data.images import decode_piece
from tests.lib.deep_images import png, tiff
from tests.lib.own_data import kinds, picture

GREY = np.random.default_rng(0).random((6, 16, 16))          # six scenes, as parts of full brightness
COLOUR = np.random.default_rng(1).random((6, 16, 16, 3))


def write(root, arrays, encode):
    """root/CLASS/0.x, ...: the first half of the arrays are cats, the others dogs."""
    for i, values in enumerate(arrays):
        path = root / ("cat" if i < len(arrays) // 2 else "dog") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(values))
    return root


def encoded(values):
    """16 bits of grey as Pillow writes them."""
    from io import BytesIO
    file = BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def shown(root, **options):
    return own.load(root, size=16, **options).data.train.images.astype(int)


@pytest.mark.parametrize("bits", range(1, 17))
def test_whatever_bits_the_set_uses_are_stretched(tmp_path, bits):
    values = np.rint(GREY * (2**bits - 1)).astype(np.uint16)
    exact = np.rint(GREY * (2**bits - 1)) * 255 / (2**bits - 1)
    found = shown(write(tmp_path, values, encoded))
    assert abs(found - exact[..., None]).max() <= 1.01


@pytest.mark.parametrize("encode", [encoded, tiff, lambda v: tiff(v, ">"), lambda v: tiff(v, "<", True),
                                    lambda v: tiff(v, ">", True)], ids=["png", "II", "MM", "II zip", "MM zip"])
def test_grey_of_12_bits_in_any_file(tmp_path, encode):
    values = (GREY * 4095).astype(np.uint16)
    assert abs(shown(write(tmp_path, values, encode)) - (GREY * 255)[..., None]).max() <= 1.1


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
@pytest.mark.parametrize("encode", [png, tiff, lambda v: tiff(v, ">"), lambda v: tiff(v, "<", True),
                                    lambda v: tiff(v, ">", True)], ids=["png", "II", "MM", "II zip", "MM zip"])
def test_colours_of_more_than_8_bits_in_any_file(tmp_path, bits, encode):
    values = (COLOUR * (2**bits - 1)).astype(np.uint16)
    assert abs(shown(write(tmp_path, values, encode)) - COLOUR * 255).max() <= 1.1


def test_transparency_beside_colours_of_12_bits_is_white(tmp_path):
    values = np.concatenate([COLOUR * 4095, np.full((6, 16, 16, 1), 65535)], axis=3).astype(np.uint16)
    values[:, :8, :, 3] = 0
    found = shown(write(tmp_path, values, png))
    assert (found[:, :8] == 255).all() and abs(found - COLOUR * 255)[:, 8:].max() <= 1.1


def test_the_brightness_of_an_image_within_the_set_stays(tmp_path):
    """Stretched one by one they would all look the same."""
    parts = np.array([1, 1 / 2, 1 / 4, 1, 1 / 8, 1 / 16])
    values = (GREY * 4095 * parts[:, None, None]).astype(np.uint16)
    found = shown(write(tmp_path, values, encoded))
    assert found.mean(axis=(1, 2, 3)) == pytest.approx(255 * parts * GREY.mean(axis=(1, 2)), abs=1)


@pytest.mark.parametrize("kind, low, high", [(np.int16, -1000, 3000), (np.int16, 30000, 31000),
                                             (np.int32, -5, 7 * 10**8),
                                             (np.float32, 0, 1), (np.float32, -0.3, 7e5), (np.uint16, 31768, 35768),
                                             (np.uint16, 60000, 60100)])
def test_other_values_are_stretched_from_the_lowest_to_the_highest_of_the_set(tmp_path, kind, low, high):
    parts = np.array([1, 1 / 2, 1 / 4, 1, 1 / 8, 1 / 16])[:, None, None]
    scenes = GREY * parts
    scenes[0, 0, 0], scenes[0, 0, 1] = 0, 1
    scenes[0, 1, 0], scenes[0, 1, 1] = 0, 1
    values = (low + scenes * (high - low)).astype(kind)
    found = shown(write(tmp_path, values, tiff))
    assert abs(found - (255 * scenes)[..., None]).max() <= 4             # 60,100 - 60,000 has 100 levels


def test_hot_pixels_burnt_in_letters_and_one_odd_image_do_not_decide(tmp_path):
    values = (np.random.default_rng(2).random((120, 40, 40)) * 1023).astype(np.uint16)
    values[:, 3, 5] = 65535                                  # one of 1,600 pixels
    values[7] = 65535
    root = write(tmp_path, values, encoded)
    (root / "cat" / "3.png").write_bytes(b"")                # does not move the others
    reading = own.load(root, size=40)
    found = reading.data.train.images[0].astype(int)
    assert abs(found[..., 0] - np.minimum(values[0] / 1023 * 255, 255)).max() <= 1.1
    assert kinds(reading.findings)["clipped"] == ["cat/7.png"]


def test_a_mixed_set_is_told(tmp_path):
    """What is stored in fewer bits than the others looks nearly black; no one scale suits both."""
    values = np.concatenate([GREY * 1023, GREY * 65535]).astype(np.uint16)
    reading = own.load(write(tmp_path, values, encoded), size=16)
    assert kinds(reading.findings) == {"dim": [f"cat/{i}.png" for i in range(6)]}
    assert reading.notes == ["12 images of 16 or 32 bits (whole numbers): 0 is shown as black and 65,535 as white, in "
                             "all of them"]


def test_images_of_8_bits_beside_them_stay_as_they_are(tmp_path):
    root = write(tmp_path, (GREY * 1023).astype(np.uint16), encoded)
    Image.fromarray(picture(5, 16, 16)).save(root / "cat" / "a.png")
    found = shown(root)
    assert (found[3] == picture(5, 16, 16)).all() and abs(found[4:, ..., 0] - 255 * GREY[3:]).max() <= 1.1


def test_test_images_are_shown_as_the_training_images(tmp_path):
    """A darker test set stays darker, and is shown anew to a network that was trained on others."""
    write(tmp_path / "test", (GREY * 1000).astype(np.uint16), encoded)
    for white in (4095, 8191):
        write(tmp_path / f"{white}", (GREY * white).astype(np.uint16), encoded)
        for store in (None, tmp_path / "store", tmp_path / "store"):
            test = own.load(tmp_path / f"{white}", size=16, test=tmp_path / "test", store=store).data.test.images
            assert abs(test[..., 0].astype(int) - GREY * 1000 * 255 / white).max() <= 1.1, (white, store)


def test_images_in_an_archive_share_one_level(tmp_path):
    values = (GREY * np.array([4095, 500, 4095, 500, 500, 500])[:, None, None]).astype(np.uint16)
    root, brighter = (write(tmp_path / f"{k}", values * k, encoded) for k in (1, 2))
    packed = shutil.make_archive(str(tmp_path / "x"), "zip", root)
    assert (shown(packed) == shown(root)).all()
    tests = [own.load(brighter, size=16, test=test).data.test.images for test in (packed, root)]
    assert (tests[0] == tests[1]).all()


def test_stored_images_are_the_same_and_one_more_image_changes_all(tmp_path):
    root = write(tmp_path / "data", (GREY * 1000).astype(np.uint16), encoded)
    first, again = (shown(root, store=tmp_path / "store") for _ in range(2))
    assert (first == again).all()
    (root / "cat" / "bright.png").write_bytes(b"")           # is read later
    assert (shown(root, store=tmp_path / "store")[:6] == first).all()
    (root / "cat" / "bright.png").write_bytes(encoded((GREY[0] * 65535).astype(np.uint16)))
    assert (shown(root, store=tmp_path / "store") == shown(root)).all()
    assert shown(root).shape[0] == 7 and shown(root)[0].max() <= 4


@pytest.mark.parametrize("last", [65535, 500])
def test_what_is_read_later_than_the_others_of_a_store_is_scaled_with_them(tmp_path, monkeypatch, last):
    """The file of one image was out of reach at first; nothing about it has changed."""
    from core.data import images
    values = (GREY * np.array([1000] * 5 + [last])[:, None, None]).astype(np.uint16)
    root = write(tmp_path / "data", values, encoded)
    real = images.decode_one
    with monkeypatch.context() as patch:
        patch.setattr(images, "decode_one", lambda path, *args: 1 / 0 if path.endswith("5.png") else real(path, *args))
        assert shown(root, store=tmp_path / "store").shape[0] == 5
    assert (shown(root, store=tmp_path / "store") == shown(root)).all() and shown(root).shape[0] == 6


def test_an_image_that_was_clipped_is_scaled_anew_when_it_is_no_longer_alone(tmp_path, monkeypatch):
    """One of five may lie outside. A second bright image becomes readable: the first is in the store, clipped."""
    from core.data import images
    monkeypatch.setattr(depth, "IMAGES", 4)
    values = (GREY * np.array([1000] * 4 + [65535] * 2)[:, None, None]).astype(np.uint16)
    root, real = write(tmp_path / "data", values, encoded), images.decode_one
    with monkeypatch.context() as patch:
        patch.setattr(images, "decode_one", lambda path, *args: 1 / 0 if path.endswith("5.png") else real(path, *args))
        assert (shown(root, store=tmp_path / "store")[4] > 250).mean() > 0.9
    assert (shown(root, store=tmp_path / "store") == shown(root)).all() and (shown(root)[4] > 250).mean() < 0.1


def test_what_is_said_of_a_set_counts_the_images_of_each_kind_and_names_those_outside():
    depths = np.array([(1, 100, 200), (0, 0, 0), (1, 99, 150), (2, -1, 1), (1, 120, 201), (2, -1.5, 0)] + [(0, 0, 0)])
    levels = {1: (100.0, 200.0), 2: (-1.0, 1.0)}
    assert depth.clipped(depths, levels) == [(2, "99 to 150"), (4, "120 to 201"), (5, "-1.5 to 0")]
    assert [note[:44] for note in depth.note(depths, levels)] == [
        "3 images of 16 or 32 bits (whole numbers): 1", "2 images of 16 or 32 bits (fractions): -1 is"]
    assert depth.note(depths[[1, 6]], levels) == []


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_neither_black_nor_white(odd):
    with pytest.raises(ValueError, match="not finite"):
        depth.eight_bits(np.array([0.5, odd, 1.0]), 0.0, 1.0)


def test_processes_share_the_levels(tmp_path, monkeypatch):
    monkeypatch.setattr("core.data.images.FEW", 0)
    monkeypatch.setattr("core.data.images.CHUNK", 2)
    root = write(tmp_path, (GREY * 1023).astype(np.uint16), encoded)
    assert (shown(root, jobs=2) == shown(root)).all()


def test_the_measure_is_the_definition():
    values = np.random.default_rng(3).integers(0, 5000, 7777)
    kind, low, high = depth.measured(values.astype(np.uint16))
    assert (kind, low, high) == (depth.WHOLE, np.sort(values)[7], np.sort(values)[-8])
    depths = np.array([[0, 0, 0], *([depth.WHOLE, 10, n] for n in range(1, 251)), [depth.FRACTIONS, -1, 2]])
    assert depth.levels(depths) == {depth.WHOLE: (0, 255), depth.FRACTIONS: (-1, 2)}      # two of 250 left outside
    depths[100, 2] = depths[200, 2] = 60000
    assert depth.levels(depths)[depth.WHOLE] == (0, 255)
    depths[150, 2] = 60000
    assert depth.levels(depths)[depth.WHOLE] == (0, 65535)


def test_a_large_image_is_measured_and_converted_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("core.data.images.ROWS", 1 << 10)
    values = (np.random.default_rng(4).random((200, 300)) * 1023).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(encoded(values))
    parts = decode_piece([tmp_path / "a.png"], 16)
    monkeypatch.undo()
    whole = decode_piece([tmp_path / "a.png"], 16)
    assert (parts[0] == whole[0]).all() and (parts[3] == whole[3]).all() and whole[3][0, 2] > 1000
