"""Runs that are there: in a folder of runs, or kept in docs/runs as one line of JSON each.

N training images. Accuracies are fractions; None where they are not known.
"""
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.data.label_files import read_labels
from core.errors import InputError
from core.measure import Epoch, of_training
from core.report.config import read_config
from core.report.numbers import known
from core.run import sweep
from core.run.resume import as_written
from core.run.state import identity

KEPT = Path(__file__).parents[1] / "docs" / "runs"
STEPS = ("joint", "retrain", "cross-entropy")
SURE = (0, 0.5, 0.7, 0.9, 0.99)        # confidence thresholds that corrections are scored at
DIGITS = 5                             # significant digits that are kept
CIFAR10 = 50_000                       # images in the training files, which a file of labels is about


class Run(NamedTuple):
    """A complete run."""
    line: str
    config: object                     # Config of its line
    summary: dict
    records: list                      # of Epoch, without their seconds where the run was kept
    scores: dict                       # {threshold as text: [precision, recall] of the corrections}
    about: dict                        # what it was made with


def read_run(line, config, folder):
    """The Run of a line in the folder of an experiment; None if it is not complete, or was another one."""
    path = Path(folder, sweep.folder_name(line))
    return None if refused(config, path) else read_folder(line, config, path)


def read_folder(line, config, folder):
    """The Run in a folder, or None if it is not complete."""
    folder = Path(folder)
    summary = sweep.outcome_in(folder)
    if summary is None:
        return None
    try:
        settings, environment = read_config(folder)
    except InputError:
        return None
    records = read_log(folder)
    scores = scores_of(folder, "soft_labels" if settings.get("posterior") else "pred_probs")
    return Run(line, config, summary, records, scores, environment) if records else None


def refused(config, folder):
    """Why the complete run in a folder cannot stand for a Config, as an error; None if it can, or if there is none.

    A folder is named after its line; the other settings, and the labels in a file, may have been others. Raises
    InputError for labels that cannot be read.
    """
    if sweep.outcome_in(folder) is None:
        return None
    try:
        changed = differences(identity(as_written(folder)), identity(config))
    except InputError as error:
        return str(error)
    if not changed and other_labels(config, folder):
        changed = [f"the labels of {config.noise_file}"]
    if changed:
        return f"{folder} holds a run that differs in {', '.join(changed)}: move it away, or choose another --out"
    log = folder / "log.jsonl"
    return None if read_log(folder) else f"{log} cannot be read: move the run away, or choose another --out"


def differences(before, now):
    """The names of settings that differ, those of the recipe among them."""
    flat = [{**settings, **settings["recipe"], "recipe": None} for settings in (before, now)]
    return [name for name in flat[1] if flat[0][name] != flat[1][name]]


def other_labels(config, folder):
    """Whether a run on labels from a file was made with others than are in that file, if it is there."""
    if config.noise != "labels" or not Path(config.noise_file).exists():
        return False
    index, given = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("index", "given_labels"))
    classes = (folder / "classes.txt").read_text(encoding="utf-8").splitlines()
    return not np.array_equal(read_labels(config.noise_file, classes, CIFAR10, index)[index], given)


def read_log(folder):
    """[Epoch] of a run folder's log, [] where there is none that can be read."""
    try:
        text = (folder / "log.jsonl").read_text(encoding="utf-8")
        return [record_of(json.loads(row)) for row in text.splitlines()]
    except (OSError, ValueError, TypeError):
        return []


def record_of(values):
    """The Epoch of a line of a log; null is nan where a number stands."""
    return Epoch(*(value if name in ("step", "fold") else math.nan if value is None else value
                   for name, value in ((name, values.get(name)) for name in Epoch._fields)))


def scores_of(folder, probabilities="pred_probs"):
    """{threshold: [precision, recall]} of the corrections that reach it; {} where the truth is not known.

    precision: the fraction of changed labels that are right now; recall: the fraction of wrong labels that are.
    probabilities: the array that is compared with the threshold; soft_labels is the noise posterior.
    """
    try:
        given, suggested, truth, P = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in (
            "given_labels", "suggested_labels", "true_labels", probabilities))
    except (OSError, ValueError):
        return {}
    chosen, found = P[np.arange(len(P)), suggested], {}
    for sure in SURE:
        changed = (suggested != given) & (chosen >= sure)
        right = (changed & (suggested == truth)).sum()
        found[f"{sure:g}"] = [known(float(right / changed.sum())) if changed.any() else None,
                              known(float(right / (given != truth).sum())) if (given != truth).any() else None]
    return found


# ---- kept runs -----------------------------------------------------------------------------------------------------

def kept_file(name, scale, folder=KEPT):
    """The file of the kept runs of an experiment at a scale."""
    return Path(folder) / f"{name}-{scale}.jsonl"


def read_kept(name, scale, configs, folder=KEPT):
    """[Run] that are kept; configs: {line: Config}. A line that the experiment no longer has is left out."""
    path, found = kept_file(name, scale, folder), []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        values = json.loads(text)
        if values["line"] in configs:
            columns = values["epochs"]
            rows = ({**{name: column[i] for name, column in columns.items()}, "step": STEPS[columns["step"][i]]}
                    for i in range(len(columns["step"])))
            found.append(Run(values["line"], configs[values["line"]], values["summary"], list(map(record_of, rows)),
                             values["scores"], values["about"]))
    return found


def text_of(run):
    """A Run as one line of JSON: its log by columns, to five significant digits, without those of the folds."""
    records = [record for record in run.records if record.fold is None]
    columns = {name: [brief(getattr(record, name)) for record in records]
               for name in Epoch._fields if name not in ("fold", "seconds")}
    columns["step"] = [STEPS.index(record.step) for record in records]
    about = {name: run.about[name] for name in ("python", "numpy", "commit", "pixels") if run.about.get(name)}
    return json.dumps({"line": run.line, "about": about, "summary": run.summary, "scores": run.scores,
                       "epochs": columns})


def brief(value):
    """A number to five significant digits; nan is None."""
    return known(float(f"{value:.{DIGITS}g}")) if isinstance(value, float) else value


# ---- what is asked of a run ----------------------------------------------------------------------------------------

def at_best(run, step, field):
    """The field at the epoch of the best validation accuracy, the first of equals; None without such a step."""
    records = [record for record in of_training(run.records, step) if not math.isnan(record.validation)]
    return known(getattr(max(records, key=lambda record: record.validation), field)) if records else None


def at_last(run, step, field):
    """The field after the last epoch; None without such a step."""
    records = of_training(run.records, step)
    return known(getattr(records[-1], field)) if records else None


def groups(runs):
    """{line without its seed: [Run]}, in the order of the lines."""
    found = {}
    for run in runs:
        found.setdefault(sweep.without_seed(run.line), []).append(run)
    return found
