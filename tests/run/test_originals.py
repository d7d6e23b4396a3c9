"""No file that this program did not write is ever replaced or removed, whatever is forced."""
import json

import pytest

import demo
from core.errors import InputError
from core.run import run
from core.run.folder import FILES, begin
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
