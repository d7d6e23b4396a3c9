"""Files are there whole or not at all, and what goes wrong is one sentence."""
import errno
import hashlib
import os

import numpy as np
import pytest

from core import files as checkpoint
from core.errors import InputError


def test_arrays_come_back_as_they_were(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([1, 2])}
    checkpoint.save_arrays(tmp_path / "x.npz", arrays)
    checkpoint.save_array(tmp_path / "x.npy", arrays["a"])
    with np.load(tmp_path / "x.npz") as loaded:
        assert set(loaded) == {"a", "b"} and all((loaded[name] == arrays[name]).all() for name in arrays)
    assert (np.load(tmp_path / "x.npy") == arrays["a"]).all()
    assert sorted(os.listdir(tmp_path)) == ["x.npy", "x.npz"]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_an_error_at_any_step_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "labels.npy"
    checkpoint.save_array(path, np.array([1, 2, 3]))

    def fails(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "write":
        monkeypatch.setattr(checkpoint.np, "save", fails)
    else:
        monkeypatch.setattr(checkpoint.os, step, fails)
    with pytest.raises(InputError, match="labels.npy: the disk is full: .*--out"):
        checkpoint.save_array(path, np.array([4, 5, 6]))
    assert os.listdir(tmp_path) == ["labels.npy"] and list(np.load(path)) == [1, 2, 3]


def test_a_write_that_the_system_refuses_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="disk is full"):
        with checkpoint.disk_errors("x"), open("/dev/full", "wb") as file:
            file.write(b"x" * 100_000)
    with pytest.raises(InputError, match="missing/x.npy"):
        checkpoint.save_array(tmp_path / "missing" / "x.npy", np.zeros(1))


def test_an_interruption_leaves_the_old_file(tmp_path):
    path = tmp_path / "notes.txt"
    checkpoint.save_text(path, "old")
    with pytest.raises(KeyboardInterrupt):
        with checkpoint.atomic(path) as file:
            file.write(b"new")
            raise KeyboardInterrupt
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("extra", [-1, 0, 1, 12345])
def test_a_checksum_is_of_all_bytes_whatever_the_length(tmp_path, extra):
    """Not of the first block alone."""
    raw = bytearray(np.random.default_rng(0).bytes(2 * checkpoint.BLOCK + extra))
    (tmp_path / "x").write_bytes(raw)
    assert checkpoint.sha256(tmp_path / "x") == hashlib.sha256(raw).hexdigest()
    sealed = bytes(raw) + hashlib.sha256(raw).hexdigest().encode()
    for place in (0, checkpoint.BLOCK - 1, checkpoint.BLOCK, len(raw) - 1):
        damaged = bytearray(sealed)
        damaged[place] ^= 1
        (tmp_path / "y").write_bytes(damaged)
        assert not checkpoint.is_whole(tmp_path / "y")
    (tmp_path / "y").write_bytes(sealed)
    assert checkpoint.is_whole(tmp_path / "y")


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": 1}x'])
def test_what_is_no_json_is_a_value_error(tmp_path, text):
    (tmp_path / "x.json").write_bytes(text)
    with pytest.raises(ValueError):
        checkpoint.load_json(tmp_path / "x.json")


def test_a_json_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "x.json").write_text("[1, 2, 3]")
    monkeypatch.setattr(checkpoint, "JSON_LIMIT", 9)
    assert checkpoint.load_json(tmp_path / "x.json") == [1, 2, 3]
    monkeypatch.setattr(checkpoint, "JSON_LIMIT", 8)
    with pytest.raises(ValueError, match="more than 8 bytes"):
        checkpoint.load_json(tmp_path / "x.json")


def test_numbers_behind_metadata_lie_at_multiples_of_8_bytes():
    from safetensors.numpy import load, save
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(3)}
    for length in range(20):
        raw = checkpoint.with_metadata(save(arrays), {"z": "é" * length, "a": "1"})
        size = int.from_bytes(raw[:8], "little")
        assert size % 8 == 0 and raw[8:].startswith(b'{"__metadata__":{"z":')
        assert all((load(raw)[name] == array).all() for name, array in arrays.items())


def test_two_processes_that_write_one_file_at_the_same_time_do_not_meet(tmp_path, monkeypatch):
    path = tmp_path / "x.txt"
    with checkpoint.atomic(path) as first:
        first.write(b"first")
        monkeypatch.setattr(os, "getpid", lambda: -1)                       # another one
        checkpoint.save_text(path, "second")
        assert path.read_text() == "second"
    assert path.read_text() == "first" and os.listdir(tmp_path) == ["x.txt"]
