"""One experiment from beginning to end: data, noise, step 1, step 2, files.  `run(config)` is a function for anybody to call."""
import math
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core import backend, quality, train
from core.labels import SoftLabels, one_hot
from core.parallel.launch import launch
from core.quality import correct
from core.recipes import baseline
from core.report import results
from core.report.findings import told
from core.run import folder as run_folder
from core.run import folds, state
from core.run.config import NETS, RATED, check
from core.run.inputs import as_task, given_labels, read_data
from nets import preact_resnet
from nets.preact_resnet import Architecture
from nets.preact_resnet_fast import FastNet
from nets.preact_resnet_gpu import net_for


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
        results.save_labels(folder, data, given, Y, s, config)
    model, P = step_2(task, labels), s
    if config.folds:
        P = folds.out_of_sample(data, given, config.folds, config.seed, learn)
        if first and folder:
            results.save_probabilities(folder, data, given, Y.argmax(axis=1), P)
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
        results.finish(folder, result, config, data.name + made)
        state.remove(folder)
    return result


def network(config, arch, xp, comm, say):
    """The functions of the network: the fast ones on processors, on a GPU those on the kernels if asked for, or the readable ones."""
    if xp is np:
        return FastNet(comm)
    return net_for(xp, arch, say, config.kernels) if config.kernels else preact_resnet


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
