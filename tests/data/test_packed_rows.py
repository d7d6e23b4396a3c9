"""Images in archives and arrays, row by row: whatever rows are asked for in whatever order, and whatever lies between
them, each image is that of its row."""
import io
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from core.data import archive as module
from core.data import array_images
from core.data.archive import read_archive
from core.data.array_images import read_arrays
from core.data.csv_cells import csv_text
from core.data.own import load
from core.errors import InputError
from tests.lib.own_data import kinds, picture

N, SIDE = 41, 8


def encoded(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def pack(path, members):
    """Write [(name, bytes)] as the kind of archive that the path's ending says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as file:
            for name, raw in members:
                file.writestr(name, raw)
    else:
        with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as file:
            for name, raw in members:
                info = tarfile.TarInfo(name)
                info.size = len(raw)
                file.addfile(info, io.BytesIO(raw))
    return path


def decoded(packed, paths, rows, size=SIDE):
    """{row: (image, shape, reason)} of what a decoder yields; each row once."""
    found = {}
    for here, *about in packed.decode(paths, rows, size, 1):
        images, shapes, reasons, depths = about
        assert len(here) == len(images) == len(shapes) == len(reasons) == len(depths)
        for row, *one in zip(here, images, shapes, reasons):
            assert row not in found
            found[int(row)] = one
    assert sorted(found) == sorted(map(int, rows))
    return found


# ---- archives --------------------------------------------------------------------------------------------------------

FORMS = pytest.mark.parametrize("ending", ["zip", "tar", "tgz"])
WHY = {"cut": "truncated", "large": "bytes are more than 3,000: make it smaller", "empty": "an empty file"}


@FORMS
@pytest.mark.parametrize("chunk, at_once", [(32, 1 << 24), (3, 1 << 24), (32, 700), (1, 1)])
def test_every_image_of_an_archive_is_that_of_its_row(tmp_path, monkeypatch, ending, chunk, at_once):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(module, "LARGEST", 3000)
    monkeypatch.setattr(module, "CHUNK", chunk)
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    names = [f"{'ab'[k % 2]}/{rng.integers(10**6)}-{k}.png" for k in range(N)]
    faults = {2: "cut", 3: "large", 17: "empty", 19: "large", N - 1: "cut"}
    members = []
    for k, name in enumerate(names):
        raw = encoded(picture(k, SIDE, SIDE + k % 3))
        members.append((name, {"cut": raw[:60], "large": encoded(picture(k, 40 + k, 40)), "empty": b""}.get(
            faults.get(k), raw)))
    between = [(f"a/{k}.txt", b"no image") for k in range(9)]
    order = rng.permutation(len(members) + len(between))
    path = pack(tmp_path / f"x.{ending}", [[*members, *between][k] for k in order])
    listing = read_archive(path)
    assert sorted(listing.paths) == sorted(names) and listing.paths == sorted(listing.paths)
    number = {name: k for k, name in enumerate(names)}
    for rows in (np.arange(N), rng.permutation(N), rng.permutation(N)[:20], np.array([], int)):
        for row, (image, shape, why) in decoded(listing.packed, listing.paths, rows).items():
            k = number[listing.paths[row]]
            if k in faults:
                assert why and WHY[faults[k]] in why and not shape.any() and not image.any()
                assert faults[k] != "large" or why.startswith(f"{len(dict(members)[names[k]]):,} bytes"), "of its row"
            else:
                left = (k % 3) // 2
                assert why is None and shape.tolist() == [SIDE, SIDE + k % 3]
                assert (image == picture(k, SIDE, SIDE + k % 3)[:, left:left + SIDE]).all()


@pytest.mark.parametrize("at_once, longest", [(1, 1), (1000, 1000), (1 << 24, 1 << 24)])
def test_no_more_bytes_are_held_at_once_than_are_allowed(tmp_path, monkeypatch, at_once, longest):
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    path = pack(tmp_path / "x.zip", [(f"{'ab'[k % 2]}/{k}.png", encoded(picture(k))) for k in range(N)])
    archive, taken = read_archive(path).packed, []
    pieces = list(archive.pieces({k: k for k in range(N)}, taken, {}))
    assert sum(map(len, pieces)) == N and list(map(len, pieces)) == list(map(len, taken))
    assert all(len(piece) == 1 or sum(map(len, piece)) <= longest for piece in pieces)
    assert at_once < 1000 or len(pieces) < N, "no piece is smaller than it has to be"


@FORMS
def test_a_damaged_member_leaves_the_others_or_is_told_as_damage(tmp_path, ending):
    """The archive is damaged after it was listed, in the middle of its bytes."""
    members = [(f"{'ab'[k % 2]}/{k}.png", encoded(picture(k, SIDE, SIDE))) for k in range(N)]
    path = pack(tmp_path / f"x.{ending}", members)
    listing, raw = read_archive(path), bytearray(path.read_bytes())
    raw[len(raw) // 3:len(raw) // 3 + 40] = bytes(40)
    path.write_bytes(raw)
    found = decoded(listing.packed, listing.paths, range(N))
    good = [row for row, (*_, why) in found.items() if why is None]
    assert len(good) < N and (good or ending == "tgz"), "unpacked in blocks of 256 kB"
    for row in good:
        k = int(listing.paths[row].split("/")[1][:-4])
        assert (found[row][0] == picture(k, SIDE, SIDE)).all()


@FORMS
def test_a_table_names_an_entry_by_as_much_of_its_path_as_tells_it(tmp_path, ending):
    """Names that are there twice: the whole path decides, and where it does not, there is no such image."""
    names = ["top/train/cat/1.png", "top/train/dog/1.png", "top/test/cat/1.png", "top/test/dog/2.png", "3.png"]
    path = pack(tmp_path / f"x.{ending}", [(name, encoded(picture(k, SIDE, SIDE))) for k, name in enumerate(names)])
    pack(tmp_path / f"other.{ending}", [(name, encoded(picture(99, SIDE, SIDE))) for name in names])
    meant = {names[1]: 1, names[2]: 2, names[3]: 3, "train/dog/1.png": 1, "test/cat/1.png": 2, "2.png": 3,
             "dog/2.png": 3, "elsewhere/dog/2.png": 3, "cat/1.png": None, "1.png": None, "cat/4.png": None}
    for text, k in meant.items():
        lines = [[f"{path}/{names[0]}", "a"], [f"x.{ending}/{text}", "b"], [f"{path}/{names[4]}", "b"]]
        (tmp_path / "t.csv").write_text(csv_text([["path", "label"], *lines]))
        reading = load(tmp_path / "t.csv", size=SIDE)
        shown = [0, *([] if k is None else [k]), 4]
        assert (reading.data.train.images == [picture(k, SIDE, SIDE) for k in shown]).all(), text
        assert len(kinds(reading.findings).get("missing", [])) == (k is None), text
        assert reading.data.train.paths.tolist() == [f"x.{ending}/{names[k]}" for k in shown]
    lines = [[f"{path}/{names[0]}", "a"], [f"other.{ending}/{names[1]}", "b"], [f"{path}/{names[3]}", "b"]]
    (tmp_path / "t.csv").write_text(csv_text([["path", "label"], *lines]))
    reading = load(tmp_path / "t.csv", size=SIDE)                        # of one archive, not of several
    assert kinds(reading.findings)["missing"] == [f"other.{ending}/{names[1]}"]
    assert (reading.data.train.images == [picture(k, SIDE, SIDE) for k in (0, 3)]).all()


# ---- arrays ----------------------------------------------------------------------------------------------------------

PIXELS = np.stack([picture(k, SIDE, SIDE) for k in range(N)])
FORMS_OF_ARRAYS = {
    "as they are": PIXELS, "channels first": PIXELS.transpose(0, 3, 1, 2).copy(), "fractions": PIXELS / np.float32(255),
    "whole numbers": PIXELS.astype(np.int32), "opaque": np.concatenate([PIXELS, np.full((N, SIDE, SIDE, 1), 255,
                                                                                         np.uint8)], axis=3)}


@pytest.mark.parametrize("form", FORMS_OF_ARRAYS)
@pytest.mark.parametrize("rows_at_once", [1, 4, N - 1, 10**6])
def test_every_image_of_an_array_is_that_of_its_row(tmp_path, monkeypatch, form, rows_at_once):
    rng, array = np.random.default_rng(0), FORMS_OF_ARRAYS[form].copy()
    monkeypatch.setattr(array_images, "BLOCK", rows_at_once * array[0].nbytes)
    bad = [1, 7, 8, N - 1] if array.dtype.kind == "f" else []
    array[bad, 0, 0, 1] = [np.nan, np.inf, -np.inf, np.nan][:len(bad)]
    labels = np.where(np.arange(N) % 6 == 1, -1, np.arange(N) % 3)       # a sixth has none
    np.savez(tmp_path / "x.npz", images=array, labels=labels)
    listing = read_arrays(tmp_path / "x.npz")
    named = [k for k in range(N) if k % 6 != 1]
    assert listing.index == named and listing.paths == [f"images[{k}]" for k in named] and listing.rows == N
    assert listing.labels == [str(k % 3) for k in named]
    for rows in (np.arange(len(named)), rng.permutation(len(named)), rng.permutation(len(named))[:9]):
        for row, (image, shape, why) in decoded(listing.packed, listing.paths, rows).items():
            k = named[row]
            if k in bad:
                assert why == "some of its values are not finite" and not shape.any() and not image.any()
            else:
                assert why is None and shape.tolist() == [SIDE, SIDE] and (image == PIXELS[k]).all()


@pytest.mark.parametrize("resample", ["LANCZOS", "BICUBIC", "BOX"])
@pytest.mark.parametrize("shape", [(24, 31), (31, 24), (5, 9), (9, 5)])
def test_images_of_arrays_are_cut_and_resized_as_those_of_files(tmp_path, shape, resample):
    images = np.stack([picture(k, *shape) for k in range(4)])
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(4) % 2)
    path = pack(tmp_path / "x.zip", [(f"a/{k}.png", encoded(image)) for k, image in enumerate(images[:2])]
                + [(f"b/{k}.png", encoded(image)) for k, image in enumerate(images[2:])])
    seen = []
    for listing in (read_arrays(tmp_path / "x.npz"), read_archive(path)):
        found = listing.packed.decode(listing.paths, range(4), SIDE, 1, resample=resample)
        seen.append(np.concatenate([images for _, images, *_ in found]))
    assert (seen[0] == seen[1]).all()
    side = min(shape)
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    square = Image.fromarray(images[0, top:top + side, left:left + side])
    whole = square.resize((SIDE, SIDE), Image.Resampling[resample], reducing_gap=3)
    assert (seen[0][0] == np.asarray(whole)).all()


@pytest.mark.parametrize("H, W, good", [(8000, 10_000, True), (8000, 10_001, False), (1, 80_000_000, True)])
def test_an_image_of_an_array_has_a_limit_of_pixels(tmp_path, H, W, good):
    """The array is as large as a header of 128 bytes says: nothing is read of it."""
    member = array_images.Member(tmp_path / "x.npy", None, (1, H, W), False, np.dtype(np.uint8))
    if good:
        array_images.layout(member, "images")
    else:
        with pytest.raises(InputError, match="save them as"):
            array_images.layout(member, "images")
