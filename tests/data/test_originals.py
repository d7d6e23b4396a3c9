"""core/data/originals.py: the whole image of every row, from files, archives and arrays."""
import io
import os
import re

import numpy as np
import pytest
from PIL import Image

from core.data.archive import Archive, read_archive
from core.data.array_images import Arrays, read_arrays
from core.data.originals import AT_ONCE, SIDE, originals_of
from core.data.own import load
from tests.data.test_packed_rows import encoded, pack

N, S = 30, 16


def scene(number, height=90, width=120):
    """Smooth colours that follow from the number."""
    low = np.random.default_rng(number).integers(0, 256, (3, 4, 3), np.uint8)
    return np.asarray(Image.fromarray(low).resize((width, height), 3))


SCENES = np.stack([scene(k) for k in range(N)])
ARRAYS = {"colours": SCENES, "first": SCENES.transpose(0, 3, 1, 2), "fractions": SCENES.astype(np.float32) / 255,
          "grey": SCENES[..., 0], "16 bits": SCENES.astype(np.uint16) * 257,
          "opaque": np.concatenate([SCENES, np.full((N, 90, 120, 1), 255, np.uint8)], axis=3)}


@pytest.fixture(params=["zip", "tar", "tar.gz", *ARRAYS])
def reading(tmp_path, request):
    """(Reading of the scenes, the scene of each of its rows)"""
    if request.param in ARRAYS:
        np.savez(tmp_path / "x.npz", images=ARRAYS[request.param], labels=np.arange(N) % 2)
        reading = load(tmp_path / "x.npz", seed=3, size=S, held_out=.2)
        expected = [np.repeat(scene[..., :1], 3, axis=2) if request.param == "grey" else scene for scene in SCENES]
    else:
        order = np.random.default_rng(0).permutation(N)
        path = pack(tmp_path / f"x.{request.param}", [(f"{'ab'[k % 2]}/{k}.png", encoded(SCENES[k])) for k in order])
        reading = load(path, seed=3, size=S, held_out=.2)
        expected = [SCENES[int(re.search(r"\d+", path)[0])] for path in reading.listings[0].paths]
    return reading, [expected[row] for row in reading.data.train.index]


def of(reading, jobs=1):
    split = reading.data.train
    return originals_of(reading.listings[0], split.index, split.paths, None, reading.data.levels, jobs)


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_row_has_the_whole_image_and_not_the_square_that_the_network_saw(reading, jobs):
    reading, expected = reading
    rows = np.random.default_rng(1).permutation(len(expected))[:3 * AT_ONCE + 1].tolist()
    assert 2 * AT_ONCE < len(rows) < len(expected) < N
    original = of(reading, jobs).of(rows, reading.data.train.images)
    for row in rows:
        found = Image.open(io.BytesIO(original(row)))
        assert found.format == "JPEG" and found.size == (120, 90)
        assert abs(np.asarray(found, float) - expected[row]).mean() < 3
    assert all(original(row) is None for row in set(range(len(expected))) - set(rows)), "nor was it read"


def test_rows_are_read_in_one_pass_and_once(reading, monkeypatch):
    reading, passes = reading[0], []
    for kind in (Archive, Arrays):
        true = kind.originals
        monkeypatch.setattr(kind, "originals", lambda self, paths, rows, levels, true=true: (
            passes.append(sorted(rows)), true(self, paths, rows, levels))[1])
    originals, images = of(reading), reading.data.train.images
    first = originals.of([4, 0, 9, 4], images)
    second = originals.of([0, 9, 2], images)
    place = {row: k for k, row in enumerate(reading.listings[0].index)}
    assert passes == [sorted(place[reading.data.train.index[row]] for row in rows) for rows in ([0, 4, 9], [2])]
    assert all(map(first, [0, 4, 9])) and all(map(second, [0, 9, 2, 4]))
    originals.of([], images), originals.of([4], images)
    assert len(passes) == 2


def test_a_large_image_is_kept_small_and_one_that_is_another_by_now_is_not(tmp_path):
    rng = np.random.default_rng(0)
    members = [(f"{'ab'[k % 2]}/{k}.png", encoded(scene(k, 300, 500))) for k in range(6)]
    reading = load(pack(tmp_path / "x.zip", members), size=S)
    name = reading.listings[0].paths[2]
    members = [(path, encoded(rng.integers(0, 2, (3, 5, 3)).astype(np.uint8) * 255) if path == name else raw)
               for path, raw in members]
    pack(tmp_path / "x.zip", members)
    listing = read_archive(tmp_path / "x.zip")
    images = reading.data.train.images
    original = originals_of(listing, reading.data.train.index, None, None).of(range(6), images)
    assert [row for row in range(6) if original(row) is None] == [2]
    assert {Image.open(io.BytesIO(original(row))).size for row in (0, 1, 3, 4, 5)} == {(SIDE, 115)}


def test_an_archive_that_is_gone_by_now_leaves_what_the_network_saw(tmp_path, monkeypatch):
    path = pack(tmp_path / "x.zip", [(f"{'ab'[k % 2]}/{k}.png", encoded(scene(k))) for k in range(6)])
    reading = load(path, size=S)
    path.unlink()
    originals, images = of(reading), reading.data.train.images
    original = originals.of(range(6), images)
    assert [original(row) for row in range(6)] == [None] * 6
    monkeypatch.setattr(Archive, "originals", lambda *args: pytest.fail("nor is it tried again"))
    originals.of(range(6), images)


def test_no_more_images_of_an_archive_are_in_memory_than_are_allowed(tmp_path, monkeypatch):
    path = pack(tmp_path / "x.zip", [(f"{'ab'[k % 2]}/{k}.png", encoded(scene(k))) for k in range(N)])
    reading, ahead, read = load(path, size=S), [], []
    true = Archive.originals
    monkeypatch.setattr(Archive, "originals", lambda *args: (read.append(1) or pair for pair in true(*args)))
    monkeypatch.setattr("core.data.originals.small", lambda raw, seen: ahead.append(len(read)) or b"")
    of(reading, 2).of(range(N), reading.data.train.images)
    assert len(ahead) == N and all(seen <= (k // (2 * AT_ONCE) + 1) * 2 * AT_ONCE for k, seen in enumerate(ahead))


def test_files_are_named_and_what_has_none_has_no_original(tmp_path):
    paths = np.array(["a/1.png", str(tmp_path / "b" / "2.png")])
    original = originals_of(None, np.arange(2), paths, "root").of([1], None)
    assert [original(row) for row in range(2)] == [os.path.join("root", "a/1.png"), paths[1]]
    assert originals_of(None, np.arange(2), None, None) is None


def test_a_listing_of_files_is_no_archive(tmp_path):
    for k in range(4):
        (tmp_path / "ab"[k % 2]).mkdir(exist_ok=True)
        Image.fromarray(scene(k)).save(tmp_path / "ab"[k % 2] / f"{k}.png")
    reading = load(tmp_path, size=S)
    split = reading.data.train
    original = originals_of(reading.listings[0], split.index, split.paths, str(tmp_path)).of([], split.images)
    assert [original(row) for row in range(4)] == [str(tmp_path / path) for path in split.paths]


def test_levels_are_those_of_the_training_images(tmp_path):
    """An array in which nothing is white: the run's levels, not its own, are what the network saw."""
    array = (SCENES // 2).astype(np.float32)
    np.savez(tmp_path / "x.npz", images=array, labels=np.arange(N) % 2)
    listing = read_arrays(tmp_path / "x.npz")
    levels = {kind: (0.0, 510.0) for kind in listing.packed.levels}
    seen = np.concatenate([images for _, images, *_ in listing.packed.decode(listing.paths, range(N), S, 1, levels)])
    original = originals_of(listing, np.arange(N), None, None, levels).of([5], seen)
    assert abs(np.asarray(Image.open(io.BytesIO(original(5))), float) - SCENES[5] / 4).mean() < 3
