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

import numpy as np

from core.backend import to_device, to_host, xp_of
from core.errors import need
from core.files import load_sealed, previous, recover, save_sealed
from core.measure import Epoch
from core.report.config import environment, read_config, settings
from core.run import folder as run_folder

FORMAT = [3, *Epoch._fields]
FILE = "checkpoint.npz"
WHERE = ("gpu", "kernels", "ranks", "out", "force", "cache")    # where to compute, not what: may change on resuming
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
        what_it_is = about(saved)
        need(what_it_is["format"] == FORMAT,
             f"{self.path} was written by another version of this program: resume it with that version")
        for key, what in (("settings", "its config.json is"), ("data", "the data or the given labels are")):
            need(what_it_is[key] == self.origin[key],
                 f"{self.path.parent} cannot be resumed: {what} not the same as when it began; put back what was "
                 "there, or start a new run")
        self.records = [Epoch(*values) for values in what_it_is["records"]]
        for name in saved.keys() - {"about"}:
            step, _, key = name.rpartition(".")
            self.steps.setdefault(step, {})[key] = saved[name]

    def restore(self, step, model, labels):
        """Restore model and labels of a saved step. Raises InputError if they belong to another network."""
        saved = self.steps.get(step, {})
        for name, array in saved.items():
            held = arrays_of(model, labels)[name]
            need(held.shape == array.shape and held.dtype == array.dtype,
                 f"{self.path} is of another network: start a new run")
            if name == "epochs":
                labels.epochs = int(array)
            elif name in ("Y", "s"):
                setattr(labels, name, to_device(array, xp_of(labels.Y)))
            else:
                held[...] = to_device(array, xp_of(held))

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
    """Delete the checkpoints of a complete run."""
    for path in (folder / FILE, previous(folder / FILE)):
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
    """The fingerprint of all training, validation and test data."""
    splits = data.train, data.validation, data.test
    arrays = (array for split in splits for array in (split.images, split.labels, split.truth))
    return fingerprint(data.classes, given, data.train.index, *arrays)


def about(saved):
    """The JSON entry `about` of a checkpoint."""
    return json.loads(saved["about"].tobytes())


def arrays_of(model, labels):
    """The arrays that make up the state of one step."""
    return {"theta": model.theta.buffer, "running": model.running.buffer, "velocity": model.velocity,
            "Y": labels.Y, "s": labels.s, "ring": labels.ring, "epochs": np.array(labels.epochs)}
