"""core/data/thumbnails.py: the images as they are, small, each in its own row, no more than there is room for."""
import base64
import io

import numpy as np
import pytest
from PIL import Image

from core.data.thumbnails import LEVELS, pictures
from tests.lib.own_data import write_image


def opened(made):
    assert made.uri.startswith("data:image/jpeg;base64,")
    return Image.open(io.BytesIO(base64.b64decode(made.uri.split(",")[1])))


def plain(number, height=8, width=8):
    """An image of one colour that follows from its number."""
    return np.full((height, width, 3), (number * 7 % 256, number * 31 % 256, number * 77 % 256), np.uint8)


def test_small_images_keep_their_size_and_large_ones_become_small():
    made = pictures([np.full((8, 12, 3), (200, 30, 90), np.uint8)], None, [0], 1e6)[0]
    there = opened(made)
    assert there.size == made.size == (12, 8) and abs(np.asarray(there).astype(int) - (200, 30, 90)).max() <= 6
    assert opened(pictures([np.zeros((600, 300, 3), np.uint8)], None, [0], 1e6)[0]).size == (96, 192)


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_picture_is_that_of_its_row_and_their_order_is_kept(jobs, tmp_path):
    images = np.stack([plain(i) for i in range(60)])
    rows = np.random.default_rng(0).permutation(60)[:50]
    for row in rows[::2]:
        write_image(tmp_path / f"{row}.png", plain(row, 20, 40))
    found = pictures(images, lambda row: tmp_path / f"{row}.png", rows, 1e6, jobs)
    assert list(found) == rows.tolist()
    for row, made in found.items():
        assert abs(np.asarray(opened(made)).astype(int) - plain(row)[0, 0]).max() <= 6
    assert [made.whole for made in found.values()] == [True, False] * 25
    assert {made.size for made in found.values() if made.whole} == {(40, 20)}


def test_there_are_no_more_than_the_budget_has_room_for():
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
    lengths = [len(made.uri) for made in pictures(images, None, range(40), 1e9, levels=LEVELS[-1:]).values()]
    budget = sum(lengths[:17]) + lengths[17] / 2
    assert list(pictures(images, None, range(40), budget)) == list(range(17))
    assert pictures(images, None, range(40), 0) == {} == pictures(images, None, [], 1e6)


def test_the_best_quality_is_taken_at_which_all_have_room():
    images = np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), np.uint8)
    sums = [sum(len(made.uri) for made in pictures(images, None, range(30), 1e9, levels=[level]).values())
            for level in LEVELS]
    assert sums == sorted(sums, reverse=True)
    for i, total in enumerate(sums):
        found = pictures(images, None, range(30), 1.05 * total)
        assert len(found) == 30 and sum(len(made.uri) for made in found.values()) == total, LEVELS[i]


def test_the_quality_is_chosen_for_all_of_many_images():
    """Of 90, the first half takes little room and the second much."""
    images = np.random.default_rng(0).integers(0, 256, (90, 64, 64, 3), np.uint8)
    images[:45] = 128
    for level in LEVELS:
        total = sum(len(made.uri) for made in pictures(images, None, range(90), 1e9, levels=[level]).values())
        found = pictures(images, None, range(90), 1.05 * total)
        assert len(found) == 90 and sum(len(made.uri) for made in found.values()) == total, level
