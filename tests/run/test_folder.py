"""The folder of a run: where a run may begin, what goes and what stays then, and the log that it goes on with."""
import errno
import json
import os
from pathlib import Path

import pytest
from filelock import FileLock

from core import files
from core.errors import InputError
from core.files import sha256
from core.report import written
from core.run import folder as run_folder
from core.run.folder import (
    FILES,
    begin,
    check_free,
    free_name,
    go_on,
    is_complete,
    left_over,
    line_of,
    locked,
    log,
    taken,
)
from tests.lib.tiny_run import tiny
from tests.run.test_progress import record

PARTS = [".config.json.7.part", ".cleaned_labels.csv.12.part", ".predictions.csv.3.part", "..written.json.1.part"]
OTHERS = [".photo.png.7.part", ".config.json.part", ".config.json.x.part", "config.json.7.part", ".config.json.7.part2"]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setattr(run_folder, "environment", lambda: {"date": "today"})


def made(folder, complete=False):
    """A folder with all files of a run, interrupted or complete."""
    begin_in(folder)
    for name in {*FILES} - {"config.json", "manifest.json", "summary.json"}:
        (folder / name).write_text(name)
    if complete:
        about = {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in FILES
                 if (folder / name).exists()}
        (folder / "manifest.json").write_text(json.dumps({"files": about, "definitions": {}, "settings": {}}))
        (folder / "summary.json").write_text(json.dumps({"initial": 1, "recovery": 1, "estimated_rate": 0}))
        for name in written.UNLISTED:
            (folder / name).unlink()
    return folder


def begin_in(folder):
    folder.mkdir()
    return begin(folder, tiny(folder))


def free(folder, force=False, **changes):
    """What check_free says, "" for nothing."""
    try:
        return check_free(folder, tiny(folder, force=force)._replace(**changes)) or ""
    except InputError as error:
        return str(error)


def test_a_run_begins_in_a_new_or_empty_folder_or_by_force_in_that_of_another_run(tmp_path):
    out = tmp_path / "run"
    assert free(out) == free(out, force=True) == ""
    out.mkdir()
    (out / ".lock").touch()
    for name in PARTS:
        (out / name).touch()
    assert free(out) == free(out, force=True) == ""
    for name in OTHERS:
        (out / name).touch()
        assert "is not empty" in free(out) and "holds files and no run that --force could" in free(out, force=True)
        (out / name).unlink()
    for complete in (False, True):
        run = made(tmp_path / f"{complete}", complete)
        assert free(run).startswith(f"{run} is not empty: choose another folder") and free(run, force=True) == ""
        assert is_complete(run) == complete
        (run / "summary.json").unlink(missing_ok=True)
        assert not is_complete(run)
    for name in ("cleaned_labels.csv", written.LEDGER):      # left where a killed run had removed the rest
        (out / name).write_text("{}")
        assert "is not empty" in free(out) and free(out, force=True) == ""
        (out / name).unlink()
    assert free(out / ".lock") == free(out / ".lock", force=True) == (
        f"{out / '.lock'} is a file: choose another folder with --out")


def test_what_the_run_reads_is_not_replaced_wherever_it_is_named_from(tmp_path, monkeypatch):
    run = made(tmp_path / "run")
    (tmp_path / "link").symlink_to(run)
    for out in (run, tmp_path / "link"):
        for name in ("label_issues.csv", "config.json", "corrected_labels.npy"):
            for field in ("data", "test", "truth", "noise_file", "labels", "features", "backbone"):
                assert "is what the run needs and is never replaced" in free(out, True, **{field: str(run / name)})
        for harmless in (run / "mine.csv", run / "summary.json", tmp_path / "config.json", run):
            assert free(out, True, data=str(harmless)) == ""             # not of a run, not there, elsewhere
    assert "labels.npy is what the run needs" in free(run, True, labels=f"{run / 'suggested_labels.npy'}:worst")
    monkeypatch.chdir(tmp_path)
    assert free(run, True, data="run/config.json").startswith("run/config.json is what the run needs")


def test_a_run_removes_what_the_one_before_wrote_its_summary_first_and_nothing_else(tmp_path, monkeypatch):
    gone, unlink = [], Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path, **how: gone.append((path.name, path.exists())) or
                        unlink(path, **how))
    for complete in (False, True):
        run, kept = made(tmp_path / f"{complete}", complete), ["cleaned_labels.csv", "notes.txt", *OTHERS]
        for name in (*kept, *PARTS):
            (run / name).write_text("stays")
        gone.clear()
        notes = begin(run, tiny(run, ranks=3, truth="t.npy", force=True))
        assert [name for name, there in gone if there and name in FILES][:1] == [
            "summary.json" if complete else "checkpoint-previous.npz"]
        assert {path.name: path.read_text() for path in run.iterdir() if path.name != "config.json"} == dict.fromkeys(
            kept, "stays")
        config = json.loads((run / "config.json").read_text())
        assert config["settings"]["ranks"] == 3 and config["environment"] == {"date": "today"}
        assert config["paths"] == {"truth": os.path.abspath("t.npy")}
        assert notes == [f"note     {run / 'cleaned_labels.csv'} stays: it follows from decisions on the run that was "
                         "here before"]
    assert begin_in(tmp_path / "new") == []


@pytest.mark.parametrize("edited", [False, True])
def test_predictions_go_unless_somebody_has_edited_them(tmp_path, edited):
    run = made(tmp_path / "run")
    (run / "predictions.csv").write_text("a")
    written.note(run, run / "predictions.csv")
    if edited:
        (run / "predictions.csv").write_text("b")
    begin(run, tiny(run, force=True))
    assert (run / "predictions.csv").exists() == edited


def link(path):
    original = path.parent.parent / "original"
    original.write_bytes(path.read_bytes() if path.exists() else b"mine")
    path.unlink(missing_ok=True)
    path.symlink_to(original)


def change(path):
    path.write_bytes((path.read_bytes() if path.exists() else b"") + b"\n")


def change_a_letter(path):
    raw = bytearray(path.read_bytes() if path.exists() else b"mine")
    raw[-2] ^= 1
    path.write_bytes(raw)


def write_json(path):
    path.write_text('{"mine": 1}')


NOT_CHECKED = {*FILES} - {"config.json", "manifest.json", "summary.json"}    # while there is no manifest
WHATEVER = {"manifest.json", "summary.json"}                                 # is in them, if it is a run's
SPOILT = [(complete, name, spoil) for complete in (False, True) for name in FILES
          for spoil in (link, change, change_a_letter, write_json)
          if not (spoil is not link and name in NOT_CHECKED and not complete)
          and not (spoil in (change, change_a_letter) and name in (*WHATEVER, "config.json"))]


def test_a_file_that_a_run_did_not_write_or_that_was_changed_stops_everything(tmp_path):
    runs = {complete: made(tmp_path / f"{complete}", complete) for complete in (False, True)}
    assert len(SPOILT) > 80
    whole = {folder: content(folder) for folder in runs.values()}
    for complete, name, spoil in SPOILT:
        run = runs[complete]
        spoil(run / name)
        before = content(run)
        for attempt in (lambda: check_free(run, tiny(run, force=True)), lambda: begin(run, tiny(run))):
            with pytest.raises(InputError, match="was not written by a run, or was changed since, and is never repl"):
                attempt()
        assert content(run) == before, (complete, name, spoil)
        (run / name).unlink()
        if name in whole[run]:
            (run / name).write_bytes(whole[run][name])


@pytest.mark.parametrize("name", ["there", "new", "new/deeper"])
def test_a_folder_that_cannot_be_written_is_told_before_anything_is_read(tmp_path, monkeypatch, name):
    """And where it can be, nothing is left behind."""
    (tmp_path / "there").mkdir()
    tried = []
    monkeypatch.setattr(files.tempfile, "TemporaryFile", lambda dir, real=files.tempfile.TemporaryFile:
                        tried.append(dir) or real(dir=dir))
    assert free(tmp_path / name) == "" and [*tmp_path.rglob("*")] == [tmp_path / "there"]
    assert tried == [tmp_path / "there" if name == "there" else tmp_path]

    def read_only(dir):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", read_only)
    assert free(tmp_path / name) == (f"cannot write {tmp_path / name}: this disk can only be read: choose another "
                                          "folder with --out")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_name_that_is_taken_is_known(tmp_path):
    (tmp_path / "a-seed0").mkdir()
    assert taken(tmp_path / "a-seed0-2") == taken(str(tmp_path / "a-seed0-13")) == tmp_path / "a-seed0"
    assert taken(tmp_path / "a-seed0") is taken(tmp_path / "b-2") is taken("a") is None


def test_a_name_is_free_if_nothing_has_it(tmp_path):
    for expected in ("a", "a-2", "a-3", "a-4"):
        assert free_name(tmp_path, "a") == tmp_path / expected
        (tmp_path / expected).mkdir()
    assert free_name(tmp_path, "a-2") == tmp_path / "a-2-2"


def test_the_log_has_a_line_for_each_epoch_and_goes_on_from_the_checkpoint(tmp_path):
    records = [record(epoch=1, test=float("nan")), record("retrain", 2, 1), record(epoch=3)]
    for one in records:
        log(tmp_path, one)
    (tmp_path / PARTS[0]).touch()
    (tmp_path / OTHERS[0]).touch()
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {**one._asdict(), "test": None if k == 0 else one.test} for k, one in enumerate(records)]
    go_on(tmp_path, records[:2])
    assert (tmp_path / "log.jsonl").read_text().splitlines() == lines[:2]
    assert left_over(tmp_path) == [] and (tmp_path / OTHERS[0]).exists()
    log(tmp_path, records[2])
    assert (tmp_path / "log.jsonl").read_text().splitlines() == lines and line_of(records[2]) == lines[2] + "\n"


def test_a_lock_is_made_with_its_folder_and_a_file_of_that_name_is_not_touched(tmp_path, monkeypatch):
    with locked(tmp_path / "a" / "b"), pytest.raises(InputError, match="is in use by another process"):
        with locked(tmp_path / "a" / "b"):
            pass
    with locked(tmp_path / "a" / "b"):                       # it is free again
        pass
    held = []
    with monkeypatch.context() as patch:                     # even if something still knows of it
        patch.setattr("filelock.FileLock", lambda path: held.append(FileLock(path)) or held[0])
        with pytest.raises(ZeroDivisionError), locked(tmp_path / "a" / "b"):
            raise ZeroDivisionError
    assert not held[0].is_locked
    for name, make in (("text", lambda path: path.write_text("mine")), ("link", lambda path: path.symlink_to("x")),
                       ("folder", Path.mkdir)):
        (tmp_path / name).mkdir()
        make(tmp_path / name / ".lock")
        with pytest.raises(InputError, match="is no lock of this program"), locked(tmp_path / name):
            pass
    assert (tmp_path / "text" / ".lock").read_text() == "mine" and not (tmp_path / "link" / "x").exists()
