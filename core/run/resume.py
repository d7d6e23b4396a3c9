"""Runs that did not come to their end: what a folder holds of one, and what to type to go on."""
import shlex
from pathlib import Path

from core.errors import InputError
from core.files import load_sealed, newest
from core.parallel.launch import under_mpirun
from core.recipes import Recipe
from core.report.config import read_config
from core.run.config import Config
from core.run.folder import is_complete
from core.run.state import FILE, about, how_far, identity


def stored(folder):
    """The Config of the run in a folder, to go on with it. InputError where there is none."""
    values, _ = read_config(Path(folder))
    try:
        config = Config(**{**values, "recipe": Recipe(**values["recipe"]), "out": str(folder)})
    except (KeyError, TypeError):
        raise InputError(f"{folder} was written by another version of this program: go on with that one, or begin anew") from None
    return config._replace(ranks=None) if config.gpu is not None or under_mpirun() else config


def can_go_on(config):
    """Whether config.out holds a run of these settings that did not come to its end."""
    try:
        return identity(stored(config.out)) == identity(config) and not is_complete(Path(config.out))
    except InputError:
        return False


def kept(config):
    """What there is in config.out of a run that did not come to its end, and what to type to go on.

    Nothing, where a run of other settings is still there, which this one had not replaced yet.
    """
    if not can_go_on(config):
        return "nothing had been written yet"
    folder = Path(config.out)
    path = newest(folder / FILE)
    records = about(load_sealed(path))["records"] if path else []
    return f"the run is kept as it was {how_far(records)}. To go on: python demo.py --resume {shlex.quote(str(folder))}"
