"""One experiment from data to result: noise, step 1, step 2, files."""
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core import backend, train
from core.data.how import how_of
from core.data.source import open_source
from core.labels import SoftLabels, one_hot
from core.measure import training_name
from core.model import fresh_model
from core.parallel.launch import launch
from core.parallel.processors import available_processors
from core.posterior import for_training, noise_posterior
from core.quality import Verdict, judge, judge_by_posterior, respecting
from core.recipes import baseline
from core.report import results
from core.report.findings import classes_in_brief, lines_about
from core.run import folder as run_folder
from core.run import folds, state
from core.run.about import about
from core.run.config import check
from core.run.description import description, quick_run
from core.run.inputs import given_labels, read_data
from core.run.network import network_of
from core.run.seen import with_features
from core.run.task import as_task
from nets.families import HEADS

QUIET = {"over": "ignore", "invalid": "ignore", "divide": "ignore"}     # NotFinite says more than these warnings


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
    first_weights: dict                # of step 1's network

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
    source = source or open_source(config.data, how_of(config))
    check(config, source.kind)
    xp = np if config.gpu is None else backend.use_gpu(config.gpu, config.precision)
    reading = read_data(config, source)
    given = given_labels(config, reading.data)
    reading = with_features(config, reading, xp)
    data = reading.data

    def main(comm):
        if comm.rank == 0 and reading.shapes is not None:        # own images
            quick = [f"quick    a first list sooner: {quick_run(config)}"] * bool(quick_run(config))
            say("\n".join([*reading.notes, *lines_about(reading.findings), classes_in_brief(data), *quick]))
        with run_folder.locked(folder) if folder and comm.rank == 0 else nullcontext():
            outcome = trained(config, data, given, xp, comm, folder, watch, say, resume)
            return finished(config, data, given, folder, say, *outcome,
                            partial(about, config, source, reading, given),
                            reading.listings[0]) if comm.rank == 0 else None

    with np.errstate(**QUIET):
        return launch(main, config.ranks if config.gpu is None else 1,
                      portable=partial(other_rank, config=config, data=data, given=given, folder=folder, resume=resume))


@np.errstate(**QUIET)
def other_rank(comm, config, data, given, folder, resume):
    """The part of a rank that was not forked, and has none of rank 0's functions."""
    trained(config, data, given, np, comm, folder, watch=None, say=None, resume=resume)


def trained(config, data, given, xp, comm, folder, watch, say, resume):
    """Both steps, on every rank: (records, labels Y (N, C) for step 2, probabilities P (N, C), Verdict, weights of step
    2 and of step 1).

    P: the predictions behind the last label update, or the out-of-sample probabilities. Y: the soft labels of step 1,
    or the noise posterior, or the given labels where that knows nothing of them, and where a person has checked them.
    Only rank 0 prints, writes files and has the Verdict. Raises InputError.
    """
    first, recipe, truth = comm.rank == 0, config.recipe, data.train.truth
    comm.barrier()                     # every rank has checked by now that the folder is free
    progress, notes = state.opened(folder, config, data, given, comm, resume)
    if first:
        say("\n".join([description(config, data, given, comm.size), *notes]))
    arch, (net, theta_epoch, prepare) = network_of(config, data, xp, comm, say)
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
        return labels, training(train.joint_optimization, task, labels, "joint", recipe.epochs, recipe, fold=fold)

    def step_2(task, Y, fold=None):
        return training(train.retrain, task, SoftLabels(Y, 1), "retrain", recipe.epochs2, recipe, fold=fold)

    def learn(data, given, fold):
        task = as_task(data, config.seed, xp)
        labels, model = step_1(task, given, fold)
        # a head of step 1 ranks better: AN-40, average precision 0.85 against 0.84 after step 2 (docs/results.md)
        return model if config.net in HEADS else step_2(task, labels.Y, fold)

    labels, first_model = step_1(task, given)
    checked = data.train.checked if config.noise == "none" else None         # else noise was added to those labels, too
    s = backend.to_host(labels.s)
    Y, P = respecting(backend.to_host(labels.Y), given, checked), s
    verdict = judge(given, Y, s, respecting(s, given, checked), truth, config.sure) if first else None
    if first and folder:
        results.save_labels(folder, data, given, Y, P, verdict, config.data)
    if config.folds:
        P = folds.out_of_sample(data, given, config.folds, config.seed, learn)
        found = noise_posterior(P, given) if config.posterior else None
        found = found and found._replace(q=respecting(found.q, given, checked))
        Y = for_training(found, given).astype(Y.dtype) if found else Y
        if first:
            verdict = (judge_by_posterior(given, found, truth, config.sure) if found else
                       judge(given, Y, s, respecting(P, given, checked), truth, config.sure))
        if first and folder:
            results.save_labels(folder, data, given, Y, P, verdict, config.data)
    # DEVIATION 15: one program runs both steps (docs/paper.md)
    model = step_2(task, backend.to_device(Y, xp))
    if config.compare:
        plain = baseline(recipe)
        training(train.retrain, task, SoftLabels(labels.Y0, 1), "cross-entropy", plain.epochs2, plain, "cross-entropy")
    return progress.records, Y, P, verdict, weights_of(model), weights_of(first_model)


def weights_of(model):
    """{name: array} of a network with its running statistics, on the host."""
    return {name: backend.to_host(array) for name, array in {**model.theta.views, **model.running.views}.items()}


def finished(config, data, given, folder, say, records, Y, P, verdict, weights, first_weights, what=lambda: None,
             listing=None):
    """The Result of a training; writes its files and removes the checkpoint. what(): its About; listing: of the data.
    """
    split = data.train
    result = Result(records, data.classes, split.images, split.index, split.paths, given, split.truth, Y, P, verdict,
                    weights, results.summary(verdict, given, records), first_weights)
    if folder:
        # with "none" nothing is said: the labels may hold noise of their own
        made = "" if config.noise == "none" else f", noise: {config.noise}"
        jobs = config.ranks or available_processors()
        for note in results.finish(folder, result, config, data.name + made, data, what(), jobs, listing):
            say(note)
        state.remove(folder)
    return result
