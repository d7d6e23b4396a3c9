"""No file that this program did not write is ever replaced or removed, whatever is forced."""

import pytest

from core.errors import InputError
from core.run import run
from core.run.folder import FILES
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
