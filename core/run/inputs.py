"""The inputs of a run: data set, given labels, and the Task made of them on the training's device."""
import numpy as np

from core import noise
from core.batches import Images, mean_image
from core.data import cifar10, digits, own
from core.data.label_files import read_labels, read_matrix
from core.data.source import open_source
from core.errors import need
from core.model import Task
from core.parallel.processors import available_processors
from core.run import folds


def read_data(config, source=None):
    """The Reading (core/data/own.py) of config.data; source: its Source, if already opened. Raises InputError."""
    source = source or open_source(config.data)
    if source.kind == "digits":
        reading = own.Reading(digits.load(config.seed, *config.digits))
    elif source.kind == "cifar10":
        data = cifar10.load(config.data, config.seed, config.subset)
        official = cifar10.is_official(config.data)
        reading = own.Reading(data if official else data._replace(name=f"{data.name} (not the official pixels)"))
    else:
        reading = own.load(config.data, config.seed, config.size or 32, config.held_out or 0, config.test, config.truth,
                           store=config.cache, jobs=config.ranks or available_processors(), listing=source.listing)
    data = reading.data
    if config.noise not in ("none", "labels") and data.train.truth is None:        # noise is added to labels that count
        data = data._replace(train=data.train._replace(truth=data.train.labels))   # as true
    need(data.train.truth is None or config.noise in ("none", "labels") or (data.train.truth >= 0).all(),
         f"--noise {config.noise} is made from the true labels of all images: give --truth for all, or leave out "
         "--noise")
    prior = config.recipe.prior
    need(isinstance(prior, str) or len(prior) == len(data.classes),
         f"--prior has {len(prior)} weights for {len(data.classes)} classes: give one for each")
    mapped = max((c for pair in (config.class_map or {}).items() for c in pair), default=0)
    need(mapped < len(data.classes), f"--map names class {mapped}: use 0 to {len(data.classes) - 1}")
    if config.folds:
        folds.check(config.folds, len(data.train.labels))
    data = data._replace(pad=data.pad * (config.augment in ("both", "crop")),
                         flip=data.flip and config.augment in ("both", "flip"))
    return reading._replace(data=data)


def given_labels(config, data):
    """The given labels (N,) int64: from the data, from a file, or the true labels with noise. Raises InputError."""
    truth, index, C, rate = data.train.truth, data.train.index, len(data.classes), config.rate
    rng = np.random.default_rng([config.seed, *b"noise"])
    return {
        "none": lambda: data.train.labels.copy(),
        "symmetric": lambda: noise.symmetric(truth, rate, C, rng),
        "symmetric-others": lambda: noise.symmetric_others(truth, rate, C, rng),
        "asymmetric": lambda: noise.asymmetric(truth, rate, config.class_map, rng),
        "pair": lambda: noise.pair_flip(truth, rate, C, rng),
        "matrix": lambda: noise.transition(truth, read_matrix(config.noise_file, C), rng),
        "labels": lambda: read_labels(config.noise_file, data.classes, data.rows or len(index), index)[index],
    }[config.noise]()


def as_task(data, seed, xp):
    """The Task of a DataSet, on the device of xp."""
    mean = mean_image(data.train.images)

    def shown(split):
        return Images(split.images, mean, data.pad, data.flip).on(xp)

    truth = data.train.truth
    truth = None if truth is None or (truth < 0).all() else xp.asarray(truth)
    return Task(shown(data.train), (shown(data.validation), xp.asarray(data.validation.labels)),
                (shown(data.test), xp.asarray(data.test.labels)), truth, seed)
