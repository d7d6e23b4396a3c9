"""core/report/written.py: only what this program wrote, and as it wrote it, is its own."""
import json
import os
from pathlib import Path

import numpy as np
import pytest

from core.files import save_sealed, sha256
from core.report.written import LEDGER, UNLISTED, is_noted, note, of_run

NAMES = ("config.json", "manifest.json", "summary.json", "log.jsonl", "weights.npz", "curves.png", "folder", *UNLISTED)
CONFIG = {"settings": {}, "environment": {}}


@pytest.fixture
def folder(tmp_path):
    """A finished run."""
    (tmp_path / "folder").mkdir()
    summary = {"initial": 0, "recovery": 0, "estimated_rate": 0}
    for name, content in (("config.json", CONFIG), ("summary.json", summary)):
        (tmp_path / name).write_text(json.dumps(content))
    for name in ("log.jsonl", "weights.npz", "curves.png"):
        (tmp_path / name).write_text(f"of {name}")
    save_sealed(tmp_path / UNLISTED[0], {"a": np.zeros(3)})
    manifest(tmp_path)
    return tmp_path


def manifest(folder, **more):
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
             for name in ("config.json", "log.jsonl", "weights.npz", "curves.png")}
    (folder / "manifest.json").write_text(json.dumps({"files": {**files, **more}, "definitions": {}, "settings": {}}))


def test_of_a_finished_run_all_is_its_own_but_what_has_changed(folder):
    whole = set(NAMES) - {"folder", UNLISTED[1]}
    assert of_run(folder, NAMES) == whole and of_run(folder, ["weights.npz"]) == {"weights.npz"}
    for name, text in (("log.jsonl", "OF log.jsonl"), ("weights.npz", "of weights.npz, and more")):
        (folder / name).write_text(text)
        whole -= {name}
        assert of_run(folder, NAMES) == whole
    (folder / "curves.png").rename(folder / "elsewhere.png")
    (folder / "curves.png").symlink_to(folder / "elsewhere.png")
    assert of_run(folder, NAMES) == whole - {"curves.png"}, "a link is no file of the run"
    manifest(folder, **{"curves.png": "a text", "log.jsonl": None,
                        "weights.npz": {"sha256": sha256(folder / "weights.npz")}})
    assert of_run(folder, NAMES) == whole - {"curves.png"}


def test_what_a_person_called_like_a_file_of_a_run_is_theirs(folder):
    for name in ("summary.json", UNLISTED[0]):
        (folder / name).write_text('{"mine": 1, "initial": 0}')
        assert name not in of_run(folder, NAMES)
    (folder / UNLISTED[1]).write_text("mine")
    assert UNLISTED[1] not in of_run(folder, NAMES)
    (folder / "manifest.json").write_text(json.dumps({"files": [], "definitions": {}, "settings": {}}))
    assert of_run(folder, NAMES) == {"manifest.json"}


def test_of_an_interrupted_run_all_is_its_own_but_what_it_does_not_write_yet(folder):
    for content in (None, {"mine": 1}, {"files": {}}, ["files"]):
        (folder / "manifest.json").unlink()
        if content is not None:
            (folder / "manifest.json").write_text(json.dumps(content))
        found = of_run(folder, NAMES)
        assert found == {"config.json", "log.jsonl", "weights.npz", "curves.png", UNLISTED[0]}
        (folder / "manifest.json").touch()
    for content in ({"settings": {}}, {"mine": 1}, [], "settings environment"):
        (folder / "config.json").write_text(json.dumps(content))
        assert of_run(folder, NAMES) == set()
    (folder / "config.json").unlink()
    assert of_run(folder, NAMES) == set()


def test_what_followed_from_a_run_is_noted_wherever_it_lies_and_as_long_as_it_is_as_it_was(tmp_path, monkeypatch):
    run, other = tmp_path / "run", tmp_path / "other"
    run.mkdir(), other.mkdir()
    written = [run / "predictions.csv", other / "predictions.csv", other / "labels.csv", tmp_path / "run.csv"]
    for i, path in enumerate(written):
        path.write_text(f"of {i}")
        assert not is_noted(run, path)
        note(run, path)
        assert [is_noted(run, path) for path in written] == [k <= i for k in range(4)]
    monkeypatch.chdir(other)
    assert is_noted(Path("../run"), "labels.csv") and not is_noted(other, "labels.csv")
    assert not is_noted(run, run / "labels.csv") and set(json.loads((run / LEDGER).read_text())) == {
        "predictions.csv", *map(str, written[1:])}
    written[1].write_text("OF 1"), written[2].unlink()
    written[3].rename(tmp_path / "moved"), written[3].symlink_to(tmp_path / "moved")
    assert [is_noted(run, path) for path in written] == [True, False, False, False]
    os.rename(run, tmp_path / "moved run")
    assert is_noted(tmp_path / "moved run", tmp_path / "moved run" / "predictions.csv"), "it moves with the folder"
    (tmp_path / "moved run" / LEDGER).write_text("[]")
    note(tmp_path / "moved run", other / "predictions.csv")
    assert is_noted(tmp_path / "moved run", other / "predictions.csv")
