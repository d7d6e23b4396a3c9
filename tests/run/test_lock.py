"""A lock is a lock: held from before the first file is touched until after the last, and free afterwards."""
import errno

import pytest
from filelock import FileLock, Timeout

from core.errors import InputError
from core.report import results
from core.run import folder as run_folder
from core.run import run, state
from core.run.folder import locked
from tests.lib.tiny_run import stopped, tiny, tiny_runs  # noqa: F401   the fixture

pytestmark = pytest.mark.usefixtures("tiny_runs")


def is_free(folder):
    try:
        with FileLock(folder / ".lock").acquire(timeout=0):
            return True
    except Timeout:
        return False


def test_the_folder_is_locked_whenever_a_file_is_written_or_removed(tmp_path, monkeypatch):
    out, found = tmp_path / "run", []

    def noting(function):
        def noted(*args, **options):
            found.append(is_free(out))
            return function(*args, **options)
        return noted

    for module, name in ((run_folder, "begin"), (run_folder, "save_text"), (run_folder, "log"), (state, "save_sealed"),
                         (results, "save_labels"), (results, "finish"), (results, "save_text"), (state, "remove")):
        monkeypatch.setattr(module, name, noting(getattr(module, name)))
    run(tiny(out))
    assert len(found) > 20 and not any(found) and is_free(out)
    stopped(tiny(out, force=True), 2)
    assert not any(found) and is_free(out), "an interruption frees it"


def test_it_is_held_through_a_block_and_freed_by_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        assert not is_free(tmp_path)
        with pytest.raises(InputError, match="is in use by another process"), locked(tmp_path):
            pass
        assert not is_free(tmp_path), "the second has not taken it away"
        raise ZeroDivisionError
    assert is_free(tmp_path)


def test_a_run_that_may_not_write_touches_nothing(tmp_path, monkeypatch):
    run(tiny(tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with locked(tmp_path), pytest.raises(InputError, match="in use"):
        run(tiny(tmp_path, force=True, seed=1))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# ---- the log ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("written", [0, 1, 40])
def test_a_full_disk_leaves_no_half_line_in_the_log(tmp_path, monkeypatch, written):
    stopped(tiny(tmp_path), 2)
    before = (tmp_path / "log.jsonl").read_bytes()

    class Full:
        """A file that takes so many bytes more."""
        def __init__(self, *args, **options):
            self.file = open(*args, **options)

        def __enter__(self):
            return self

        def write(self, text):
            self.file.write(text[:written])
            self.file.flush()
            raise OSError(errno.ENOSPC, "No space left on device")

        def __exit__(self, *args):
            self.file.close()

    record = state.about(state.load_sealed(tmp_path / state.FILE))["records"][-1]
    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "open", Full, raising=False)
        with pytest.raises(InputError, match="log.jsonl: the disk is full"):
            run_folder.log(tmp_path, record)
    assert (tmp_path / "log.jsonl").read_bytes() == before
    (tmp_path / "log.jsonl").rename(tmp_path / "there")
    with monkeypatch.context() as patch, pytest.raises(InputError, match="log.jsonl: the disk is full"):
        patch.setattr(run_folder, "open", Full, raising=False)
        run_folder.log(tmp_path, record)
    assert (tmp_path / "log.jsonl").read_bytes() == b""
    (tmp_path / "there").rename(tmp_path / "log.jsonl")
    run_folder.log(tmp_path, record)
    assert (tmp_path / "log.jsonl").read_bytes() == before + before.splitlines(keepends=True)[-1]
