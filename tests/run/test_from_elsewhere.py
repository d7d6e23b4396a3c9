"""A run is resumed from any folder, where its data are or have been moved to with it, and only as what it is."""
import json

import numpy as np
import pytest

import demo
from core.errors import InputError
from core.run import folder as run_folder
from core.run import resume
from core.run.folder import begin
from core.run.resume import as_written, can_go_on, resume_hint, stored
from core.run.state import identity
from tests.lib.own_data import write_folder
from tests.lib.tiny_run import tiny


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """The folder of an interrupted run, whose truth was named from tmp_path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_folder, "environment", dict)
    (tmp_path / "truth.csv").write_text("0,1\n")
    write_folder(tmp_path / "photos")
    (tmp_path / "w.pth").touch()
    begin_with = tiny("run")._replace(data="photos", truth="truth.csv", backbone="w.pth", cache="store")
    (tmp_path / "run").mkdir()
    begin(tmp_path / "run", begin_with)
    (tmp_path / "elsewhere").mkdir()
    return begin_with


def test_a_run_is_resumed_from_another_folder(interrupted, tmp_path, monkeypatch):
    content = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (content["settings"]["data"], content["paths"]["data"]) == ("photos", str(tmp_path / "photos"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = stored(tmp_path / "run")
    assert [config.data, config.truth, config.backbone] == [str(tmp_path / name) for name in (
        "photos", "truth.csv", "w.pth")]
    assert identity(config) == identity(interrupted), "the checkpoint is that of these settings"


def test_a_run_is_resumed_where_it_was_moved_to_with_its_data(interrupted, tmp_path, monkeypatch):
    for name in ("run", "photos", "truth.csv"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = stored("run")
    assert (config.data, config.truth) == ("photos", "truth.csv")


def test_a_file_with_a_name_in_it_and_a_folder_in_an_archive_are_there(interrupted, tmp_path, monkeypatch):
    """As FILE:NAME and photos.zip/train are given. A run of them could not be resumed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos.zip").write_bytes(b"")
    np.savez(tmp_path / "labels.npz", noisy=np.zeros(3, int))
    (tmp_path / "second").mkdir()
    begin(tmp_path / "second", interrupted._replace(data="photos.zip/train", noise="labels",
                                                    noise_file="labels.npz:noisy", truth="labels.npz:true"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = stored(tmp_path / "second")
    assert [found.data, found.noise_file, found.truth] == [
        str(tmp_path / name) for name in ("photos.zip/train", "labels.npz:noisy", "labels.npz:true")]
    (tmp_path / "labels.npz").unlink()
    with pytest.raises(InputError, match="labels.npz:(noisy|true) does not exist"):
        stored(tmp_path / "second")


def test_data_that_are_gone_are_told_by_both_names_and_the_hint_needs_none(interrupted, tmp_path):
    (tmp_path / "photos").rename(tmp_path / "gone")
    with pytest.raises(InputError, match=f"^photos does not exist, nor does {tmp_path}/photos, which is what the run"):
        stored("run")
    assert resume_hint(interrupted).endswith("demo.py resume run --cache store")
    assert resume_hint(interrupted._replace(data="other")) == "nothing was written"


def test_a_cache_is_not_taken_from_a_file(interrupted):
    assert stored("run").cache is None
    assert demo.resumed(demo.parse(["resume", "run", "--cache", "mine"])).cache == "mine"


def test_only_an_interrupted_run_with_these_settings_of_these_data_goes_on(interrupted, tmp_path):
    assert can_go_on(interrupted) and can_go_on(interrupted._replace(ranks=7, cache=None, gpu=1, force=True))
    for changes in ({"seed": 1}, {"data": "other"}, {"truth": None}, {"backbone": "efficientnet-lite0"},
                    {"out": "elsewhere"}, {"augment": "none"}, {"recipe": interrupted.recipe._replace(lr=0.04)}):
        assert not can_go_on(interrupted._replace(**changes))
    (tmp_path / "run" / "summary.json").touch()
    assert not can_go_on(interrupted) and resume_hint(interrupted) == "nothing was written"


def test_the_processes_of_a_run_are_those_of_this_machine_on_a_gpu_and_under_mpirun(interrupted, tmp_path, monkeypatch):
    assert stored("run").ranks == 1
    monkeypatch.setattr(resume, "under_mpirun", lambda: True)
    assert stored("run").ranks is None
    monkeypatch.undo()
    path = tmp_path / "run" / "config.json"
    path.write_text(path.read_text().replace('"gpu": null', '"gpu": 0'))
    assert (stored(tmp_path / "run").gpu, as_written(tmp_path / "run").ranks) == (0, 1)
