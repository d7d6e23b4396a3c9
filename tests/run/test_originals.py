"""No file that this program did not write is ever replaced or removed, whatever is forced."""
import json

import pytest

import demo
from core.errors import InputError
from core.run import run
from core.run.folder import FILES, begin, left_over, locked
from core.run.resume import resume_hint, stored
from tests.lib.own_data import write_folder
from tests.lib.tiny_run import contents, stopped, tiny, tiny_runs  # noqa: F401   the fixture

pytestmark = pytest.mark.usefixtures("tiny_runs")
REFUSED = "was not written by a run, or was changed since, and is never replaced: choose another folder with --out"


def left_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_a_person_with_the_name_of_a_runs_is_never_replaced(tmp_path, name):
    folder = tmp_path / "photos" / "ant"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b'{"name": "mine"}')
    (folder / "1.jpg").write_bytes(b"mine")
    before = left_in(folder)
    with pytest.raises(InputError, match=f"^{folder / name} {REFUSED}"):
        run(tiny(folder, force=True))
    assert left_in(folder) == before


def change(path):
    path.write_bytes(path.read_bytes() + b"\n")


def change_a_letter(path):
    raw = bytearray(path.read_bytes())
    raw[-2] ^= 1
    path.write_bytes(raw)


def replace_by_link(path):
    path.rename(path.parent.parent / "original")
    path.symlink_to(path.parent.parent / "original")


@pytest.mark.parametrize("spoil", [change, change_a_letter, replace_by_link])
@pytest.mark.parametrize("name", ["corrected_labels.csv", "weights.npz", "log.jsonl"])
def test_a_file_of_the_old_run_that_a_person_has_edited_is_theirs(tmp_path, name, spoil):
    run(tiny(tmp_path / "run"))
    spoil(tmp_path / "run" / name)
    before = left_in(tmp_path / "run")
    with pytest.raises(InputError, match=f"{name} {REFUSED}"):
        run(tiny(tmp_path / "run", force=True, seed=1))
    assert left_in(tmp_path / "run") == before


@pytest.mark.parametrize("name", ["checkpoint.npz", "checkpoint-previous.npz", "summary.json", "manifest.json"])
def test_a_file_of_a_person_in_the_folder_of_a_complete_run_is_theirs(tmp_path, name):
    run(tiny(tmp_path / "run"))
    (tmp_path / "run" / name).write_text('{"mine": 1}')
    with pytest.raises(InputError, match=f"{name} {REFUSED}"):
        run(tiny(tmp_path / "run", force=True))
    assert (tmp_path / "run" / name).read_text() == '{"mine": 1}'


def test_another_programs_json_beside_an_interrupted_run_is_not_removed(tmp_path):
    stopped(tiny(tmp_path), 2)
    (tmp_path / "manifest.json").write_text('{"name": "a web page"}')
    with pytest.raises(InputError, match=f"manifest.json {REFUSED}"):
        run(tiny(tmp_path, force=True))
    with pytest.raises(InputError, match=f"manifest.json {REFUSED}"):
        begin(tmp_path, tiny(tmp_path))                      # of a run that is resumed before its first checkpoint


def test_runs_that_are_complete_interrupted_or_killed_on_the_way_are_replaced(tmp_path):
    run(tiny(tmp_path / "whole", force=True))
    for epochs in (0, 2, 4):
        stopped(tiny(tmp_path / "run", force=True), epochs)
    run(tiny(tmp_path / "run", force=True))
    (tmp_path / "run" / "summary.json").unlink()             # killed before its last file
    run(tiny(tmp_path / "run", force=True))
    (tmp_path / "run" / "manifest.json").unlink()            # killed while --force removed the old run
    (tmp_path / "run" / "summary.json").unlink()
    run(tiny(tmp_path / "run", force=True))
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_only_temporary_files_of_ours_are_removed(tmp_path):
    ours = {".log.jsonl.123.part", ".checkpoint.npz.9.part"}
    for name in {*ours, ".film.part", ".film.avi.12.part", ".log.jsonl.part"}:
        (tmp_path / name).touch()
    assert {path.name for path in left_over(tmp_path)} == ours


@pytest.mark.parametrize("make", [lambda path: path.write_text("mine"), lambda path: path.mkdir(),
                                  lambda path: path.symlink_to(path.with_name("elsewhere"))])
def test_a_file_with_the_name_of_the_lock_is_not_emptied(tmp_path, make):
    make(tmp_path / ".lock")
    with pytest.raises(InputError, match=".lock is no lock of this program and is never replaced"), locked(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / ".lock").is_file() or (tmp_path / ".lock").read_text() == "mine"


# ---- from another folder ---------------------------------------------------------------------------------------------

@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """The folder of an interrupted run, whose truth was named from tmp_path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "truth.csv").write_text("0,1\n")
    write_folder(tmp_path / "photos")
    begin_with = tiny("run")._replace(data="photos", truth="truth.csv", cache="store")
    (tmp_path / "run").mkdir()
    begin(tmp_path / "run", begin_with)
    (tmp_path / "elsewhere").mkdir()
    return begin_with


def test_a_run_is_resumed_from_another_folder(interrupted, tmp_path, monkeypatch):
    content = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (content["settings"]["data"], content["paths"]["data"]) == ("photos", str(tmp_path / "photos"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = stored(tmp_path / "run")
    assert (config.data, config.truth) == (str(tmp_path / "photos"), str(tmp_path / "truth.csv"))


def test_a_run_is_resumed_where_it_was_moved_to_with_its_data(interrupted, tmp_path, monkeypatch):
    for name in ("run", "photos", "truth.csv"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = stored("run")
    assert (config.data, config.truth) == ("photos", "truth.csv")


def test_data_that_are_gone_are_told_by_both_names_and_the_hint_needs_none(interrupted, tmp_path):
    (tmp_path / "photos").rename(tmp_path / "gone")
    with pytest.raises(InputError, match=f"^photos does not exist, nor does {tmp_path}/photos, which is what the run"):
        stored("run")
    assert resume_hint(interrupted).endswith("demo.py resume run --cache store")
    assert resume_hint(interrupted._replace(data="other")) == "nothing was written"


def test_a_cache_is_not_taken_from_a_file(interrupted):
    assert stored("run").cache is None
    assert demo.resumed(demo.parse(["resume", "run", "--cache", "mine"])).cache == "mine"
