"""The run folder: what a run leaves behind.

    manifest.json          what each file is, its checksum, and how its numbers are defined (core/report/manifest.py)
    summary.json           the outcome in a few numbers; written last, so a folder that has it is complete
    checkpoint.npz, checkpoint-previous.npz                           until then: the state from which the run goes on
    .lock                  held by the process that writes here; it does not outlive that process
"""
import json
import math
import os
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from core import export, quality
from core.checkpoint import disk_errors, save_array, save_arrays, save_text
from core.data.batches import mean_image
from core.errors import InputError, need
from core.report import issues, page, pictures
from core.report.config import environment, settings
from core.report.manifest import WHAT, save_manifest

FILES = (*WHAT, "checkpoint.npz", "checkpoint-previous.npz", "manifest.json", "summary.json")
DECIDED = "cleaned_labels.csv"         # of --apply: it holds what a person decided, so that no run removes it


def free_name(parent, name):
    """parent/name, or the first of parent/name-2, -3, ... that does not exist."""
    folder, number = Path(parent, name), 2
    while folder.exists():
        folder, number = Path(parent, f"{name}-{number}"), number + 1
    return folder


def check_free(folder, config):
    """InputError if there is something in the folder already that config.force does not allow to replace, or the run needs."""
    with disk_errors(folder):
        there = folder.exists()
        is_folder = folder.is_dir()
        used = is_folder and bool({*folder.iterdir()} - {folder / ".lock", *left_over(folder)})
    if there and not is_folder:
        raise InputError(f"{folder} is a file: choose another folder with --out")
    if used and not config.force:
        raise InputError(f"{folder} is not empty: choose another folder with --out, or replace the run in it by --force")
    for source in map(Path, filter(None, (config.data, config.test, config.truth, config.noise_file))):
        needed = used and source.name in FILES and source.exists() and source.parent.samefile(folder)
        need(not needed, f"{source} is what the run needs and is never replaced: choose another folder with --out")


def left_over(folder):
    """What killed processes have left half written."""
    return list(folder.glob(".*.part"))


@contextmanager
def locked(folder):
    """The folder, made if need be, is this process's alone while the block runs. InputError if it is another's."""
    lock = FileLock(folder / ".lock")
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(f"{folder} is in use by another process: wait until it has ended, or choose another folder "
                             "with --out") from None
    try:
        yield
    finally:
        lock.release()


def begin(folder, config):
    """Remove what an earlier run left in the folder, and write what is known before the training. The folder is locked.

    Returns lines that say what stays there of the earlier run.
    """
    with disk_errors(folder):
        stays, ended = (folder / DECIDED).exists(), (folder / "manifest.json").exists()
        if ended:                                            # --predict writes beside no other run
            (folder / "predictions.csv").unlink(missing_ok=True)
        for name in reversed(FILES):                         # the summary first, which says that all others are there
            (folder / name).unlink(missing_ok=True)
        for path in left_over(folder):
            path.unlink()
    text = json.dumps({"settings": settings(config), "environment": environment()}, indent=2)
    save_text(folder / "config.json", text + "\n")
    return [f"note     {folder / DECIDED} stays: it follows from decisions on the run that was here before"] * stays


def is_complete(folder):
    """Whether the run in the folder has come to its end."""
    return (folder / "summary.json").exists()


def go_on(folder, records):
    """The log as it was at the checkpoint, and nothing half written. The folder is locked."""
    with disk_errors(folder):
        for path in left_over(folder):
            path.unlink()
    save_text(folder / "log.jsonl", "".join(map(line_of, records)))


def log(folder, record):
    """Append one epoch to log.jsonl. On a full disk no part of a line stays."""
    path = folder / "log.jsonl"
    with disk_errors(path):
        size = path.stat().st_size if path.exists() else 0
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(line_of(record))
        except OSError:
            os.truncate(path, size)
            raise


def line_of(record):
    """A Record as a line of log.jsonl; what is not known is null."""
    return json.dumps({name: known(value) for name, value in record._asdict().items()}) + "\n"


def save_labels(folder, data, given, soft, P, config):
    """The labels, before and after, as soon as step 1 has found them: what comes later cannot take them away.

    P (N, C): the predictions that the last update was made from.
    """
    truth, suggested = data.train.truth, soft.argmax(axis=1)
    corrected = quality.corrected(given, suggested, P, config.sure)
    save_text(folder / "classes.txt", "".join(f"{name}\n" for name in data.classes))
    arrays = {"given_labels": given, "suggested_labels": suggested, "corrected_labels": corrected, "soft_labels": soft,
              "index": data.train.index}
    if truth is not None:
        arrays |= {"true_labels": truth, "given_is_wrong": (given != truth) & (truth >= 0)}
    for name, array in arrays.items():
        save_array(folder / f"{name}.npy", array)
    issues.save_corrected(folder, data.classes, data.train, corrected, config.data)
    save_probabilities(folder, data, given, suggested, P)


def save_probabilities(folder, data, given, suggested, P):
    """The class probabilities P (N, C), and what follows from them."""
    save_array(folder / "pred_probs.npy", P)
    save_array(folder / "noise_matrix.npy", quality.noise_matrix(quality.confident_joint(P, given)))
    issues.save_issues(folder, data.classes, data.train, given, suggested, P)


def finish(folder, result, config, title):
    """Write weights, pictures, the page with that title, manifest and summary."""
    recipe = config.recipe
    save_arrays(folder / "weights.npz", result.weights)
    batches = -(-recipe.epochs2 * len(result.given) // min(recipe.batch, len(result.given)))
    export.save(folder / "model.safetensors", result.weights, mean_image(result.images), result.classes, batches)
    pictures.draw_all(folder, result, recipe.begin)
    rate = quality.estimated_errors(quality.confident_joint(result.pred_probs, result.given))[1]
    page.write(folder / "report.html", page.Page(
        title, result.classes, result.images, result.index, result.given, result.suggested, result.pred_probs,
        result.truth, result.paths, result.records, recipe.begin, rate, facts(result, config)))
    if result.paths is not None:
        issues.save_tasks(folder, result, config.data)
    save_manifest(folder)
    save_text(folder / "summary.json", json.dumps(summary(result), indent=2) + "\n")


def facts(result, config):
    """What the page says of the labels that were corrected, if not every suggestion was taken."""
    text = f"where the suggestion has a probability of {config.sure:g} or more"
    if not math.isnan(result.recovery):
        text += f"; {100 * result.initial:.1f} % of the labels were right before, {100 * result.recovery:.1f} % are after"
    return [("corrected labels", f"{(result.corrected != result.given).sum():,}", text)] * (config.sure > 0)


def summary(result):
    """The outcome in a few numbers, for a table; what is not known is None."""
    outcome = {"initial": known(result.initial), "recovery": known(result.recovery),
               "changed": int((result.corrected != result.given).sum()), **judged(result)}
    for step in dict.fromkeys(record.step for record in result.records):
        records = [record for record in result.records if record.step == step]
        outcome[step] = {"best_validation": known(max(record.validation for record in records)),
                         "last_validation": known(records[-1].validation), "test": known(records[-1].test),
                         "seconds": sum(record.seconds for record in records)}
    return outcome


def judged(result):
    """How many labels are wrong by the estimate, and how well they were found, where any true labels are known."""
    P, given, truth = result.pred_probs, result.given, result.truth
    number, rate = quality.estimated_errors(quality.confident_joint(P, given))
    outcome = {"estimated_errors": number, "estimated_rate": rate}
    if truth is not None:
        rows = truth >= 0
        found = quality.detection((given != truth)[rows], quality.is_label_issue(given, result.suggested)[rows],
                                  quality.self_confidence(P, given)[rows])
        outcome["detection"] = {name: known(value) for name, value in found._asdict().items()}
    return outcome


def known(value):
    """value, or None for nan: JSON has no nan."""
    return None if isinstance(value, float) and math.isnan(value) else value
