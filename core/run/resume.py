"""Interrupted runs: what a folder holds of one, and what to type to resume it."""
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
    """The Config of the run in a folder, to resume it. InputError where there is none."""
    values, _ = read_config(Path(folder))
    try:
        config = Config(**{**values, "recipe": Recipe(**values["recipe"]), "out": str(folder)})
    except (KeyError, TypeError):
        raise InputError(f"{folder} was written by another version of this program: resume it with that one, or start a "
                         "new run") from None
    return config._replace(ranks=None) if config.gpu is not None or under_mpirun() else config


def can_go_on(config):
    """Whether config.out holds an interrupted run of these settings."""
    try:
        return identity(stored(config.out)) == identity(config) and not is_complete(Path(config.out))
    except InputError:
        return False


def resume_hint(config):
    """What config.out holds of an interrupted run, and what to type to resume it.

    Nothing, where a run of other settings is still there, which this one had not replaced yet.
    """
    if not can_go_on(config):
        return "nothing was written"
    folder = Path(config.out)
    path = newest(folder / FILE)
    records = about(load_sealed(path))["records"] if path else []
    return f"the run is saved as it was {how_far(records)}. To resume it: {command('resume', str(folder))}"


def command(*words):
    """What to type for `demo.py words`, with the interpreter that runs this."""
    line = [python(), near(DEMO), *words]
    return subprocess.list2cmdline(line) if os.name == "nt" else shlex.join(line)


def python():
    """This interpreter: by its name alone where the shell finds it so (an activated environment), else by its path."""
    name = Path(sys.executable).name
    return name if shutil.which(name) == sys.executable else near(sys.executable)


def near(path):
    """A path below the current folder as it is seen from there, another one unchanged."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return str(path)
