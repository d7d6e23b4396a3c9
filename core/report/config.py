"""config.json: every setting of a run and where it began, written so that it can be read back exactly."""
import json
import os
import platform
import subprocess
from datetime import datetime
from pathlib import Path

from core.errors import InputError
from core.files import load_json
from nets.families import BACKBONES

PLACES = ("data", "test", "truth", "noise_file", "features", "backbone", "images", "labels")     # name what is read
BUILT_IN = (("data", "digits"), *(("backbone", name) for name in BACKBONES))                     # without a place


def settings(config):
    """Everything in a core.run.Config, as JSON can express it."""
    fields = {**config._asdict(), "recipe": config.recipe._asdict()}
    return json.loads(json.dumps(fields, default=lambda value: value.tolist()
                                 if hasattr(value, "tolist") else str(value)))


def places(config):
    """{setting: absolute path} of what a core.run.Config reads, to be found from any folder."""
    named = {name: getattr(config, name) for name in PLACES if getattr(config, name) is not None}
    return {name: os.path.abspath(path) for name, path in named.items() if (name, path) not in BUILT_IN}


def read_places(folder):
    """The places of the run in a folder, as they were given where it is of an earlier version; {} without a run."""
    try:
        content = load_json(folder / "config.json")
        found = content.get("paths", content["settings"])
        return {name: found[name] for name in PLACES
                if isinstance(found.get(name), str) and (name, found[name]) not in BUILT_IN}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def read_config(folder):
    """(settings, environment) of the run in a folder, as they were before they were written.
    InputError where there is none."""
    try:
        content = load_json(folder / "config.json")
        return dict(restored(content["settings"])), dict(content["environment"])
    except FileNotFoundError:
        raise InputError(f"{folder} holds no run to resume (it has no config.json): give the folder of an interrupted "
                         "run, or start one") from None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"{folder / 'config.json'} cannot be read ({error}): start a new run") from None


def restored(value):
    """What JSON has changed, changed back: arrays are tuples, and numbers may be the keys of an object."""
    if isinstance(value, list):
        return tuple(map(restored, value))
    if isinstance(value, dict):
        return {int(key) if key.isdecimal() else key: restored(item) for key, item in value.items()}
    return value


def environment():
    """Date, versions, machine and git commit, as far as they can be found out."""
    from importlib.metadata import PackageNotFoundError, version  # imported where needed: demo.py starts sooner

    found = {"date": datetime.now().astimezone().isoformat(" ", "minutes"), "python": platform.python_version(),
             "machine": platform.platform(), "commit": commit()}
    for package in ("numpy", "pillow", "matplotlib", "tqdm", "threadpoolctl", "joblib", "filelock", "mpi4py",
                    "cupy-cuda12x", "cupy-cuda13x"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            pass
    return found


def commit():
    """The git commit of the program, or None outside a checkout of its own."""
    root = Path(__file__).resolve().parents[2]

    def git(*words):
        return subprocess.run(["git", *words], capture_output=True, text=True, cwd=root, timeout=10).stdout.strip()

    try:
        own = Path(git("rev-parse", "--show-toplevel")) == root
        return git("describe", "--always", "--dirty", "--abbrev=40") if own else None
    except (OSError, subprocess.TimeoutExpired):
        return None
