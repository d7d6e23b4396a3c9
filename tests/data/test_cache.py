"""core/data/cache.py: stored images are used while nothing has changed, and never when anything has."""
import errno
import os
import shutil

import numpy as np
import PIL
import pytest

from core.data import cache, images, own, source
from core.errors import InputError, Refused
from core.files import disk_errors
from tests.lib.own_data import kinds, write_folder, write_image, write_table


@pytest.fixture
def root(tmp_path):
    return write_folder(tmp_path / "data")


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that were decoded."""
    names = []

    def decode(paths, size, jobs, levels, resample):
        names.extend(os.path.basename(path) for path in paths)
        return images.decode(paths, size, jobs, levels, resample)
    monkeypatch.setattr(source, "decode", decode)
    return names


def load(root, store, **options):
    return own.load(root, store=store, size=8, **options)


def test_images_are_decoded_once(root, store, decoded):
    first, second = load(root, store), load(root, store)
    assert len(decoded) == 6 and first.notes == second.notes == []
    assert (first.data.train.images == second.data.train.images).all() and (first.shapes == second.shapes).all()
    assert [path.suffix for path in store.iterdir()] == [".npz"]


def touch(root):
    os.utime(root / "cat" / "0.png", ns=(0, 12345))


def rewrite(root):
    stat = (root / "cat" / "0.png").stat()
    (root / "cat" / "0.png").write_bytes((root / "cat" / "0.png").read_bytes()[:-1] + b"x")
    os.utime(root / "cat" / "0.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))      # only the change of the entry tells


def rename(root):
    os.rename(root / "cat" / "0.png", root / "cat" / "00.png")


def add(root):
    write_image(root / "dog" / "9.png")


@pytest.mark.parametrize("change", [touch, rewrite, rename, add])
def test_any_change_of_a_file_is_noticed(root, store, decoded, change):
    load(root, store)
    change(root)
    load(root, store)
    assert len(decoded) >= 12 and len(list(store.iterdir())) == 1


def test_the_fingerprint_tells_all_that_the_images_depend_on(root, tmp_path, monkeypatch):
    paths = ["cat/0.png", "cat/1.png", "dog/2.png"]
    found = [cache.fingerprint(root, paths, 8)]
    assert cache.fingerprint(root, list(paths), 8) == found[0]
    found += [cache.fingerprint(*other) for other in (
        (root, paths, 9), (root, paths[::-1], 8), (root, paths[:2], 8), (root, [*paths, "none.png"], 8),
        (root, [*paths, "lost.png"], 8),
        (root, [*paths[:2], "none.png"], 8), (root, ["dog/0.png", *paths[1:]], 8))]
    for target, name in ((cache, "VERSION"), (PIL, "__version__")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, "another")
            found.append(cache.fingerprint(root, paths, 8))
    shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copy2)
    found.append(cache.fingerprint(tmp_path / "copy", paths, 8))
    for change in (touch, rewrite, rename):
        change(root)
        found.append(cache.fingerprint(root, paths, 8))
    assert len(set(found)) == len(found) == 14


def test_the_file_behind_a_link_counts(root, tmp_path):
    (tmp_path / "link.png").symlink_to(root / "cat" / "0.png")
    before = cache.fingerprint(tmp_path, ["link.png"], 8)
    touch(root)
    assert cache.fingerprint(tmp_path, ["link.png"], 8) != before


def test_labels_are_never_stored(root, store, decoded):
    table = write_table(root / "t.csv", ["cat/0.png,a", "cat/1.png,b"])
    assert load(table, store).data.train.labels.tolist() == [0, 1]
    write_table(table, ["cat/0.png,b", "cat/1.png,a"])
    assert load(table, store).data.train.labels.tolist() == [1, 0] and len(decoded) == 2


def test_another_size_version_or_place_is_another_file(root, store, decoded, monkeypatch, tmp_path):
    load(root, store)
    own.load(root, store=store, size=9)
    os.rename(root, tmp_path / "moved")
    load(tmp_path / "moved", store)
    monkeypatch.setattr(cache, "VERSION", images.VERSION + 1)
    load(tmp_path / "moved", store)
    assert len(decoded) == 24 and len(list(store.iterdir())) == 3


def test_what_could_not_be_read_is_tried_again_and_nothing_else(root, store, decoded):
    (root / "cat" / "bad.png").write_bytes(b"")
    load(root, store)
    again = load(root, store)
    assert decoded[7:] == ["bad.png"] and kinds(again.findings)["unreadable"] == ["cat/bad.png"]


@pytest.mark.parametrize("part", np.linspace(0, 0.999, 12))
def test_a_flipped_bit_is_noticed_or_harmless(root, store, decoded, part):
    expected = load(root, store).data.train.images
    file, = store.iterdir()
    raw = bytearray(file.read_bytes())
    raw[int(part * len(raw))] ^= 4
    file.write_bytes(raw)
    assert (load(root, store).data.train.images == expected).all()


@pytest.mark.parametrize("raw", [b"", b"PK", b"\x93NUMPY" + bytes(99), bytes(500)])
def test_a_damaged_file_is_told_and_replaced(root, store, decoded, raw):
    load(root, store)
    file, = store.iterdir()
    file.write_bytes(raw)
    note, = load(root, store).notes
    assert note == f"the stored images in {file} are damaged: the images were decoded again"
    assert load(root, store).notes == [] and len(decoded) == 12


def test_a_file_that_is_cut_off_or_of_another_shape_is_told(root, store, decoded):
    load(root, store)
    file, = store.iterdir()
    with np.load(file) as stored:
        arrays = dict(stored)
    file.write_bytes(file.read_bytes()[:-100])
    assert "are damaged" in load(root, store).notes[0]
    np.savez(file, **arrays | {"images": arrays["images"][1:]})
    assert "are damaged" in load(root, store).notes[0]


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory")])
def test_a_file_that_does_not_fit_into_memory_is_not_called_damaged(tmp_path, monkeypatch, error):
    def refuses(*args, **options):
        raise error
    (tmp_path / "a.npz").touch()
    monkeypatch.setattr(np, "load", refuses)
    with pytest.raises(Refused, match="^memory ran out"):
        cache.load(tmp_path / "a.npz", "", (1,))


@pytest.mark.parametrize("name", ["images", "shapes", "depths"])
@pytest.mark.parametrize("change", [lambda a: a[:-1], lambda a: a[..., :-1], lambda a: a[None]],
                         ids=["rows", "columns", "more"])
def test_stored_arrays_that_do_not_fit_each_other_are_damaged(tmp_path, name, change):
    file = tmp_path / "a.npz"
    arrays = {"images": np.zeros((4, 8, 8, 3), np.uint8), "shapes": np.zeros((4, 2), np.int32),
              "depths": np.zeros((4, 3))}
    cache.save(file, "key", **arrays)
    found = cache.load(file, "key", (4, 8, 8, 3))
    assert all((a == b).all() and a.shape == b.shape and a.dtype == b.dtype for a, b in zip(found, arrays.values()))
    assert cache.load(file, "other", (4, 8, 8, 3)) is None
    cache.save(file, "key", **arrays | {name: change(arrays[name])})
    with pytest.raises(InputError, match="are damaged"):
        cache.load(file, "key", (4, 8, 8, 3))


def test_without_a_place_to_store_the_run_goes_on(root, store, monkeypatch):
    store.write_text("a file in the way")
    note, = load(root, store).notes
    assert note.startswith(f"decoded images are not stored: cannot write {store}") and "--cache" in note

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(np, "savez", full)
    note, = load(root, store.with_name("other")).notes
    assert "the disk is full" in note and "--cache" in note and list(store.with_name("other").iterdir()) == []


def test_nothing_is_ever_written_into_the_data(root, tmp_path):
    before = sorted(root.rglob("*"))
    (tmp_path / "link").symlink_to(root / "cat")
    for place in (root / "cache", tmp_path / "link"):
        note, = load(root, place).notes
        assert note == (f"decoded images are not stored, since {place} is inside the data: "
                        "choose another folder with --cache")
    assert sorted(root.rglob("*")) == before


def test_disk_errors_name_the_option_that_helps_here():
    # else the words that source.py replaces are others
    with pytest.raises(InputError, match="--out"), disk_errors("x"):
        raise OSError(28, "No space left on device")
