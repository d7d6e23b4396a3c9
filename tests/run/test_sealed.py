"""Damaged checkpoints, disks that refuse, folders that vanish or are taken: the one before is used,
or one sentence says why not."""
import errno
import os
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest

from core import files as checkpoint
from core.errors import InputError
from core.files import is_whole, load_sealed, newest, previous, recover, save_sealed
from core.run import run
from core.run.folder import locked
from core.run.resume import stored
from tests.lib.tiny_run import contents, saved_state, stopped, tiny, tiny_runs  # noqa: F401   the fixture


def two(tmp_path):
    """The path of a sealed file that has a previous one: arrays of twos, and of ones."""
    path = tmp_path / "state.npz"
    for value in (1, 2):
        save_sealed(path, {"a": np.full(50, value), "b": np.full((2, 3), value, np.float32)})
    return path


def test_a_sealed_file_comes_back_and_is_an_archive_whose_comment_is_its_checksum(tmp_path):
    import hashlib
    import zipfile
    path = two(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["state-previous.npz", "state.npz"]
    assert (load_sealed(path)["a"] == 2).all() and load_sealed(path)["b"].dtype == np.float32
    assert (load_sealed(previous(path))["a"] == 1).all()
    raw = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.comment == hashlib.sha256(raw[:-64]).hexdigest().encode() == raw[-64:]


def test_an_archive_that_unpacks_to_more_than_it_has_and_pickles_are_nobodys_checkpoint(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.arange(5))
    assert load_sealed(tmp_path / "a.npz")["a"].tolist() == [0, 1, 2, 3, 4]
    np.savez_compressed(tmp_path / "b.npz", a=np.zeros(5000))
    np.savez(tmp_path / "c.npz", a=np.array([None]))
    for name in ("b.npz", "c.npz", "none.npz"):
        with pytest.raises(InputError, match=f"{name} is no checkpoint of this program: start a new run"):
            load_sealed(tmp_path / name)


def test_a_bit_flipped_anywhere_is_noticed_and_the_previous_file_used(tmp_path):
    path = two(tmp_path)
    raw, rng = path.read_bytes(), random.Random(0)
    for position in range(len(raw)):
        flipped = bytearray(raw)
        flipped[position] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        assert not is_whole(path) and newest(path) == previous(path), position


@pytest.mark.parametrize("spoil", [lambda raw: raw[:-1], lambda raw: raw[:len(raw) // 2], lambda raw: raw[:64],
                                   lambda raw: b"",
                                   lambda raw: raw + b"x", lambda raw: raw[1:], lambda raw: bytes(len(raw))])
def test_a_damaged_file_is_replaced_by_the_previous_and_two_damaged_ones_are_an_input_error(tmp_path, spoil):
    path = two(tmp_path)
    raw = path.read_bytes()
    path.write_bytes(spoil(raw))
    assert recover(path) and is_whole(path) and (load_sealed(path)["a"] == 1).all() and not previous(path).exists()
    assert not recover(path)
    for damaged in (path, previous(path)):
        damaged.write_bytes(spoil(raw))
    with pytest.raises(InputError, match=f"the checkpoints in {tmp_path} are damaged: delete that folder"):
        recover(path)


def test_a_file_that_is_missing_is_replaced_by_the_previous_without_a_word(tmp_path):
    path = two(tmp_path)
    path.unlink()
    assert not recover(path) and (load_sealed(path)["a"] == 1).all()
    path.unlink()
    assert not recover(path) and not path.exists() and newest(path) is None


# ---- in a run ------------------------------------------------------------------------------------------------------

@pytest.fixture
def whole(tiny_runs, tmp_path):  # noqa: F811
    run(tiny(tmp_path / "whole"))
    return contents(tmp_path / "whole")


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one_and_says_so(whole, tmp_path):
    out, said = tmp_path / "run", []
    stopped(tiny(out), 5)
    raw = bytearray((out / "checkpoint.npz").read_bytes())
    raw[len(raw) // 2] ^= 4
    (out / "checkpoint.npz").write_bytes(raw)
    run(stored(out), say=said.append, resume=True)
    assert "the newest checkpoint was damaged: the one before it is used" in said[0]
    assert "after epoch 1 of step 2" in said[0]
    assert contents(out) == whole


@pytest.mark.parametrize("number, words", [(errno.ENOSPC, "the disk is full: free some space and resume the run"),
                                           (errno.EROFS, "can only be read"), (errno.EACCES, "no permission")])
def test_a_disk_that_refuses_ends_the_run_and_leaves_the_last_good_checkpoint(whole, tmp_path, monkeypatch, number,
                                                                              words):
    out = tmp_path / "run"
    stopped(tiny(out), 4)
    before = saved_state(out)
    with monkeypatch.context() as patch:
        def refuses(*args, **options):
            raise OSError(number, os.strerror(number))
        patch.setattr(checkpoint.np, "savez", refuses)
        with pytest.raises(InputError, match=f"cannot write .*checkpoint.npz: .*{words}"):
            run(stored(out), resume=True)
    assert saved_state(out) == before and not list(out.glob(".*.part"))
    run(stored(out), resume=True)
    assert contents(out) == whole


def test_a_folder_deleted_during_the_run_is_one_sentence(tiny_runs, tmp_path):  # noqa: F811
    def watch(records, epochs, step, fold):
        for record in records:
            shutil.rmtree(tmp_path / "run")
            yield record

    with pytest.raises(InputError, match="cannot write .*: its folder is not there"):
        run(tiny(tmp_path / "run"), watch)


HOLD = """
import sys, time
from pathlib import Path
from core.run.folder import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_dead(tiny_runs, tmp_path):  # noqa: F811
    out = tmp_path / "run"
    stopped(tiny(out), 2)
    with subprocess.Popen([sys.executable, "-c", HOLD, out], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            before = {path.name: path.read_bytes() for path in out.iterdir()}
            for config, resume in ((stored(out), True), (tiny(out, force=True), False),
                                   (tiny(out, ranks=2, force=True), False)):
                with pytest.raises(InputError, match="is in use by another process: wait until it has "
                                                     "ended, or choose another"):
                    run(config, resume=resume)
            assert {path.name: path.read_bytes() for path in out.iterdir()} == before
        finally:
            holder.kill()
    with locked(out):
        pass
    run(stored(out), resume=True)
