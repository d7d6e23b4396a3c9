"""Interrupted runs: reading their settings from a folder, and the command that resumes them."""
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from core.errors import InputError
from core.files import load_sealed, newest
from core.parallel.launch import under_mpirun
from core.recipes import Recipe
from core.report.config import read_config
from core.run.config import Config
from core.run.folder import is_complete
from core.run.state import FILE, about, how_far, identity

DEMO = Path(__file__).parents[2] / "demo.py"


def stored(folder):
    """The Config of the run in a folder, to resume it. Raises InputError if there is none or of another version."""
    values, _ = read_config(Path(folder))
    try:
        config = Config(**{**values, "recipe": Recipe(**values["recipe"]), "out": str(folder)})
    except (KeyError, TypeError):
        raise InputError(f"{folder} was written by another version of this program: resume it with that version, or "
                         "start a new run") from None
    return config._replace(ranks=None) if config.gpu is not None or under_mpirun() else config


def can_go_on(config):
    """Whether config.out holds an interrupted run with these settings."""
    try:
        return identity(stored(config.out)) == identity(config) and not is_complete(Path(config.out))
    except InputError:
        return False


def resume_hint(config):
    """A sentence with the state of the interrupted run in config.out and the command that resumes it.

    "nothing was written" if the folder still holds a run with other settings, not yet replaced by this one.
    """
    if not can_go_on(config):
        return "nothing was written"
    folder = Path(config.out)
    path = newest(folder / FILE)
    records = about(load_sealed(path))["records"] if path else []
    return f"the run is saved as it was {how_far(records)}. To resume it: {command('resume', str(folder))}"


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
