"""core/data/archive.py: class folders in .zip and .tar, read where they are, and archives that mean harm."""
import gzip
import io
import lzma
import os
import shutil
import tarfile
import time
import tracemalloc
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from core.data import archive as module
from core.data.archive import archive_of, read_archive
from core.data.csv_cells import csv_text
from core.data.how import How
from core.data.own import load
from core.data.source import open_source
from core.errors import InputError
from tests.lib.own_data import kinds, picture, write_folder, write_image

FORMS = {"zip": "zip", "tar": "tar", "tar.gz": "gztar", "tar.bz2": "bztar", "tar.xz": "xztar", "tgz": "gztar"}


@pytest.fixture
def root(tmp_path):
    return write_folder(tmp_path / "pets", ("dog", "cat", "émeu"), images=3)


def packed(path, members, kind=None):
    """An archive of {name: bytes}, or of (name, bytes) where names come twice."""
    members = list(members.items()) if isinstance(members, dict) else members
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, raw in members:
                file.writestr(name, raw)
    else:
        with tarfile.open(path, "w:" + (kind or "")) as file:
            for name, raw in members:
                info = tarfile.TarInfo(name)
                info.size = len(raw)
                file.addfile(info, io.BytesIO(raw))
    return path


def png(seed):
    file = io.BytesIO()
    from PIL import Image
    Image.fromarray(picture(seed)).save(file, "PNG")
    return file.getvalue()


PETS = {f"{name}/{k}.png": png(10 * c + k) for c, name in enumerate(("cat", "dog")) for k in range(2)}


def in_top(members, top):
    return {f"{top}/{name}": raw for name, raw in members.items()}


@pytest.fixture(params=["zip", "tar", "tgz"])
def pack(request, tmp_path):
    """A function that packs members as one of the forms."""
    return lambda members: packed(tmp_path / f"x.{request.param}", members, {"tgz": "gz"}.get(request.param))


def complaint(path, **options):
    with pytest.raises(InputError) as error:
        load(path, size=8, **options)
    assert "\n" not in str(error.value) and len(str(error.value)) < 1000
    return str(error.value)


# ---- what is read --------------------------------------------------------------------------------------------------

def test_names_that_lead_out_are_left_out_whatever_the_system():
    names = ["/a/1.png", "../a/1.png", "a/../../1.png", "C:/a/1.png", "C:a/1.png", "C:\\a\\1.png", "..\\1.png",
             "\\a\\1.png"]
    entries = [(name, "file", k) for k, name in enumerate([*names, "a/b:c.png"])]
    images, folders, findings = module.sorted_out(entries, "")
    assert images == {"a/b:c.png": 8} and folders == {"a"}
    assert [(finding.kind, finding.detail) for finding in findings] == [("name", "leads out of the archive")] * 8


def test_of_a_folder_in_an_archive_all_paths_begin_below_it():
    names = "cat/1.png", "x.txt", ".git/y", "dog/2.png"
    entries = [(f"data/train/{name}", "file", k) for k, name in enumerate(names)]
    images, folders, findings = module.sorted_out([*entries, ("data/training/cat/3.png", "file", 4)], "data/train")
    assert images == {"cat/1.png": 0, "dog/2.png": 3} and folders == {"cat", "dog"}
    assert kinds(findings)["other"] == ["x.txt"]
    *_, findings = module.sorted_out([("cat/1.jxl", "file", 0)], "")
    assert findings == [("foreign", "cat/1.jxl", "JPEG XL: convert it to JPEG or PNG")]
    *_, findings = module.sorted_out([("cat/1.png", "link", 0), ("cat/2.png", "other", 1)], "")
    assert findings == [("link", "cat/1.png", "link"), ("other", "cat/2.png", "")]


def test_folders_without_images_are_told_in_the_order_of_their_names(tmp_path):
    empty = ["zebra", "ant", "cow", "bee", "yak", "gnu"]
    path = packed(tmp_path / "x.zip", [*((f"{name}/", b"") for name in empty), *PETS.items()])
    assert kinds(read_archive(path).findings)["empty"] == sorted(empty)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("with_top", [False, True])
def test_an_archive_says_the_same_as_its_folder(root, tmp_path, form, with_top):
    made = shutil.make_archive(str(tmp_path / "packed"), FORMS[form], root.parent if with_top else root,
                                             "pets" if with_top else ".")
    path = os.rename(made, tmp_path / f"x.{form}") or tmp_path / f"x.{form}"
    found, expected = load(path, size=12), load(root, size=12)
    assert found.data.name == "x" and found.data.classes == expected.data.classes
    assert found.findings == expected.findings == []
    for field in ("images", "labels", "index", "paths"):
        assert (getattr(found.data.train, field) == getattr(expected.data.train, field)).all()
    assert (found.shapes == expected.shapes).all()


def test_several_processes_do_not_mix_up_images(root, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FEW", 0)
    monkeypatch.setattr(module, "AT_ONCE", 1000)
    path = packed(tmp_path / "x.tgz",
                  {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*.png"))[::-1]},
                  "gz")
    assert (load(path, size=12, jobs=2).data.train.images == load(root, size=12).data.train.images).all()


def test_what_systems_add_is_ignored(pack):
    extra = {"__MACOSX/pets/cat/._0.png": b"x", "__MACOSX/y": b"", "pets/.DS_Store": b"x", "pets/cat/.hidden.png": b"",
             "pets/cat/Thumbs.db": b"", "pets/cat/notes.txt": b""}
    reading = load(pack(in_top(PETS, "pets") | extra), size=8)
    assert reading.data.train.paths.tolist() == list(PETS)
    assert kinds(reading.findings) == {"other": ["pets/cat/notes.txt"],
                                       "hidden": ["__MACOSX", "pets/.DS_Store", "pets/cat/.hidden.png",
                                                  "pets/cat/Thumbs.db"]}


def test_a_folder_in_the_archive(pack):
    path = pack(in_top(PETS, "data/train") | in_top(PETS, "data/test"))
    with pytest.raises(InputError, match="has the folders train, test of a split set instead of one for each class"):
        read_archive(path)
    data = load(path / "data" / "train", size=8, test=path / "data" / "test").data
    assert data.train.paths.tolist() == data.test.paths.tolist() == list(PETS)
    assert complaint(path / "none") == f"{path / 'none'} is not a folder with images in the archive: check the path"


def test_odd_entries_are_left_out_and_told(pack, tmp_path):
    odd = {"../out/1.png": png(1), "/abs/2.png": png(2), "C:/x/3.png": png(3), "a/../../4.png": png(4), "5.png": png(5),
           "cat/a\tb.png": png(6), "cat/empty.png": b"", "cow/7.txt": b""}
    reading = load(pack(PETS | odd), size=8)
    found = kinds(reading.findings)
    assert reading.data.train.paths.tolist() == list(PETS)
    assert found["name"] == ["../out/1.png", "/abs/2.png", "C:/x/3.png", "a/../../4.png", "cat/a\\u0009b.png"]
    assert found["beside"] == ["5.png"] and found["unreadable"] == ["cat/empty.png"] and found["other"] == ["cow/7.txt"]


def test_backslashes_of_an_old_packer(tmp_path):
    path = packed(tmp_path / "x.zip", PETS)
    raw = path.read_bytes()
    for name in PETS:
        raw = raw.replace(name.encode(), name.replace("/", "\\").encode())
    path.write_bytes(raw)
    assert load(path, size=8).data.train.paths.tolist() == list(PETS)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_entries_of_one_name_the_last_counts(pack):
    path = pack([("cat/0.png", png(77)), *PETS.items()])
    reading = load(path, size=8)
    assert kinds(reading.findings) == {"name": ["cat/0.png"]} and "the last counts" in reading.findings[0].detail
    assert (reading.data.train.images == load(pack(PETS), size=8).data.train.images).all()


def test_links_are_not_followed(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        for name, raw in PETS.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            file.addfile(info, io.BytesIO(raw))
        for name, kind, target in (("cat/a.png", tarfile.SYMTYPE, "/etc/passwd"), ("cat/b.png", tarfile.LNKTYPE,
                                                                                   "cat/0.png"),
                                   ("cat/c.png", tarfile.FIFOTYPE, ""), ("cat/d.png", tarfile.CHRTYPE, "")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            file.addfile(info)
    path = packed(tmp_path / "x.zip", PETS)
    with zipfile.ZipFile(path, "a") as file:
        info = zipfile.ZipInfo("cat/a.png")
        info.external_attr = 0o120777 << 16
        file.writestr(info, "/etc/passwd")
    for name, links in ("x.tar", ["cat/a.png", "cat/b.png"]), ("x.zip", ["cat/a.png"]):
        reading = load(tmp_path / name, size=8)
        assert reading.data.train.paths.tolist() == list(PETS) and kinds(reading.findings)["link"] == links


def test_unreadable_images_leave_the_others_alone(pack):
    raw = PETS["cat/1.png"]
    reading = load(pack(PETS | {"cat/1.png": raw[:len(raw) // 2]}), size=8)
    assert reading.data.train.paths.tolist() == [name for name in PETS if name != "cat/1.png"]
    assert kinds(reading.findings) == {"unreadable": ["cat/1.png"], "single": ["cat"]}


def test_nothing_is_written_to_the_disk(pack, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = pack(PETS)
    before = sorted(tmp_path.rglob("*"))
    load(path, size=8)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("relative", [False, True])
def test_decoded_images_are_stored_and_known_again(pack, tmp_path, monkeypatch, relative):
    monkeypatch.chdir(tmp_path)
    found = []
    for members in (PETS, PETS, dict(zip(PETS, list(PETS.values())[::-1]))):
        path = pack(members)
        reading = load(path.name if relative else path, size=8, store=tmp_path / "store")
        found.append(reading.data.train.images)
    assert (found[0] == found[1]).all() and (found[2] == found[0][::-1]).all()
    assert len(list((tmp_path / "store").iterdir())) == 1


def test_a_table_may_name_images_in_an_archive(pack, tmp_path):
    """As corrected_labels.csv does after a run on an archive, here with a folder at the top."""
    path = pack(in_top(PETS, "pets"))
    rows = [[f"{path}/{name}", "ab"[k % 2]] for k, name in enumerate(PETS)][::-1]
    (tmp_path / "t.csv").write_text(csv_text([["path", "label"], *rows, [f"{path}/cat/9.png", "a"]]))
    reading = load(tmp_path / "t.csv", size=8)
    assert reading.data.classes == ("a", "b") and reading.data.train.labels.tolist() == [1, 0, 1, 0]
    assert (reading.data.train.images == load(path, size=8).data.train.images[::-1]).all()
    assert kinds(reading.findings) == {"missing": [f"{path}/cat/9.png"]}
    assert reading.data.train.paths[0] == f"{path.name}/pets/dog/1.png"
    assert complaint(tmp_path / "t.csv", how=How(images="x")).endswith("names its images in an archive: leave out "
                                                                       "--images")


def test_a_table_may_name_images_whose_names_others_end_with(tmp_path):
    """cat/1.png beside mixed/cat/1.png: each is itself."""
    names = ["cat/1.png", "dog/1.png", "mixed/cat/1.png"]
    path = packed(tmp_path / "x.zip", {name: png(k) for k, name in enumerate(names)})
    (tmp_path / "t.csv").write_text(csv_text([["path", "label"], *([f"{path}/{name}", name[0]] for name in names)]))
    reading = load(tmp_path / "t.csv", size=8)
    assert kinds(reading.findings).keys() == {"single"}
    assert reading.data.train.paths.tolist() == [f"x.zip/{name}" for name in names]


def test_true_labels_by_path(pack, tmp_path):
    (tmp_path / "t.csv").write_text("path,label\ncat/1.png,dog\n")
    assert load(pack(in_top(PETS, "pets")), size=8, truth=tmp_path / "t.csv").data.train.truth.tolist() == [-1, 1, -1,
                                                                                                            -1]


def test_paths_of_archives(tmp_path):
    path = packed(tmp_path / "x.zip", PETS)
    (tmp_path / "folder.zip").mkdir()
    assert archive_of(path) == (path, "") and archive_of(path / "a" / "b") == (path, "a/b")
    assert archive_of(tmp_path / "folder.zip") is archive_of(tmp_path) is archive_of("none.zip") is None
    assert archive_of("") is None
    source = open_source(packed(tmp_path / "mine.tar.gz", PETS, "gz"))
    assert source.kind == "own" and source.listing.paths == list(PETS)


# ---- what is not ---------------------------------------------------------------------------------------------------

def test_archives_of_other_kinds_and_damaged_ones(tmp_path):
    for name, raw, words in [("x.7z", b"7z\xbc\xaf\x27\x1c" + bytes(99), "of a kind that is not read (.7z): unpack "
                                                                         "it, or pack"),
                             ("x.rar", b"Rar!" + bytes(99), "(.rar): unpack it"), ("x.tar.zst", b"\x28\xb5\x2f\xfdx",
                                                                                   "(.zst)"),
                             ("x.zip", b"", "is damaged or no archive: copy or download it again"),
                             ("x.zip", b"hello", "is damaged or no archive"), ("x.tgz", b"\x1f\x8b",
                                                                               "is damaged or no archive"),
                             ("x.tgz", gzip.compress(b"hello"), "is damaged"), ("x.tar", b"hello" * 500, "is damaged"),
                             ("x.gz", gzip.compress(b"x" * 5000), "is damaged"), ("x.tar.xz", b"\xfd7zXZ\0",
                                                                                  "is damaged")]:
        (tmp_path / name).write_bytes(raw)
        assert words in complaint(tmp_path / name), name


def test_an_archive_without_images(pack):
    assert " has no images: " in complaint(pack({"a/b.txt": b"", "c.txt": b""}))
    assert "has images but no class folders" in complaint(pack({"1.png": png(1), "2.png": png(2)}))
    assert "has images of one class only, 'cat'" in complaint(pack({"cat/1.png": png(1)}))


@pytest.mark.parametrize("part", [0.3, 0.6, 0.75])
def test_a_truncated_archive_is_told(pack, part):
    path = pack({f"{c}/{k}.png": png(k) for k in range(20) for c in "ab"})
    raw = path.read_bytes()
    path.write_bytes(raw[:int(part * len(raw))])
    assert complaint(path) == f"{path} is damaged or no archive: copy or download it again"


def test_a_directory_that_is_too_long_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "DIRECTORY", 20)
    path = packed(tmp_path / "x.zip", PETS)
    assert complaint(path) == f"{path} is damaged or no archive: copy or download it again"


def test_an_encrypted_zip(tmp_path):
    path = packed(tmp_path / "x.zip", PETS)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(raw)
    assert complaint(path) == f"{path} is encrypted: unpack it"


def bombs():
    """{name: bytes} of archives of a few megabytes at most that claim or hold far more."""
    def tar_of(*headers, kind="gz"):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=f"w:{kind}", format=tarfile.GNU_FORMAT) as tar:
            for name, size, type_ in headers:
                info = tarfile.TarInfo(name)
                info.size, info.type = size, type_
                tar.fileobj.write(info.tobuf(tarfile.GNU_FORMAT))
                for _ in range(0, size, 1 << 20):
                    tar.fileobj.write(bytes(min(1 << 20, size)))
        return file.getvalue()

    def zip_of(n, size):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for k in range(n):
                packed.writestr(f"{'ab'[k % 2]}/{k}.png", bytes(size))
        return file.getvalue()

    return {"zeros.tgz": tar_of(("cat/0.png", 40 << 20, b"0")), "name.tgz": tar_of(("x", 20 << 20, b"L")),
            "header.tgz": tar_of(("x", 20 << 20, b"x")), "zeros.zip": zip_of(4, 10 << 20)}


@pytest.mark.parametrize("name", ["zeros.tgz", "name.tgz", "header.tgz", "zeros.zip"])
def test_archives_that_unpack_to_far_more(tmp_path, name, monkeypatch):
    monkeypatch.setattr(module, "FREE", 1 << 20)
    (tmp_path / name).write_bytes(bombs()[name])
    start = time.process_time()
    tracemalloc.start()
    assert f"{name} unpacks to more than 200 times its size, which no" in (said := complaint(tmp_path / name)) or (
        f"{name} is damaged" in said)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6 and time.process_time() - start < 5


@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g"])
def test_a_name_of_megabytes_is_not_read(tmp_path, kind):
    """In a .tar that is not packed, so that no other limit holds."""
    header = tarfile.TarInfo("x")
    header.size, header.type = 1 << 20, kind
    rest = packed(tmp_path / "x.tar", PETS).read_bytes()
    (tmp_path / "x.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + b"a" * (1 << 20) + rest)
    assert complaint(tmp_path / "x.tar") == f"{tmp_path / 'x.tar'} is damaged or no archive: copy or download it again"


def test_a_dictionary_of_256_MB_is_not_set_aside(tmp_path):
    raw = packed(tmp_path / "x.tar", PETS).read_bytes()
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 28}]
    (tmp_path / "x.tar.xz").write_bytes(lzma.compress(raw, preset=None, filters=[{**filters[0], "dict_size": 1 << 20}]))
    assert len(load(tmp_path / "x.tar.xz", size=8).data.train.labels) == 4
    (tmp_path / "x.tar.xz").write_bytes(lzma.compress(raw, filters=filters))
    assert complaint(tmp_path / "x.tar.xz").endswith("x.tar.xz is damaged or no archive: copy or download it again")


def test_what_an_archive_may_unpack_to_grows_with_its_size(monkeypatch):
    monkeypatch.setattr(module, "RATIO", 3)
    monkeypatch.setattr(module, "FREE", 10)
    for size in (0, 1, 100):
        module.check_amount(3 * size + 10, SimpleNamespace(size=size, path="x.zip"))
        with pytest.raises(InputError, match="x.zip unpacks to more than 3 times its size"):
            module.check_amount(3 * size + 11, SimpleNamespace(size=size, path="x.zip"))


def test_the_first_names_of_a_damaged_archive_are_those_before_the_damage(tmp_path):
    path = packed(tmp_path / "x.tgz", PETS, "gz")
    raw = path.read_bytes()
    assert module.first_names(path) == list(PETS) and module.first_names(path, 2) == list(PETS)[:2]
    for length in range(0, len(raw), 50):
        path.write_bytes(raw[:length])
        found = module.first_names(path)
        assert found == list(PETS)[:len(found)]
    assert module.first_names(tmp_path / "none.tgz") == []


def test_images_of_too_many_bytes_and_archives_of_too_many_entries(pack, monkeypatch):
    path = pack(PETS | {"cat/big.png": bytes(range(256)) * 40})
    monkeypatch.setattr(module, "LARGEST", 9000)
    reading = load(path, size=8)
    assert kinds(reading.findings) == {"unreadable": ["cat/big.png"]}
    assert reading.findings[0].detail == "10,240 bytes are more than 9,000: make it smaller"
    two = load(pack(PETS | {f"cat/{k}.png": bytes(range(256)) * k for k in (40, 41)}), size=8)
    assert {found.path: found.detail[:6] for found in two.findings} == {"cat/40.png": "10,240", "cat/41.png": "10,496"}
    monkeypatch.setattr(module, "LARGEST", 10_240)
    assert load(path, size=8).findings[0].detail.startswith("not an image of a known kind")
    monkeypatch.setattr(module, "MOST", 3)
    assert complaint(path) == f"{path} has more than 3 entries: unpack it"


def test_changed_bytes_give_data_or_an_input_error(pack):
    rng, outcomes, path = np.random.default_rng(0), set(), pack(PETS)
    raw = np.fromfile(path, np.uint8)
    for _ in range(80):
        changed = raw.copy()
        changed[rng.integers(len(raw), size=rng.integers(1, 4))] = rng.integers(256)
        changed.tofile(path)
        try:
            outcomes.add(len(load(path, size=8).data.train.labels) > 0)
        except InputError as error:
            assert "\n" not in str(error)
            outcomes.add("error")
    assert outcomes == {True, "error"}


def test_an_image_that_is_not_there_any_more(root, tmp_path, monkeypatch):
    path = packed(tmp_path / "x.zip", PETS)
    listing = read_archive(path)
    path.write_bytes(path.read_bytes()[:400])
    reading = pytest.raises(InputError, load, path, size=8, listing=listing)
    assert "none of its 4 images can be read, for example cat/0.png: the archive is damaged before it" in str(
        reading.value)
    write_image(tmp_path / "y.png")
