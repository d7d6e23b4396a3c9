"""The checkpoint of a run: everything that a resumed run needs to continue exactly as if uninterrupted.

    <step>.theta, .running, .velocity     flat buffers of the step's network, as in core/train.py
    <step>.Y, .s, .ring, .epochs          its SoftLabels
    about                                 JSON: the records of all epochs, and fingerprints of settings and data

No state of a random generator is saved: order, crops and flips are functions of (seed, epoch). A completed step keeps
neither velocity nor ring. The file is sealed (core/files.py): RUN/checkpoint.npz, beside the previous one.
"""
import hashlib
import json
import time
from contextlib import suppress

import numpy as np

from core.backend import to_device, to_host, xp_of
from core.errors import InputError, need
from core.files import load_sealed, previous, recover, save_sealed
from core.measure import Epoch, training_name
from core.report.config import PLACES, environment, read_config, settings
from core.report.console import TITLES
from core.run import folder as run_folder

FORMAT = [4, *Epoch._fields]
FILE = "checkpoint.npz"
WHERE = ("gpu", "kernels", "ranks", "out", "force", "cache", *PLACES)   # where, not what: may change on resuming
REQUIRED = {"theta", "running", "Y", "s", "epochs"}
FOREIGN = "holds what no run writes: start a new run"
SHARE = 0.01             # largest share of the run time for checkpoints, not counting those that end a step


class Progress:
    """The progress of a run, with its checkpoint at `path`; without a path nothing is saved."""

    def __init__(self, path, origin):
        self.path, self.origin = path, origin
        self.records, self.steps = [], {}                    # steps: {name: {array's name: array}}, on the host
        self.next_save = 0.0

    def load(self):
        """Load the checkpoint, if there is one. Raises InputError if it belongs to another run."""
        if not self.path.exists():
            return
        saved = load_sealed(self.path)
        what_it_is = about(saved, self.path)
        need(what_it_is["format"] == FORMAT,
             f"{self.path} was written by another version of this program: resume it with that version")
        for key, what in (("settings", "its config.json is"), ("data", "the data or the given labels are")):
            need(what_it_is[key] == self.origin[key],
                 f"{self.path.parent} cannot be resumed: {what} not the same as when it began; put back what was "
                 "there, or start a new run")
        self.records = what_it_is["records"]
        for name in saved.keys() - {"about"}:
            step, _, key = name.rpartition(".")
            self.steps.setdefault(step, {})[key] = saved[name]

    def restore(self, step, model, labels):
        """Restore model and labels of a saved step.

        Raises InputError if they belong to another network, or if no training leaves such arrays.
        """
        saved, held = self.steps.get(step, {}), arrays_of(model, labels)
        done = sum(training_name(record.step, record.fold) == step for record in self.records)
        need(not saved or REQUIRED <= saved.keys() <= held.keys(), f"{self.path} {FOREIGN}")
        for name, array in saved.items():
            need(held[name].shape == array.shape and held[name].dtype == array.dtype,
                 f"{self.path} is of another network: start a new run")
            need(possible(name, array, done), f"{self.path} {FOREIGN}")
            if name == "epochs":
                labels.epochs = int(array)
            elif name in ("Y", "s"):
                setattr(labels, name, to_device(array, xp_of(labels.Y)))
            else:
                held[name][...] = to_device(array, xp_of(held[name]))

    def completed(self, step, model, labels, record, last):
        """Add the record of an epoch; save a checkpoint at the end of a step, else as often as SHARE allows.

        Raises InputError for errors of the disk.
        """
        self.records.append(record)
        if self.path is None or not (last or time.monotonic() >= self.next_save):
            return
        start = time.monotonic()
        self.steps[step] = {name: to_host(array) for name, array in arrays_of(model, labels).items()
                            if not (last and name in ("velocity", "ring"))}
        text = json.dumps({"format": FORMAT, **self.origin, "records": self.records})
        arrays = {f"{step}.{name}": array for step, named in self.steps.items() for name, array in named.items()}
        save_sealed(self.path, {**arrays, "about": np.frombuffer(text.encode(), np.uint8)})
        self.next_save = time.monotonic() + (time.monotonic() - start) / SHARE


def opened(folder, config, data, given, comm, resume):
    """(Progress to start from, lines to print) on every rank: of a new run, or with `resume` of the run in the folder.

    Rank 0 holds the folder's lock. Without a folder nothing is written. Raises InputError.
    """
    first, notes = comm.rank == 0, []
    origin = {"settings": fingerprint(identity(config)), "data": fingerprint_of_data(data, given), "ranks": comm.size}
    progress = Progress(folder and folder / FILE, origin)
    if resume:
        if first and recover(progress.path):
            notes += ["note     the newest checkpoint was damaged: the one before it is used"]
        comm.barrier()
        progress.load()
        notes += [f"resumed  {how_far(progress.records)}", *(changes(folder, config) if first else [])]
    elif first and folder:
        run_folder.check_free(folder, config)                # again: another run may have started meanwhile
    if first and folder and progress.records:
        run_folder.go_on(folder, progress.records)
    elif first and folder:
        notes += run_folder.begin(folder, config._replace(ranks=comm.size))
    return progress, notes


def identity(config):
    """The settings that determine the result."""
    return {name: value for name, value in settings(config).items() if name not in WHERE}


def changes(folder, config):
    """[a line that names the changes of environment since the run in the folder began], or []. Raises InputError."""
    began, before = read_config(folder)
    changed = [name for name, value in environment().items() if name != "date" and value != before.get(name)]
    changed += ["--kernels"] * (began.get("kernels") != config.kernels)
    return [f"note     not as when the run began: {', '.join(changed)}; the last bits may differ"] if changed else []


def remove(folder):
    """Delete the checkpoints of a complete run, where the disk lets: they do no harm."""
    for path in (folder / FILE, previous(folder / FILE)):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def how_far(records):
    """The last epoch in words."""
    if not records:
        return "at its beginning"
    step, fold, epoch, *_ = records[-1]
    names = {"joint": "step 1", "retrain": "step 2", "cross-entropy": "the comparison"}
    return f"after epoch {epoch} of {names.get(step, step)}" + ("" if fold is None else f" in fold {fold}")


def fingerprint(*values):
    """The SHA-256 of arrays and JSON values, in hexadecimal digits."""
    sha = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            sha.update(f"{value.dtype.str} {value.shape}".encode())
            for start in range(0, len(value), 4096):         # in parts: memory may not hold a copy
                sha.update(value[start:start + 4096].tobytes())
        else:
            sha.update(json.dumps(value, sort_keys=True).encode())
    return sha.hexdigest()


def fingerprint_of_data(data, given):
    """The fingerprint of all training, validation and test data, and of the names that the outcome tells them by.

    Features that a backbone computed follow from images and weights, up to their last bits: another machine may
    resume.
    """
    splits = data.train, data.validation, data.test
    arrays = [array for split in splits for array in (split.images, split.labels, split.truth)]
    features = [] if data.backbone else [split.features for split in splits]
    backbone = data.backbone and {**data.backbone, "file": None}             # the weights may have moved
    checked = [] if data.train.checked is None else [data.train.checked]
    return fingerprint(data.classes, given, data.train.index, data.train.paths, backbone, *arrays, *features, *checked)


def about(saved, path=FILE):
    """The JSON entry `about` of a checkpoint at `path`, with Epochs as its records.

    Raises InputError where there is none as a run writes it.
    """
    try:
        found = json.loads(saved["about"].tobytes())
        need(isinstance(found, dict) and {"format", "settings", "data", "records"} <= found.keys(), "")
        if found["format"] != FORMAT:
            return {**found, "records": []}
        records = [Epoch(*values) for values in found["records"]]
        need(all(map(is_epoch, records)), "")
    except (KeyError, TypeError, ValueError, RecursionError, InputError):
        raise InputError(f"{path} {FOREIGN}") from None
    return {**found, "records": records}


def is_epoch(record):
    """Whether the values of an Epoch have the types and ranges of those that a training yields."""
    whole = [record.epoch, record.changed, *([] if record.fold is None else [record.fold])]
    numbers = [value for name, value in record._asdict().items() if name not in ("step", "fold")]
    return (record.step in TITLES and all(type(x) is int and 0 <= x < 1e9 for x in whole) and record.epoch >= 1
            and all(type(x) in (int, float) for x in numbers))


def possible(name, array, done):
    """Whether a training of `done` epochs can have left the array of that name."""
    if name == "epochs":
        return int(array) == done
    if name in ("Y", "s", "ring") and not ((array >= 0) & (array <= 1 + 1e-5)).all():
        return False
    return bool(np.isfinite(array).all()) and (name != "Y" or np.allclose(array.sum(axis=1), 1, atol=1e-3))


def arrays_of(model, labels):
    """The arrays that make up the state of one step."""
    return {"theta": model.theta.buffer, "running": model.running.buffer, "velocity": model.velocity,
            "Y": labels.Y, "s": labels.s, "ring": labels.ring, "epochs": np.array(labels.epochs)}
