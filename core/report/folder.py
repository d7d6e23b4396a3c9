"""The run folder: what a run leaves behind.

    config.json            every setting, versions, git commit        log.jsonl           a line for each epoch
    given_labels.npy       (N,) as they were given                    classes.txt         C names, a line each
    given_is_wrong.npy     (N,) where that is not the true label, if the truth is known
    true_labels.npy        (N,) if they are known                     index.npy           (N,) row of each image in its source
    corrected_labels.npy   (N,) argmax of the soft labels             soft_labels.npy     (N, C)
    weights.npz            of the network of step 2                   *.png               pictures
    summary.json           the outcome in a few numbers; written last, so a folder that has it is complete
"""
import json
import math
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from core.checkpoint import disk_errors, save_array, save_arrays, save_text
from core.errors import InputError
from core.report import pictures


FILES = ("config.json", "log.jsonl", "classes.txt", "given_labels.npy", "given_is_wrong.npy", "true_labels.npy", "index.npy",
         "corrected_labels.npy", "soft_labels.npy", "weights.npz", "curves.png", "losses.png", "confusion.png", "corrected.png",
         "summary.json")


def free_name(parent, name):
    """parent/name, or the first of parent/name-2, -3, ... that does not exist."""
    folder, number = Path(parent, name), 2
    while folder.exists():
        folder, number = Path(parent, f"{name}-{number}"), number + 1
    return folder


def check_free(folder, force):
    """InputError if there is something in the folder already and `force` does not allow to replace it."""
    with disk_errors(folder):
        there = folder.exists()
        is_folder, used = folder.is_dir(), folder.is_dir() and any(folder.iterdir())
    if there and not is_folder:
        raise InputError(f"{folder} is a file: choose another folder with --out")
    if used and not force:
        raise InputError(f"{folder} is not empty: choose another folder with --out, or replace the run in it by --force")


def begin(folder, config):
    """Make the folder, remove what an earlier run left in it, and write what is known before the training."""
    check_free(folder, config.force)                         # once more: another run may have begun in the meantime
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
    settings = {**config._asdict(), "recipe": config.recipe._asdict()}
    save_text(folder / "config.json", json.dumps({"settings": settings, "environment": environment()}, indent=2, default=str) + "\n")


def log(folder, record):
    """Append one epoch to log.jsonl; what is not known is null. On a full disk no part of a line stays."""
    line = json.dumps({name: known(value) for name, value in record._asdict().items()}) + "\n"
    path = folder / "log.jsonl"
    with disk_errors(path):
        size = path.stat().st_size if path.exists() else 0
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(line)
        except OSError:
            os.truncate(path, size)
            raise


def save_labels(folder, data, given, soft):
    """The labels, before and after, as soon as step 1 has found them: what comes later cannot take them away."""
    save_text(folder / "classes.txt", "".join(f"{name}\n" for name in data.classes))
    arrays = {"given_labels": given, "corrected_labels": soft.argmax(axis=1), "soft_labels": soft, "index": data.train.index}
    if data.train.truth is not None:
        arrays |= {"true_labels": data.train.truth, "given_is_wrong": given != data.train.truth}
    for name, array in arrays.items():
        save_array(folder / f"{name}.npy", array)


def finish(folder, result, recipe):
    """Write weights, pictures and summary."""
    save_arrays(folder / "weights.npz", result.weights)
    pictures.draw_all(folder, result, recipe.begin)
    save_text(folder / "summary.json", json.dumps(summary(result), indent=2) + "\n")


def summary(result):
    """The outcome in a few numbers, for a table; what is not known is None."""
    outcome = {"initial": known(result.initial), "recovery": known(result.recovery),
               "changed": int((result.corrected != result.given).sum())}
    for step in dict.fromkeys(record.step for record in result.records):
        records = [record for record in result.records if record.step == step]
        outcome[step] = {"best_validation": known(max(record.validation for record in records)),
                         "last_validation": known(records[-1].validation), "test": known(records[-1].test),
                         "seconds": sum(record.seconds for record in records)}
    return outcome


def known(value):
    """value, or None for nan: JSON has no nan."""
    return None if isinstance(value, float) and math.isnan(value) else value


def environment():
    """Versions, machine and git commit, as far as they can be found out."""
    found = {"python": platform.python_version(), "machine": platform.platform(), "commit": commit()}
    for package in ("numpy", "pillow", "matplotlib", "tqdm", "threadpoolctl", "joblib", "mpi4py", "cupy-cuda12x", "cupy-cuda13x"):
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
