"""core/data/cifar10_files.py: missing, foreign, damaged and hostile files end in one sentence;
nothing is run or extracted."""
import errno
import gzip
import io
import os
import pickle
import tarfile

import numpy as np
import pytest

from core.data import cifar10, cifar10_files
from core.errors import InputError
from tests.lib.official_cifar10 import FOLDER, complaint, contents, python2, python3, write_archive, write_folder


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / FOLDER, contents(rows=10), python2)


@pytest.fixture
def archive(tmp_path, folder):
    return write_archive(tmp_path / "c.tar.gz", folder)


def write_members(path, members):
    """An archive of (name, bytes, attributes of its header)."""
    with tarfile.open(path, "w:gz") as tar:
        for name, raw, attributes in members:
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            for key, value in attributes.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(raw))
    return path


def test_a_path_that_does_not_exist(tmp_path):
    assert "does not exist: give the folder" in complaint(tmp_path / "nothing")


def test_a_folder_without_batches_names_the_first_missing_file(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    assert f"{tmp_path / 'empty' / 'data_batch_1'} is missing" in complaint(tmp_path / "empty")
    (folder / "data_batch_4").unlink()
    (folder / "batches.meta").unlink()
    assert f"{folder / 'data_batch_4'} is missing" in complaint(tmp_path)


def test_a_folder_in_place_of_a_file(folder):
    (folder / "test_batch").unlink()
    (folder / "test_batch").mkdir()
    assert f"{folder / 'test_batch'} is missing or not a file" in complaint(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "is no file" in complaint(tmp_path / "pipe")


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_a_file_that_cannot_be_read(folder, archive, monkeypatch, code):
    def refuse(path, mode):
        raise OSError(code, os.strerror(code), str(path))
    monkeypatch.setattr(cifar10_files, "open", refuse, raising=False)
    assert f"{folder / 'data_batch_1'} cannot be read, {os.strerror(code)}: " in complaint(folder)
    assert f"{archive} cannot be read, {os.strerror(code)}: " in complaint(archive)


def test_a_file_too_large_is_not_read(folder, archive, monkeypatch):
    monkeypatch.setattr(cifar10_files, "LARGEST", 30_000)
    assert complaint(folder).startswith(f"{folder / 'data_batch_1'} has ")
    assert "bytes, far more than" in complaint(archive)


@pytest.mark.parametrize("raw", [
    b"", b"hello\n", b"\x1f\x8b",
    gzip.compress(b"", mtime=0), gzip.compress(b"hello\n", mtime=0), gzip.compress(bytes(9999), mtime=0),
], ids=["empty", "text", "begins like gzip", "gzip of nothing", "gzip of text", "gzip of zeros"])
def test_a_file_that_is_no_archive(tmp_path, raw):
    (tmp_path / "c.tar.gz").write_bytes(raw)
    text = complaint(tmp_path / "c.tar.gz")
    assert "is not a .tar.gz archive, or" in text or "does not contain" in text


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    path = write_members(tmp_path / "c.tar.gz",
                         [(f"{FOLDER}/data_batch_1", b"", {"type": kind, "linkname": "/etc/passwd"})])
    assert f"data_batch_1 in {path} is not a plain file" in complaint(path)


def test_members_under_other_names_are_not_taken(tmp_path, folder):
    for prefix in ("", "/", "../", f"{FOLDER}/../", f"x/{FOLDER}/"):
        members = [(prefix + file.name, file.read_bytes(), {}) for file in folder.iterdir()]
        path = write_members(tmp_path / "c.tar.gz", members)
        assert f"{path} does not contain {FOLDER}/data_batch_1" in complaint(path)


def test_the_checksum_of_an_archive_is_compared_however_much_stands_after_the_last_member(tmp_path, archive):
    raw = gzip.decompress(archive.read_bytes())
    for padding in (0, 10_000, 5 << 20):
        whole = gzip.compress(raw + bytes(padding), 1)
        path = tmp_path / "d.tar.gz"
        path.write_bytes(whole)
        assert len(cifar10.load(path).train.labels) == 45
        path.write_bytes(whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:])
        assert f"{path} is not a .tar.gz archive, or is truncated or damaged" in complaint(path)


def test_a_missing_member_is_named(tmp_path, folder):
    (folder / "data_batch_5").unlink()
    assert f"does not contain {FOLDER}/data_batch_5: " in complaint(write_archive(tmp_path / "c.tar.gz", folder))


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_unpacking_ends_where_no_official_archive_goes_on(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(cifar10_files, "LARGEST", 1 << 20)
    path = write_members(tmp_path / "c.tar.gz", [("bomb", bytes(16 << 20), {"type": kind})])
    assert "unpacks to far more" in complaint(path)


def test_nothing_is_extracted(tmp_path, archive, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = sorted(tmp_path.rglob("*"))
    cifar10.load(archive)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_of_the_official_size_must_have_the_official_checksum(archive, monkeypatch):
    monkeypatch.setattr(cifar10_files, "ARCHIVE_SIZE", archive.stat().st_size)
    assert f"{archive} has the size of the official archive but not its checksum" in complaint(archive)
    monkeypatch.setattr(cifar10_files, "ARCHIVE_MD5", cifar10_files.md5(archive.read_bytes()))
    assert len(cifar10.load(archive).train.labels) == 45


def test_official_means_every_batch_byte_for_byte(tmp_path, folder, archive, monkeypatch):
    assert not cifar10.is_official(folder) and not cifar10.is_official(archive)
    for name in list(cifar10_files.BATCHES):
        monkeypatch.setitem(cifar10_files.OFFICIAL, name, cifar10_files.md5((folder / name).read_bytes()))
    assert cifar10.is_official(folder) and cifar10.is_official(tmp_path) and cifar10.is_official(archive)
    (folder / "test_batch").write_bytes((folder / "test_batch").read_bytes() + b"\n")
    assert not cifar10.is_official(folder)


def test_a_payload_in_a_batch_is_not_run(tmp_path, folder):
    class Payload:
        def __reduce__(self):
            return os.system, (f"echo > {tmp_path / 'ran'}",)
    (folder / "data_batch_3").write_bytes(pickle.dumps({"data": Payload()}, 2))
    for path in (folder, write_archive(tmp_path / "c.tar.gz", folder)):
        assert complaint(path).startswith(f"data_batch_3 in {path} asks to run ")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("part", np.linspace(0, 0.999, 15))
def test_a_truncated_file_is_named(folder, archive, part):
    for file, begins in ((folder / "data_batch_3", f"data_batch_3 in {folder} is truncated or damaged: download"),
                         (archive, f"{archive} is not a .tar.gz archive, or is truncated or damaged: download")):
        raw = file.read_bytes()
        file.write_bytes(raw[:int(part * len(raw))])
        assert complaint(folder if file.name == "data_batch_3" else archive).startswith(begins)


def test_a_wrong_gzip_checksum_is_found(archive):
    raw = bytearray(archive.read_bytes())
    raw[-8] ^= 1                                                                 # CRC-32, after all the data
    archive.write_bytes(raw)
    assert "truncated or damaged" in complaint(archive)


@pytest.mark.parametrize("dump", [python2, python3])
def test_changed_bytes_give_a_data_set_or_an_input_error(tmp_path, dump):
    files = contents(rows=2, test_rows=1) | {"data_batch_1": contents(rows=10)["data_batch_1"]}
    folder = write_folder(tmp_path / FOLDER, files, dump)
    raw, rng, outcomes = np.fromfile(folder / "test_batch", np.uint8), np.random.default_rng(0), set()
    outside = np.setdiff1d(np.arange(len(raw)), 400 + np.arange(2400))    # few changes to pixels, most to the structure
    for _ in range(100):
        changed = raw.copy()
        changed[rng.choice(outside, size=rng.integers(1, 4))] = rng.integers(256)
        changed.tofile(folder / "test_batch")
        try:
            outcomes.add(cifar10.load(folder).name)
        except InputError:
            outcomes.add("error")
    assert outcomes == {"cifar10", "error"}


def test_changed_bytes_of_an_archive_give_a_data_set_or_an_input_error(archive):
    raw, rng, outcomes = np.fromfile(archive, np.uint8), np.random.default_rng(0), set()
    for _ in range(60):
        changed = raw.copy()
        changed[int(len(raw) * rng.random() ** 4)] ^= rng.integers(1, 256, dtype=np.uint8)     # the first header, often
        changed.tofile(archive)
        try:
            outcomes.add(cifar10.load(archive).name)
        except InputError:
            outcomes.add("error")
    assert outcomes == {"cifar10", "error"}
