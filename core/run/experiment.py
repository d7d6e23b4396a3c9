"""One experiment from data to result: noise, step 1, step 2, files."""
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core import backend, train
from core.data.source import open_source
from core.labels import SoftLabels, one_hot
from core.measure import training_name
from core.model import fresh_model
from core.parallel.launch import launch
from core.parallel.processors import available_processors
from core.quality import Verdict, judge
from core.recipes import baseline
from core.report import results
from core.report.findings import lines_about
from core.run import folder as run_folder
from core.run import folds, state
from core.run.about import about
from core.run.config import check
from core.run.description import description
from core.run.inputs import as_task, given_labels, read_data
from nets.families import architecture, functions_for


class Result(NamedTuple):
    """The outcome, as NumPy arrays; N training images, C classes. `verdict` is core.quality.Verdict."""
    records: list                      # of measure.Epoch, from all trainings in order
    classes: tuple
    images: np.ndarray                 # (N, H, W, 3) uint8
    index: np.ndarray                  # (N,) row of each in its source
    paths: np.ndarray                  # (N,) str, or None if the images are not single files
    given: np.ndarray                  # (N,)
    truth: np.ndarray                  # (N,), or None if unknown
    soft: np.ndarray                   # (N, C)
    pred_probs: np.ndarray             # (N, C) mean behind the last update; out-of-sample with config.folds
    verdict: Verdict                   # suggested and corrected labels, estimated noise, detection scores
    weights: dict                      # of step 2's network, with running statistics
    summary: dict                      # key figures: summary.json

    suggested = property(lambda self: self.verdict.suggested)
    corrected = property(lambda self: self.verdict.corrected)
    initial = property(lambda self: self.verdict.initial)
    recovery = property(lambda self: self.verdict.recovery)


def run(config, watch=lambda records, epochs, step, fold: records, say=lambda text: None, resume=False,
        source=None):
    """Run the experiment and return its Result.

    watch(records, epochs, step, fold) wraps every training and must yield its records; say(text) receives messages.
    Files go to config.out. resume: continue from the checkpoint there. source: the Source of config.data, if already
    opened. Raises InputError for bad settings or data, and NotFinite if the loss diverges.
    """
    folder = None if config.out is None else Path(config.out)
    if folder and not resume:
        run_folder.check_free(folder, config)
    source = source or open_source(config.data)
    check(config, source.kind)
    xp = np if config.gpu is None else backend.use_gpu(config.gpu, config.precision)
    reading = read_data(config, source)
    data, given = reading.data, given_labels(config, reading.data)

    def main(comm):
        if comm.rank == 0 and (found := [*reading.notes, *lines_about(reading.findings)]):
            say("\n".join(found))
        with run_folder.locked(folder) if folder and comm.rank == 0 else nullcontext():
            outcome = trained(config, data, given, xp, comm, folder, watch, say, resume)
            return finished(config, data, given, folder, *outcome,
                            partial(about, config, source, reading, given)) if comm.rank == 0 else None

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):      # NotFinite says more than these warnings
        return launch(main, config.ranks if config.gpu is None else 1)


def trained(config, data, given, xp, comm, folder, watch, say, resume=False):
    """Both steps, on every rank: (records, soft labels Y (N, C), probabilities P (N, C), Verdict, weights of step 2).

    P: the predictions behind the last label update, or the out-of-sample probabilities. Only rank 0 prints, writes
    files and has the Verdict. Raises InputError.
    """
    first, recipe, truth = comm.rank == 0, config.recipe, data.train.truth
    comm.barrier()                     # every rank has checked by now that the folder is free
    progress, notes = state.opened(folder, config, data, given, comm, resume)
    if first:
        say("\n".join([description(config, data, given, comm.size), *notes]))
    arch = architecture(config.net, len(data.classes))
    net, theta_epoch, prepare = functions_for(arch, xp, comm, config.kernels, say)
    task = as_task(data, config.seed, xp)

    def training(algorithm, task, labels, step, epochs, *args, fold=None):
        key = training_name(step, fold)
        model = fresh_model(net, arch, np.random.default_rng([config.seed, *key.encode()]), xp, comm)
        progress.restore(key, model, labels)
        if labels.epochs < epochs:
            prepare(arch, task.train, len(labels.Y), recipe)
            records = algorithm(model, task, labels, *args, done=labels.epochs, theta_epoch=theta_epoch)
            records = (record._replace(fold=fold) for record in records)
            for record in watch(records, epochs, step, fold) if first else records:
                if first and folder:
                    run_folder.log(folder, record)
                if first:
                    progress.completed(key, model, labels, record, last=record.epoch == epochs)
        return model

    def step_1(task, given, fold=None):
        labels = SoftLabels(one_hot(backend.to_device(given, xp), len(data.classes)), min(recipe.K, recipe.epochs))
        training(train.joint_optimization, task, labels, "joint", recipe.epochs, recipe, fold=fold)
        return labels

    def step_2(task, labels, fold=None):
        return training(train.retrain, task, SoftLabels(labels.Y, 1), "retrain", recipe.epochs2, recipe, fold=fold)

    def learn(data, given, fold):
        task = as_task(data, config.seed, xp)
        return step_2(task, step_1(task, given, fold), fold)

    labels = step_1(task, given)
    Y, s = backend.to_host(labels.Y), backend.to_host(labels.s)
    P, verdict = s, judge(given, Y, s, s, truth, config.sure) if first else None
    if first and folder:
        results.save_labels(folder, data, given, Y, s, verdict, config.data)
    model = step_2(task, labels)                             # DEVIATION 15: one program runs both steps (docs/paper.md)
    if config.folds:
        P = folds.out_of_sample(data, given, config.folds, config.seed, learn)
        if first:
            verdict = judge(given, Y, s, P, truth, config.sure)
        if first and folder:
            results.save_probabilities(folder, data, given, P, verdict)
    if config.compare:
        plain = baseline(recipe)
        training(train.retrain, task, SoftLabels(labels.Y0, 1), "cross-entropy", plain.epochs2, plain, "cross-entropy")
    weights = {**model.theta.views, **model.running.views}
    return progress.records, Y, P, verdict, {name: backend.to_host(array) for name, array in weights.items()}


def finished(config, data, given, folder, records, Y, P, verdict, weights, what=lambda: None):
    """The Result of a training; writes its files and removes the checkpoint. what(): its About."""
    split = data.train
    result = Result(records, data.classes, split.images, split.index, split.paths, given, split.truth, Y, P, verdict,
                    weights, results.summary(verdict, given, records))
    if folder:
        # with "none" nothing is said: the labels may hold noise of their own
        made = "" if config.noise == "none" else f", noise: {config.noise}"
        results.finish(folder, result, config, data.name + made, what(), config.ranks or available_processors())
        state.remove(folder)
    return result
