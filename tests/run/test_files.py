"""Files are there whole or not at all, and what goes wrong is one sentence."""
import errno
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
