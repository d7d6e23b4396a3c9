"""Which files this program wrote: they alone are ever replaced or removed.

The run's own files, in its folder: those that have the checksum of its manifest.json; before there is one, those with
the names of a run beside its config.json. What `apply` and `predict` wrote from a run, there or elsewhere, stands with
its checksum in the run folder's LEDGER. A file that a person has edited counts as theirs.
"""
import json
import os
from contextlib import suppress
from pathlib import Path

from core.errors import InputError
from core.files import is_whole, load_json, save_text, sha256

LEDGER = ".written.json"
OF_CONFIG, OF_MANIFEST = {"settings", "environment"}, {"files", "definitions", "settings"}
OF_SUMMARY = {"initial", "recovery", "estimated_rate"}
UNLISTED = ("checkpoint.npz", "checkpoint-previous.npz")     # in no manifest: they go when the run is complete


def of_run(folder, names):
    """Those of the names that lie in the folder and that a run of this program wrote."""
    files = {name for name in names if is_plain(folder / name)}
    manifest = entries(folder / "manifest.json")
    if not OF_MANIFEST <= manifest.keys():                   # interrupted, or no run
        begun = OF_CONFIG <= entries(folder / "config.json").keys()
        return files - {"manifest.json", "summary.json"} if begun else set()
    own = {"manifest.json", *(name for name in UNLISTED if is_whole(folder / name))}
    if OF_SUMMARY <= entries(folder / "summary.json").keys():
        own.add("summary.json")
    listed = manifest["files"] if isinstance(manifest["files"], dict) else {}
    return {name for name in files if name in own or has_checksum(folder / name, listed.get(name))}


def is_plain(path):
    """Whether it is a file, not a folder or a link."""
    return path.is_file() and not path.is_symlink()


def has_checksum(path, about):
    """Whether the file has the size and the checksum of its entry in a manifest."""
    return (isinstance(about, dict) and path.stat().st_size == about.get("bytes")
            and sha256(path) == about.get("sha256"))


def note(folder, path):
    """Note in the run folder that `path` was written from this run. Where it can't be noted it is never replaced."""
    noted = {**entries(folder / LEDGER), key(folder, path): sha256(path)}
    with suppress(InputError):
        save_text(folder / LEDGER, json.dumps(noted, indent=2) + "\n")


def is_noted(folder, path):
    """Whether `path` is as it was written from the run in the folder."""
    digest = entries(folder / LEDGER).get(key(folder, path))
    return digest is not None and is_plain(Path(path)) and sha256(path) == digest


def key(folder, path):
    """The name of a file in the folder, which may be moved with it; else the absolute path."""
    path, folder = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    return path.name if path.parent == folder else str(path)


def entries(path):
    """The object in a JSON file; {} where there is none."""
    try:
        found = load_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
