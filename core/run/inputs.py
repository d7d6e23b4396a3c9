"""The inputs of a run: data set and given labels."""
from pathlib import Path

import numpy as np

from core import noise
from core.data import cifar10, digits, own
from core.data.how import how_of
from core.data.label_files import read_labels, read_matrix
from core.data.listing import Listing
from core.data.source import open_source
from core.data.truth import read_truth
from core.errors import need
from core.parallel.processors import available_processors
from core.run import folds
from core.run.config import CIFAR

PIXELS = 32                            # to the side of own images; for features the files are decoded once more
LARGE = 224                            # of images to fine-tune a pretrained network on


def read_data(config, source=None):
    """The Reading (core/data/own.py) of config.data; source: its Source, if already opened. Raises InputError."""
    source = source or open_source(config.data, how_of(config))
    if source.kind == "digits":
        reading = own.Reading(digits.load(config.seed, *config.digits))
    elif source.kind in CIFAR:
        reading = own.Reading(read_cifar(config, source))
    else:
        size = config.size if config.size and (config.finetune or not config.backbone) else (
            LARGE if config.finetune else PIXELS)
        reading = own.load(config.data, config.seed, size, config.held_out or 0, config.test, config.truth,
                           store=config.cache, jobs=config.ranks or available_processors(), listing=source.listing,
                           how=how_of(config))
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


def read_cifar(config, source):
    """The DataSet of CIFAR-10 or CIFAR-100. Its labels count as true, or those of --truth do; of files that are not the
    official ones nobody knows what they are worth where no noise is added. Raises InputError."""
    data = cifar10.load(config.data, config.seed, config.subset, source.layout, config.label_column)
    official = cifar10.is_official(config.data, source.layout)
    if official is not True:
        data = data._replace(name=data.name + (" (binary version)" if official is None else " (not the official "
                                                                                            "files)"))
    truth = None
    if config.truth is not None:
        truth = read_truth(config.truth, Listing(Path(config.data), [], [], [], data.rows, []), data.classes)
    if truth is not None or official is False and config.noise == "none":
        data = data._replace(**{name: part._replace(truth=None if truth is None else truth[part.index])
                                for name, part in (("train", data.train), ("validation", data.validation))})
    return data


def given_labels(config, data):
    """The given labels (N,) int64: from the data, from a file, or the true labels with noise. Raises InputError."""
    truth, index, C, rate = data.train.truth, data.train.index, len(data.classes), config.rate
    rng = np.random.default_rng([config.seed, *b"noise"])
    known = None if truth is None or (truth < 0).any() else truth
    return {
        "none": lambda: data.train.labels.copy(),
        "symmetric": lambda: noise.symmetric(truth, rate, C, rng),
        "symmetric-others": lambda: noise.symmetric_others(truth, rate, C, rng),
        "asymmetric": lambda: noise.asymmetric(truth, rate, config.class_map, rng),
        "pair": lambda: noise.pair_flip(truth, rate, C, rng),
        "matrix": lambda: noise.transition(truth, read_matrix(config.noise_file, C), rng),
        "labels": lambda: read_labels(config.noise_file, data.classes, data.rows or len(index), index, known)[index],
    }[config.noise]()
