"""Dry run: checks the data and estimates time and memory by a few measured training steps.

N training images, C classes, K slots of the ring of predictions.
"""
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core import backend, train
from core.labels import SoftLabels, one_hot
from core.measure import predictions
from core.model import fresh_model
from core.parallel.launch import launch
from core.parallel.processors import available_processors
from core.recipes import shortened
from core.report.findings import class_table, lines_about, stored_sizes
from core.run.description import advice, quick_run
from core.run.network import network_of
from core.run.seen import size_of, with_features
from core.run.task import as_task
from nets.families import HEADS

try:
    import resource
except ImportError:                    # Windows does not have it
    resource = None

FEW_SEEN = 64                          # images that a pretrained network is timed on

class Trial(NamedTuple):
    """Time and memory of a few training steps."""
    training: float                    # seconds per image in training
    looking: float                     # seconds per image in inference
    peak: int                          # peak memory of the process in bytes, images included; 0 if unknown
    ranks: int
    notes: tuple = ()                  # remarks of the measured network
    seeing: float = 0                  # seconds per image of a pretrained network on all processors
    features: int = 0                  # bytes per training image


def report(config, reading, given):
    """(lines of text, whether the run fits into memory).

    reading, given: Reading and labels of the run, without features.
    """
    if config.features is not None:
        reading = with_features(config, reading)
    data = reading.data
    lines = [f"{data.name}: {len(given)} training, {len(data.validation.labels)} validation, "
             f"{len(data.test.labels)} test images, {len(data.classes)} classes",
             *class_table(data, config.recipe.prior)]
    if reading.shapes is not None:
        lines += ["", f"read in {duration(reading.seconds)}; {stored_sizes(reading.shapes)}; {shown(config, reading)}",
                  *reading.notes, *lines_about(reading.findings)]
    tried = trial(config, reading, given)
    more, possible = memory_lines(config, data, tried)
    times = time_lines(config, data, tried) + quick_lines(config, data, tried, reading)
    return [*lines, "", *tried.notes, *times, *more, *advice(config, data)], possible


def shown(config, reading):
    """What the network sees of the images, in words."""
    if config.features is not None:
        return f"the network sees the features in {config.features}"
    H, W = reading.data.train.images.shape[1:3]
    if config.backbone is not None and not config.finetune:
        H = W = size_of(config, reading)
    return f"shown to the network as {W} x {H}"


def trial(config, reading, given):
    """The Trial of the run's network on the first images.

    Of two training epochs of up to two steps and two inference passes the first are the warm-up, the second count.
    """
    xp = np if config.gpu is None else backend.use_gpu(config.gpu, config.precision)
    data, rows, seeing = reading.data, np.arange(min(2 * config.recipe.batch, len(given))), 0
    if config.backbone is not None and not config.finetune:
        data, seeing = few_seen(config, reading, xp)
    nothing = data.train.take(rows[:0])
    small = data._replace(train=data.train.take(rows % len(data.train.labels)), validation=nothing, test=nothing)
    recipe = config.recipe._replace(epochs=2, begin=2, K=1)

    steps = partial(trial_of_rank, config=config, data=small, given=given[rows], recipe=recipe, seeing=seeing)
    return launch(partial(steps, xp=xp), config.ranks if config.gpu is None else 1, portable=steps)


def trial_of_rank(comm, config, data, given, recipe, seeing, xp=np):
    """The Trial of one rank."""
    task, notes = as_task(data, config.seed, xp), []
    arch, (net, theta_epoch, prepare) = network_of(config, data, xp, comm, notes.append)
    model = fresh_model(net, arch, np.random.default_rng(config.seed), xp, comm)
    labels = SoftLabels(one_hot(backend.to_device(given, xp), len(data.classes)), 1)
    prepare(arch, task.train, len(labels.Y), recipe)
    *_, last = train.joint_optimization(model, task, labels, recipe, theta_epoch=theta_epoch)
    for _ in range(2):                                       # the first pass on a GPU includes compilation
        start = time.perf_counter()
        backend.to_host(predictions(model, task.train))
    looking = time.perf_counter() - start
    stored = 0 if data.train.features is None else data.train.features[0].nbytes
    return Trial(last.seconds / len(given), looking / len(given), peak_memory(), comm.size, notes, seeing, stored)


def few_seen(config, reading, xp):
    """(the DataSet of the first images with their features, seconds for one on all processors)"""
    jobs, rows = config.ranks or available_processors(), np.arange(min(FEW_SEEN, len(reading.data.train.labels)))
    data = reading.data
    nothing = data.train.take(rows[:0])
    few = reading._replace(data=data._replace(train=data.train.take(rows), validation=nothing, test=nothing))
    start = time.perf_counter()
    seen = with_features(config._replace(test=None, cache=None, ranks=1), few, xp)
    return seen.data, (time.perf_counter() - start) / len(rows) / (jobs if xp is np else 1)


def time_lines(config, data, tried):
    """The time of an epoch, of the whole run, and of features that a pretrained network has to make before it."""
    recipe, N = config.recipe, len(data.train.labels)
    epoch = tried.training * N + tried.looking * (len(data.validation.labels) + len(data.test.labels))
    steps = recipe.epochs + recipe.epochs2
    epochs, others = steps * (2 if config.compare else 1), config.folds or 1
    within = recipe.epochs if config.net in HEADS else steps                           # core/run/experiment.py
    seeing = tried.seeing * (N + len(data.validation.labels) + len(data.test.labels))
    total = epochs * epoch + (others - 1) * within * tried.training * N + seeing       # core/run/folds.py
    processes = f"{tried.ranks} process{'es' * (tried.ranks > 1)}" if config.gpu is None else f"GPU {config.gpu}"
    return [f"time     about {duration(epoch)} an epoch on {processes}, {duration(total)} for all {epochs} epochs"
            + (f" and those of {config.folds} folds" if config.folds else "")
            + (f", {duration(seeing)} of it for the features of {config.backbone}" if tried.seeing else "")]


def quick_lines(config, data, tried, reading):
    """What a first look at own images takes, and how to ask for it."""
    option = quick_run(config)
    if not option or reading is None or reading.shapes is None:
        return []
    short = config._replace(recipe=shortened(config.recipe, int(option.split()[1])), folds=None, compare=False)
    return [f"quick    {option} gives a first list: {time_lines(short, data, tried)[0].partition(', ')[2]}"]


def memory_lines(config, data, tried):
    """(lines about the memory that the run needs, whether the machine has it)."""
    N, C = len(data.train.labels), len(data.classes)
    splits = data.train, data.validation, data.test
    images = sum(split.images.nbytes + tried.features * len(split.labels) for split in splits)
    ring = 4 * N * C * min(config.recipe.K, config.recipe.epochs)
    labels = ring + 4 * 4 * N * C                            # Y, the given labels, the mean over the ring, the new Y
    fold, kept = fold_memory(data.train, labels, C, config.folds, tried.features) if config.folds else (0, 0)
    processes = max(0, tried.peak - images)                  # program and network, in each process
    needed, there = images + kept + tried.ranks * (labels + fold + processes), free() + tried.peak
    shared = f", all but the images in each of {tried.ranks} processes" if tried.ranks > 1 else ""
    of_a_fold = f"a fold {size(fold)}, " if fold else ""
    what = "images and features" if tried.features else "images"
    lines = [f"memory   about {size(needed)}: {what} {size(images)}, predictions of {config.recipe.K} epochs "
             f"{size(ring)}, {of_a_fold}program and network {size(processes)}{shared}"]
    possible = config.gpu is not None or not tried.peak or needed <= there
    if not possible:
        lines.append(f"This machine has {size(there)} for it, which is not enough: choose a smaller --size, --K or "
                     "--batch, or fewer --ranks")
    return lines, possible


def fold_memory(train, labels, C, K, features=0):
    """(bytes of one of K folds beside the labels of the whole run, bytes of the completed folds for the checkpoint).

    labels: bytes of the labels of the whole run; features: bytes of those of one image. Training a fold takes the
    images and labels of all other folds, and predicting takes its own images as well.
    """
    part = (K - 1) / K
    split = sum(array.nbytes for array in train if array is not None) + features * len(train.labels)
    return round(split + part * labels), round(K * part * 2 * 4 * len(train.labels) * C)      # Y and s


# ---- the machine ---------------------------------------------------------------------------------------------------

def peak_memory():
    """Peak memory of this process in bytes; 0 if the system does not report it."""
    if resource is None:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * 1024 if Path("/proc").exists() else peak   # kilobytes on Linux, bytes on a Mac


def free(meminfo=Path("/proc/meminfo"), groups=Path("/sys/fs/cgroup")):
    """Bytes of memory that a process can still allocate; infinite if the system does not report them."""
    found = [float("inf")]
    if meminfo.exists():
        fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
        found.append(1024 * int(fields["MemAvailable"].split()[0]))
    limit, used = groups / "memory.max", groups / "memory.current"
    if limit.exists() and used.exists() and limit.read_text().strip() != "max":      # of a container
        found.append(int(limit.read_text()) - int(used.read_text()) + reclaimable(groups / "memory.stat"))
    return min(found)


def reclaimable(stat):
    """Bytes that a container uses to remember files, such as images just read, and gives back when they are wanted."""
    fields = dict(line.split(" ", 1) for line in stat.read_text().splitlines()) if stat.exists() else {}
    return int(fields.get("inactive_file", 0))


def size(count):
    """Bytes in words: 1.2 GB"""
    unit = next((unit for unit in ((1e9, "GB"), (1e6, "MB")) if count >= unit[0]), (1e3, "kB"))
    return f"{count / unit[0]:.2g} {unit[1]}" if count < 10 * unit[0] else f"{count / unit[0]:.0f} {unit[1]}"


def duration(seconds):
    """Seconds in words: 12 s, 3 min, 2 h 5 min"""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
