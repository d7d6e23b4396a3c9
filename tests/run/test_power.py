"""The power fails: at any moment each file is there as it was or as it is to be, checkpoints lose one save at most, and
a folder that counts as complete is."""
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from core import files
from core.data import backbone, resnet_weights
from core.files import newest, save_array, save_sealed, save_text
from core.run import run
from nets import head_file
from nets.resnet import architecture
from tests.lib.power import watched
from tests.lib.tiny_run import tiny, tiny_runs  # noqa: F401   the fixture

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="follows open files through /proc")


def constant(k, *shape):
    return np.full(shape, k, np.float32)


def save_resnet(path, k):
    """As small as its number of axes allows."""
    names = resnet_weights.expected(architecture(18))
    resnet_weights.save(path, {name: constant(k, *[1] * len(shape)) for name, (_, shape) in names.items()}, "ab", 32)


SAVES = {"text": lambda path, k: save_text(path, f"{k}" * 99),
         "array": lambda path, k: save_array(path, np.full(50, k)),
         "head": lambda path, k: head_file.save(path, {"linear.w": constant(k, 2, 3), "linear.b": constant(k, 3)},
                                                constant(k, 2), constant(k, 2), "abc", None),
         "resnet": save_resnet, "features": lambda path, k: backbone.save(path, "key", constant(k, 1, 2, 3))}


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
def test_a_file_is_always_the_old_or_the_new_one(tmp_path, monkeypatch, save):
    path, whole, seen = tmp_path / "file", [], set()

    def tell(folder):
        for left in folder.after_power_failure():
            seen.add(left.get("file"))

    with watched(tmp_path, files, monkeypatch, tell) as folder:
        for k in range(3):
            save(path, k)
            whole.append(path.read_bytes())
            assert [left["file"] for left in folder.after_power_failure()] == [whole[-1]], "forced when it returns"
    assert seen == {None, *whole}


def test_a_checkpoint_loses_one_save_at_most(tmp_path, monkeypatch):
    path, begun, copy = tmp_path / "state.npz", [], tmp_path / "after"

    def tell(folder):
        for left in folder.after_power_failure():
            found = newest_of(left, copy)
            assert begun[-1] - found <= 1 or found == -1 and begun[-1] == 0, (begun[-1], found)

    with watched(tmp_path, files, monkeypatch, tell):
        for k in range(4):
            begun.append(k)
            save_sealed(path, {"k": np.array(k)})


def newest_of(left, folder, name="state.npz"):
    """The number in the newest whole checkpoint of {name: bytes}; -1 where there is none."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for file, raw in left.items():
        (folder / file).write_bytes(raw)
    path = newest(folder / name)
    return -1 if path is None else int(files.load_sealed(path)["k"])


@pytest.mark.parametrize("replaced", [False, True], ids=["new", "in the place of another run"])
def test_a_run_that_counts_as_complete_is(tiny_runs, tmp_path, monkeypatch, replaced):  # noqa: F811
    out, complete = tmp_path / "run", []
    run(tiny(out)) if replaced else out.mkdir()

    def tell(folder):
        for left in folder.after_power_failure():
            if "summary.json" in left:
                complete.append(left)

    with watched(out, files, monkeypatch, tell) as folder:
        folder.have(out)
        run(tiny(out, force=replaced))
        complete += folder.after_power_failure()
    assert "summary.json" in complete[-1], "forced to the disk in the end"
    there = {path.name for path in out.iterdir()}
    for left in complete:
        listed = json.loads(left["manifest.json"])["files"]
        assert set(listed) == there - {"manifest.json", "summary.json", ".lock"}
        assert all(hashlib.sha256(left[name]).hexdigest() == about["sha256"] for name, about in listed.items())
        assert json.loads(left["summary.json"])["changed"] >= 0


def test_the_model_finds_what_is_not_forced(tmp_path, monkeypatch):
    """A save that forgets the file, the folder, or the order."""
    def careless(*forgotten):
        with files.open(tmp_path / "part", "w+b") as file:
            file.write(b"new")
            file.flush()
            if "file" not in forgotten:
                os.fsync(file.fileno())
        os.replace(tmp_path / "part", tmp_path / "file")
        if "folder" not in forgotten:
            files.sync_folder(tmp_path)

    for forgotten, expected in (((), {b"new"}), (("file",), {b""}), (("folder",), {None, b"new"})):
        for path in tmp_path.iterdir():
            path.unlink()
        with watched(tmp_path, files, monkeypatch) as folder:
            careless(*forgotten)
        assert {left.get("file") for left in folder.after_power_failure()} == expected
