"""The run folder: its files, its lock, and its log.

    manifest.json          meaning and checksum of each file, definitions of its numbers (core/report/manifest.py)
    summary.json           key figures; written last, so a folder that has it is complete
    checkpoint.npz, checkpoint-previous.npz          until then: the state from which `resume` continues
    .lock                  held by the process that writes here; freed when that process ends
"""
import json
import os
import re
from contextlib import contextmanager
from pathlib import Path

from core.data.named_labels import divided
from core.errors import InputError, need
from core.files import check_writable, disk_errors, save_text, sync_folder
from core.report import written
from core.report.config import environment, places, settings
from core.report.manifest import WHAT
from core.report.numbers import known

COMPLETE = "summary.json"              # marks the folder as that of a complete run
FILES = (*WHAT, "checkpoint.npz", "checkpoint-previous.npz", "manifest.json", COMPLETE)
DECIDED = "cleaned_labels.csv"         # of `apply`: holds a person's decisions, so no run removes it
PREDICTED = "predictions.csv"          # of `predict`


def free_name(parent, name):
    """parent/name, or the first of parent/name-2, -3, ... that does not exist."""
    folder, number = Path(parent, name), 2
    while folder.exists():
        folder, number = Path(parent, f"{name}-{number}"), number + 1
    return folder


def taken(folder):
    """The name that free_name did not give because it is taken, or None."""
    found = re.fullmatch(r"(.+)-\d+", Path(folder).name)
    first = found and Path(folder).with_name(found[1])
    return first if first and first.exists() else None


def check_free(folder, config):
    """Raises InputError if the folder holds files that the run reads, or may not replace without config.force, or if
    nothing can be written there."""
    with disk_errors(folder):
        there = folder.exists()
        is_folder = folder.is_dir()
        used = is_folder and bool({*folder.iterdir()} - {folder / ".lock", *left_over(folder)})
    if there and not is_folder:
        raise InputError(f"{folder} is a file: choose another folder with --out")
    if used and not config.force:
        raise InputError(f"{folder} is not empty: choose another folder with --out, or replace the run in it by "
                         "--force")
    named = (divided(text)[0] for text in (config.truth, config.noise_file, config.labels) if text)
    for source in map(Path, filter(None, (config.data, config.test, config.features, config.backbone, *named))):
        needed = used and source.name in FILES and source.exists() and source.parent.samefile(folder)
        need(not needed, f"{source} is what the run needs and is never replaced: choose another folder with --out")
    if used:
        ours = check_own(folder) or {DECIDED, written.LEDGER} & {*os.listdir(folder)}
        need(ours, f"{folder} holds files and no run that --force could replace: choose another folder with --out")
    check_writable(folder)             # now, not after an hour of reading


def check_own(folder):
    """The names of the files that a run wrote.

    Raises InputError if another file has the name of a run's: it would be replaced.
    """
    with disk_errors(folder):
        ours = written.of_run(folder, FILES)
        others = {name for name in FILES if os.path.lexists(folder / name)} - ours
    for name in sorted(others):
        raise InputError(f"{folder / name} was not written by a run, or was changed since, and is never replaced: "
                         "choose another folder with --out, or move it")
    return ours


def left_over(folder):
    """Temporary files of ours (core/files.py) that killed processes left behind."""
    ours = {*FILES, DECIDED, PREDICTED, written.LEDGER}
    parts = ((path, re.fullmatch(r"\.(.+)\.\d+\.part", path.name)) for path in folder.glob(".*.part"))
    return [path for path, match in parts if match and match[1] in ours]


@contextmanager
def locked(folder):
    """Create the folder if missing, and lock it while the block runs.

    Raises InputError if another process holds it, or if a file of somebody else has the lock's name.
    """
    from filelock import FileLock, Timeout  # imported where needed: demo.py starts sooner

    lock = FileLock(folder / ".lock")
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / ".lock"
        need(not os.path.lexists(path) or (written.is_plain(path) and path.stat().st_size == 0),
             f"{path} is no lock of this program and is never replaced: choose another folder with --out")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(f"{folder} is in use by another process: wait until it has ended, or choose another "
                             "folder with --out") from None
    try:
        yield
    finally:
        lock.release()


def begin(folder, config):
    """Remove the files of an earlier run from the locked folder, and write config.json.

    Returns a line for each file of the earlier run that stays. Raises InputError for errors of the disk, and for files
    that no run wrote.
    """
    check_own(folder)
    with disk_errors(folder):
        stays = (folder / DECIDED).exists()
        if written.is_noted(folder, folder / PREDICTED):
            (folder / PREDICTED).unlink()
        (folder / COMPLETE).unlink(missing_ok=True)
        sync_folder(folder)                                  # before anything else of a complete run is gone
        for name in reversed(FILES):
            (folder / name).unlink(missing_ok=True)
        for path in left_over(folder):
            path.unlink()
    text = json.dumps({"settings": settings(config), "paths": places(config), "environment": environment()}, indent=2)
    save_text(folder / "config.json", text + "\n")
    return [f"note     {folder / DECIDED} stays: it follows from decisions on the run that was here before"] * stays


def is_complete(folder):
    """Whether the run in the folder is complete."""
    return (folder / COMPLETE).exists()


def go_on(folder, records):
    """Restore the log to the checkpoint and remove temporary files. The folder is locked. Raises InputError."""
    with disk_errors(folder):
        for path in left_over(folder):
            path.unlink()
    save_text(folder / "log.jsonl", "".join(map(line_of, records)))


def log(folder, record):
    """Append one epoch to log.jsonl; a full disk leaves no partial line. Raises InputError."""
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
    """An Epoch as a line of log.jsonl; unknown values are null."""
    return json.dumps({name: known(value) for name, value in record._asdict().items()}) + "\n"
