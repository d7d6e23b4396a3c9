"""One experiment from beginning to end: data, noise, step 1, step 2, files.  `run(config)` is a function for anybody to call."""
import math
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core import backend, folds, noise, quality, state, train
from core.data import cifar10, digits, own
from core.data.batches import Images, mean_image
from core.data.labels import read_labels, read_matrix
from core.errors import need
from core.labels import SoftLabels, one_hot
from core.launch import launch
from core.processors import available_processors
from core.recipes import Recipe
from core.report import folder as run_folder
from core.report.findings import told
from nets import preact_resnet
from nets.preact_resnet import Architecture
from nets.preact_resnet_fast import FastNet
from nets.preact_resnet_gpu import net_for

NETS = {                               # widths and blocks of each stage
    "paper": dict(widths=(32, 64, 128), blocks=(5, 5, 5)),          # PreAct ResNet-32
    "medium": dict(widths=(32, 64, 128), blocks=(1, 1, 1)),
    "small": dict(widths=(16, 32, 64), blocks=(1, 1, 1)),
}
RATED = ("symmetric", "symmetric-others", "asymmetric", "pair")
AUGMENTS = ("both", "crop", "flip", "none")
FROM_FILE = ("matrix", "labels")
NOISES = (*RATED, *FROM_FILE, "none")


class Config(NamedTuple):
    """Everything that decides the outcome of a run."""
    recipe: Recipe
    data: str = "digits"               # or the path of CIFAR-10, of a folder of images, or of a table of them
    subset: int = None                 # of CIFAR-10's training images; None: all
    size: int = None                   # pixels to the side of own images; None: 32
    test: str = None                   # own test images, a folder or table
    truth: str = None                  # file of true labels of own images
    held_out: float = None             # part of own images for validation; None: 0
    cache: str = None                  # folder that keeps decoded images
    noise: str = "symmetric"           # one of NOISES
    rate: float = 0.5                  # None for the kinds of noise that have no rate
    noise_file: str = None             # for matrix and labels
    class_map: dict = None             # for asymmetric
    augment: str = "both"              # images are shown shifted ("crop"), mirrored ("flip"), both, or as they are ("none")
    sure: float = 0                    # a label is corrected only where the new one has at least this probability
    net: str = "small"                 # one of NETS
    gpu: int = None                    # device number; None: NumPy
    precision: str = "tf32"            # of matrix products on the GPU, one of backend.PRECISIONS
    kernels: str = None                # own CUDA kernels that store half or float; None: CuPy's array functions
    ranks: int = None                  # processes that share the training on the CPU; None: one for each available processor
    seed: int = 0
    folds: int = None                  # out-of-sample probabilities by so many folds; None: those of step 1
    compare: bool = False              # add plain cross-entropy on the given labels
    digits: tuple = (4000, 500, 1000)  # training, validation and test images of the embedded data
    out: str = None                    # the run folder; None: nothing is written
    force: bool = False                # replace a run that is there


class Result(NamedTuple):
    """The outcome, as NumPy arrays; N training images, C classes."""
    records: list                      # of train.Record, all trainings one after another
    classes: tuple
    images: np.ndarray                 # (N, H, W, 3) uint8
    index: np.ndarray                  # (N,) row of each in its source
    paths: np.ndarray                  # (N,) str, or None where the images are no single files
    given: np.ndarray                  # (N,)
    truth: np.ndarray                  # (N,), or None where it is not known
    suggested: np.ndarray              # (N,) argmax of the soft labels
    corrected: np.ndarray              # (N,) the same where it is sure enough, else the given label
    soft: np.ndarray                   # (N, C)
    pred_probs: np.ndarray             # (N, C) what the last update of the labels was made from, or out-of-sample by config.folds
    weights: dict                      # of the network of step 2, with its running statistics
    initial: float                     # fraction of the given labels that are correct; nan where the truth is not known
    recovery: float                    # of the corrected ones


def run(config, watch=lambda records, epochs, step: records, say=lambda text: None, resume=False):
    """Run the experiment and return its Result.

    watch(records, epochs, step) is put around every training and has to pass its records on; say(text) hears what is to be said
    before. Files go to config.out; resume: from the state of the run that is there. Raises InputError for whatever the caller has
    to mend.
    """
    check(config)
    xp = np if config.gpu is None else backend.use_gpu(config.gpu, config.precision)
    folder = None if config.out is None else Path(config.out)
    if folder and not resume:
        run_folder.check_free(folder, config)
    reading = read_data(config)
    data, given = reading.data, given_labels(config, reading.data)

    def main(comm):
        if comm.rank == 0 and (found := [*reading.notes, *told(reading.findings)]):
            say("\n".join(found))
        with run_folder.locked(folder) if folder and comm.rank == 0 else nullcontext():
            outcome = trained(config, data, given, xp, comm, folder, watch, say, resume)
            return finished(config, data, given, folder, *outcome) if comm.rank == 0 else None

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):      # a loss that overflows is answered by one sentence
        return launch(main, config.ranks if config.gpu is None else 1)


def trained(config, data, given, xp, comm, folder, watch, say, resume=False):
    """Both steps, on every rank: (records, soft labels Y (N, C), what their last update was made from s (N, C), s or the
    out-of-sample probabilities (N, C), weights of step 2's network).

    Rank 0 speaks and writes for all.
    """
    first, recipe = comm.rank == 0, config.recipe
    comm.barrier()                     # nobody looks whether the folder is free any more
    progress, notes = state.opened(folder, config, data, given, comm, resume)
    if first:
        say("\n".join([description(config, data, given, comm.size), *notes]))
    arch = Architecture(classes=len(data.classes), **NETS[config.net])
    net = network(config, arch, xp, comm, say)
    task = as_task(data, config.seed, xp)

    def training(train_on, task, labels, step, epochs, *args):
        model = train.fresh_model(net, arch, np.random.default_rng([config.seed, *step.encode()]), xp, comm)
        progress.restore(step, model, labels)
        if labels.epochs < epochs:
            if hasattr(net, "prepare"):                        # nets/preact_resnet_gpu.py: before the first epoch's clock starts
                net.prepare(arch, task.train, len(labels.Y), recipe)
            epoch_records = (record._replace(step=step) for record in train_on(model, task, labels, *args, done=labels.epochs))
            for record in watch(epoch_records, epochs, step) if first else epoch_records:
                if first and folder:
                    run_folder.log(folder, record)
                if first:
                    progress.completed(step, model, labels, record, last=record.epoch == epochs)
        return model

    def step_1(task, given, fold=""):
        labels = SoftLabels(one_hot(backend.to_device(given, xp), len(data.classes)), min(recipe.K, recipe.epochs))
        training(train.joint_optimization, task, labels, f"{fold}joint", recipe.epochs, recipe)
        return labels

    def step_2(task, labels, fold=""):
        return training(train.retrain, task, SoftLabels(labels.Y, 1), f"{fold}retrain", recipe.epochs2, recipe)

    def learn(data, given, fold):
        task, fold = as_task(data, config.seed, xp), f"fold{fold}."
        return step_2(task, step_1(task, given, fold), fold)

    labels = step_1(task, given)
    Y, s = backend.to_host(labels.Y), backend.to_host(labels.s)
    if first and folder:
        run_folder.save_labels(folder, data, given, Y, s, config)
    model, P = step_2(task, labels), s
    if config.folds:
        P = folds.out_of_sample(data, given, config.folds, config.seed, learn)
        if first and folder:
            run_folder.save_probabilities(folder, data, given, Y.argmax(axis=1), P)
    if config.compare:
        plain = baseline(recipe)
        training(train.retrain, task, SoftLabels(labels.given, 1), "cross-entropy", plain.epochs2, plain, "cross-entropy")
    weights = {**model.theta.views, **model.running.views}
    return progress.records, Y, s, P, {name: backend.to_host(array) for name, array in weights.items()}


def finished(config, data, given, folder, records, Y, s, P, weights):
    """The Result of what was trained, with its files."""
    truth, suggested = data.train.truth, Y.argmax(axis=1)
    corrected = quality.corrected(given, suggested, s, config.sure)
    result = Result(records, data.classes, data.train.images, data.train.index, data.train.paths, given, truth, suggested, corrected,
                    Y, P, weights, correct(given, truth), correct(corrected, truth))
    if folder:
        made = "" if config.noise == "none" else f", noise: {config.noise}"           # none was made: there may be some
        run_folder.finish(folder, result, config, data.name + made)
        state.remove(folder)
    return result


def check(config):
    """InputError for settings that cannot be meant. Names are those of the command line."""
    r = config.recipe
    need(config.noise in NOISES and config.net in NETS, f"the noise must be one of {NOISES} and the net one of {tuple(NETS)}")
    need(config.noise not in RATED or (config.rate is not None and 0 <= config.rate <= 1),
         f"--rate {config.rate}: the rate is a fraction between 0 and 1, for example 0.5")
    need((config.noise in FROM_FILE) == (config.noise_file is not None),
         "--noise matrix and --noise labels need --noise-file FILE, and the other kinds of noise take none")
    need((config.noise == "asymmetric") == (config.class_map is not None),
         "--noise asymmetric needs a --map, for example --map 1:7,7:1,3:8,5:6,4:9, and the other kinds of noise take none")
    need(config.folds is None or config.folds >= 2, f"--folds {config.folds}: choose 2 or more, for example 5")
    need(config.augment in AUGMENTS, f"--augment {config.augment}: choose one of {', '.join(AUGMENTS)}")
    need(0 <= config.sure <= 1, f"--sure {config.sure}: give a probability, 0 to 1")
    need(config.seed >= 0, f"--seed {config.seed}: the seed is a whole number from 0 on")
    is_own = config.data != "digits" and not own.is_cifar(config.data)
    need(config.subset is None or not (is_own or config.data == "digits"), "--subset is for CIFAR-10 (--data PATH)")
    need(is_own or (config.size, config.test, config.truth, config.held_out, config.cache) == (None,) * 5,
         "--size, --test, --truth, --held-out and --cache are for your own images (--data PATH)")
    need(config.kernels is None or config.gpu is not None, "--kernels is for --gpu")
    need(config.precision in backend.PRECISIONS, f"--precision {config.precision}: choose {' or '.join(backend.PRECISIONS)}")
    need(config.ranks is None or (1 <= config.ranks <= 1024 and config.gpu is None),
         f"--ranks {config.ranks}: choose 1 or more, and leave it away with --gpu")
    need(0 < r.lr < math.inf and 0 < r.lr2 < math.inf, f"--lr {r.lr:g}: the learning rate must be a positive number")
    need(0 <= r.alpha < math.inf and 0 <= r.beta < math.inf, "--alpha and --beta must be numbers >= 0")
    need(min(r.K, r.batch, r.epochs, r.epochs2) >= 1, "--K, --batch and --epochs must be at least 1")
    need(1 <= r.begin <= r.epochs, f"--begin {r.begin}: the labels are first updated after one of the {r.epochs} epochs of step 1")
    number = r.update.removeprefix("hard-")
    need(r.update in ("soft", "hard") or (number != r.update and number.isdecimal() and int(number) >= 1),
         f"--update {r.update}: choose soft, hard, or hard- and a number, for example hard-50")


def read_data(config):
    """Reading (core/data/own.py) of the data that the configuration names."""
    if config.data == "digits":
        reading = own.Reading(digits.load(config.seed, *config.digits))
    elif own.is_cifar(config.data):
        data = cifar10.load(config.data, config.seed, config.subset)
        official = cifar10.is_official(config.data)
        reading = own.Reading(data if official else data._replace(name=f"{data.name} (not the official pixels)"))
    else:
        reading = own.load(config.data, config.seed, config.size or 32, config.held_out or 0, config.test, config.truth,
                           store=config.cache, jobs=config.ranks or available_processors())
    data = reading.data
    if config.noise not in ("none", "labels") and data.train.truth is None:        # labels that are made wrong on purpose are
        data = data._replace(train=data.train._replace(truth=data.train.labels))   # taken to be true before
    need(data.train.truth is None or config.noise in ("none", "labels") or (data.train.truth >= 0).all(),
         f"--noise {config.noise} is made from the true labels of all images: give --truth for all, or leave --noise away")
    prior = config.recipe.prior
    need(isinstance(prior, str) or len(prior) == len(data.classes), f"--prior has {len(prior)} weights for {len(data.classes)} "
         "classes: give one for each")
    if config.folds:
        folds.check(config.folds, len(data.train.labels))
    data = data._replace(pad=data.pad * (config.augment in ("both", "crop")), flip=data.flip and config.augment in ("both", "flip"))
    return reading._replace(data=data)


def given_labels(config, data):
    """The labels to work with (N,) int64: those of the data, of a file, or made from the true ones as the configuration says."""
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
    """The splits as the training wants them, on the device."""
    mean = mean_image(data.train.images)

    def shown(split):
        return Images(split.images, mean, data.pad, data.flip).on(xp)

    truth = data.train.truth
    truth = None if truth is None or (truth < 0).all() else xp.asarray(truth)
    return train.Task(shown(data.train), (shown(data.validation), xp.asarray(data.validation.labels)),
                      (shown(data.test), xp.asarray(data.test.labels)), truth, seed)


def network(config, arch, xp, comm, say):
    """The functions of the network: the fast ones on processors, on a GPU those on the kernels if asked for, or the readable ones."""
    if xp is np:
        return FastNet(comm)
    return net_for(xp, arch, say, config.kernels) if config.kernels else preact_resnet


def baseline(recipe):
    """Plain cross-entropy in the same budget: as many epochs as both steps together, lr2 divided by 10 after each third."""
    epochs = recipe.epochs + recipe.epochs2
    return recipe._replace(epochs2=epochs, drops2=(epochs // 3, 2 * epochs // 3))


def correct(labels, truth):
    """Fraction of the labels (N,) that are the true ones, among those whose truth is known (not -1)."""
    known = () if truth is None else truth[truth >= 0]
    return math.nan if len(known) == 0 else float((labels == truth).sum() / len(known))


def description(config, data, given, ranks):
    """What is about to be done, in a few lines."""
    recipe, truth = config.recipe, data.train.truth
    wrong = 100 * (1 - correct(given, truth))
    wrong = "nobody knows how many labels are wrong" if math.isnan(wrong) else f"{wrong:.1f} % of the labels really wrong"
    asked = f", rate {config.rate:g} requested" if config.noise in RATED else ""
    prior_note = recipe.prior if isinstance(recipe.prior, str) else "a vector"
    return "\n".join([
        f"data     {data.name}: {len(given)} training, {len(data.validation.labels)} validation, {len(data.test.labels)} test images "
        f"of {data.train.images.shape[1]}x{data.train.images.shape[2]}, {len(data.classes)} classes"
        + {"both": "", "none": ", not augmented"}.get(config.augment, f", augmented by {config.augment}"),
        f"noise    {config.noise}{asked}, {wrong}",
        f"network  {config.net}: widths {NETS[config.net]['widths']}, blocks {NETS[config.net]['blocks']}, "
        f"on {f'the CPU, {ranks} process' + 'es' * (ranks > 1) if config.gpu is None else f'GPU {config.gpu}'}",
        f"step 1   {recipe.epochs} epochs, lr {recipe.lr:g}, alpha {recipe.alpha:g}, beta {recipe.beta:g}, "
        f"{recipe.update} labels from epoch {recipe.begin} on, mean of {recipe.K}, prior {prior_note}   ({recipe.source})",
        f"step 2   {recipe.epochs2} epochs, lr {recipe.lr2:g}, divided by 10 after epochs {', '.join(map(str, recipe.drops2))}"])
