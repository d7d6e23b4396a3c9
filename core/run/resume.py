"""Interrupted runs: reading their settings from a folder, and the command that resumes them."""
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from core.data.archive import archive_of
from core.data.named_labels import divided
from core.errors import InputError, need
from core.files import load_sealed, newest
from core.parallel.launch import under_mpirun
from core.report.config import places, read_config, read_places
from core.run.folder import is_complete
from core.run.schema import as_config
from core.run.state import FILE, about, how_far, identity

DEMO = Path(__file__).parents[2] / "demo.py"


def stored(folder):
    """The Config of the run in a folder, to resume it from any folder.

    Raises InputError if there is none or of another version, or if its data are gone.
    """
    config = as_written(folder)
    config = config._replace(**found_again(config, read_places(Path(folder))))
    return config._replace(ranks=None) if config.gpu is not None or under_mpirun() else config


def as_written(folder):
    """The Config in config.json. Raises InputError if there is none or of another version.

    A folder for decoded images is not taken from there: the file may be somebody else's, and would say where to write.
    """
    values, _ = read_config(Path(folder))
    try:
        return as_config(values, Path(folder, "config.json"))._replace(out=str(folder), cache=None)
    except (KeyError, TypeError):
        raise InputError(f"{folder} was written by another version of this program: resume it with that version, or "
                         "start a new run") from None


def found_again(config, absolute):
    """{setting: path} of what the run read: where it was, or, moved together with the run, as it was given.

    Raises InputError if it is at neither place.
    """
    found = {}
    for name, path in absolute.items():
        given = getattr(config, name)
        there = next(filter(is_there, (path, given)), None)
        need(there is not None,
             f"{given} does not exist, nor does {path}, which is what the run read: put it back")
        found[name] = there
    return found


def is_there(path):
    """Whether a file or folder is there, also as FILE:NAME, or the archive where it is a folder in one."""
    return os.path.exists(divided(path)[0]) or archive_of(path) is not None


def can_go_on(config):
    """Whether config.out holds an interrupted run with these settings, of these data."""
    try:
        folder, before = Path(config.out), as_written(config.out)
        same = (identity(before), read_places(folder)) == (identity(config), places(config))
        return same and not is_complete(folder)
    except InputError:
        return False


def resume_hint(config):
    """A sentence with the state of the interrupted run in config.out and the command that resumes it.

    "nothing was written" if the folder still holds a run with other settings, not yet replaced by this one.
    """
    if not can_go_on(config):
        return "nothing was written"
    cache = ["--cache", config.cache] * bool(config.cache)
    return f"the run is saved{state_of(Path(config.out))}. To resume it: {command('resume', config.out, *cache)}"


def state_of(folder):
    """The state of the checkpoint in a few words; none where there is no memory left to read it."""
    try:
        path = newest(folder / FILE)
        return f" as it was {how_far(about(load_sealed(path), path)['records'] if path else [])}"
    except (InputError, MemoryError, OSError):
        return ""


def command(*words):
    """The shell command for `demo.py words`, with the running interpreter."""
    line = [python(), near(DEMO), *words]
    return subprocess.list2cmdline(line) if os.name == "nt" else shlex.join(line)


def python():
    """The running interpreter: its bare name if the shell finds it by that (activated environment), else its path."""
    name = Path(sys.executable).name
    return name if shutil.which(name) == sys.executable else near(sys.executable)


def near(path):
    """The path relative to the current folder if it lies below it, else unchanged."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return str(path)
