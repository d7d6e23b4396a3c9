"""The run folder: what a run leaves behind.

    config.json            every setting, versions, git commit        log.jsonl           a line for each epoch
    given_labels.npy       (N,) as they were given                    classes.txt         C names, a line each
    true_labels.npy        (N,) where they are known                  index.npy           (N,) row of each image in its source
    corrected_labels.npy   (N,) argmax of the soft labels             soft_labels.npy     (N, C)
    weights.npz            of the network of step 2                   *.png               pictures
    summary.json           the outcome in a few numbers; written last, so a folder that has it is complete
"""
import json
import math
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from core.checkpoint import disk_errors, save_array, save_arrays, save_text
from core.errors import InputError
from core.report import pictures


def free_name(parent, name):
    """parent/name, or the first of parent/name-2, -3, ... that does not exist."""
    folder, number = Path(parent, name), 2
    while folder.exists():
        folder, number = Path(parent, f"{name}-{number}"), number + 1
    return folder


def check_free(folder, force):
    """InputError if there is a run in the folder already and `force` does not allow to replace it."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: choose another folder with --out")
    if not force and folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty: choose another folder with --out, or replace the run in it by --force")


def begin(folder, config):
    """Make the folder and write what is known before the training."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("log.jsonl", "summary.json"):
            (folder / name).unlink(missing_ok=True)
    settings = {**config._asdict(), "recipe": config.recipe._asdict()}
    save_text(folder / "config.json", json.dumps({"settings": settings, "environment": environment()}, indent=2, default=str) + "\n")


def log(folder, record):
    """Append one epoch to log.jsonl; what is not known is null."""
    values = {name: known(value) for name, value in record._asdict().items()}
    with disk_errors(folder / "log.jsonl"), open(folder / "log.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(values) + "\n")


def finish(folder, result, recipe):
    """Write labels, weights and pictures."""
    save_text(folder / "classes.txt", "".join(f"{name}\n" for name in result.classes))
    arrays = {"given_labels": result.given, "true_labels": result.truth, "corrected_labels": result.corrected,
              "soft_labels": result.soft, "index": result.index}
    for name, array in arrays.items():
        if array is not None:
            save_array(folder / f"{name}.npy", array)
    save_arrays(folder / "weights.npz", result.weights)
    pictures.draw_all(folder, result, recipe.begin)
    save_text(folder / "summary.json", json.dumps(summary(result), indent=2) + "\n")


def summary(result):
    """The outcome in a few numbers, for a table; what is not known is None."""
    outcome = {"initial": known(result.initial), "recovery": known(result.recovery),
               "changed": int((result.corrected != result.given).sum())}
    for step in dict.fromkeys(record.step for record in result.records):
        records = [record for record in result.records if record.step == step]
        outcome[step] = {"best_validation": max(record.validation for record in records), "last_validation": records[-1].validation,
                         "test": records[-1].test, "seconds": sum(record.seconds for record in records)}
    return outcome


def known(value):
    """value, or None for nan: JSON has no nan."""
    return None if isinstance(value, float) and math.isnan(value) else value


def environment():
    """Versions, machine and git commit, as far as they can be found out."""
    found = {"python": platform.python_version(), "machine": platform.platform(), "commit": commit()}
    for package in ("numpy", "pillow", "matplotlib", "tqdm", "threadpoolctl", "cupy-cuda12x", "cupy-cuda13x"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            pass
    return found


def commit():
    """The git commit of the program, or None outside a checkout."""
    try:
        done = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=40"], capture_output=True, text=True,
                              cwd=Path(__file__).parent, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
