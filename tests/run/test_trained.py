"""What a run does and in which order: trainings, labels, files and words, with trainings that only count."""
import os
from types import SimpleNamespace

import numpy as np
import pytest

from core import train
from core.batches import unaugmented
from core.data.listing import Finding
from core.data.own import Reading
from core.data.source import Source
from core.errors import InputError
from core.files import load_sealed
from core.labels import one_hot
from core.parallel.ranks import Serial
from core.posterior import for_training, noise_posterior
from core.quality import judge, judge_by_posterior
from core.recipes import RECIPES
from core.report import results
from core.report.findings import lines_about
from core.run import Config, experiment, folds, run, state
from core.run import folder as run_folder
from core.run.config import check
from core.run.folder import check_free
from core.run.resume import stored
from nets import families
from tests.run.test_progress import record

RECIPE = RECIPES["quick"]._replace(epochs=3, begin=1, K=2, epochs2=2, batch=16)
CONFIG = Config(RECIPE, net="tiny", digits=(40, 10, 10), noise="pair", rate=0.3, seed=3, compare=True, sure=0.6,
                ranks=1)
C, E, E2 = 10, RECIPE.epochs, RECIPE.epochs2


class Watched:
    """What the trainings began with, and what was saved."""

    def __init__(self, monkeypatch):
        self.began, self.saved, self.ended, self.said, self.epochs = [], [], [], [], []
        monkeypatch.setattr(train, "joint_optimization", self.joint)
        monkeypatch.setattr(train, "retrain", self.retrain)
        monkeypatch.setattr(results, "save_labels", lambda *args: self.saved.append(args))
        monkeypatch.setattr(results, "finish", lambda *args: self.ended.append(args) or ["a note"])
        monkeypatch.setattr(state, "SHARE", np.inf)
        monkeypatch.setattr(os, "fsync", lambda file: None)
        monkeypatch.setattr(run_folder, "environment", dict)
        monkeypatch.setattr(state, "environment", dict)
        monkeypatch.setitem(families.NETS, "tiny", {"widths": (4,), "blocks": (1,)})

    def joint(self, model, task, labels, recipe, done, theta_epoch):
        yield from self.train("joint", recipe.epochs, model, task, labels, recipe, done)

    def retrain(self, model, task, labels, recipe, step="retrain", *, done, theta_epoch):
        yield from self.train(step, recipe.epochs2, model, task, labels, recipe, done)

    def train(self, step, epochs, model, task, labels, recipe, done):
        """Every epoch adds one to all weights, and step 1 draws other labels."""
        self.began.append(SimpleNamespace(step=step, theta=model.theta.buffer.copy(), Y=labels.Y.copy(), recipe=recipe,
                                          done=done, task=task, K=len(labels.ring)))
        assert {np.geterr()[kind] for kind in ("over", "invalid", "divide")} == {"ignore"}     # NotFinite says more
        for epoch in range(done + 1, epochs + 1):
            model.theta.buffer += 1
            if step == "joint":
                rng = np.random.default_rng([epoch, len(labels.Y)])
                labels.Y, labels.s = rng.dirichlet(np.full(C, 0.3), size=(2, len(labels.Y))).astype(np.float32)
            labels.epochs = epoch
            yield record(step, epoch)

    def watch(self, records, epochs, step, fold):
        for one in records:
            self.epochs.append((step, fold, one.epoch, epochs))
            assert one.fold == fold
            yield one


@pytest.fixture
def watched(monkeypatch):
    return Watched(monkeypatch)


def drawn(n):
    """(Y, s) as step 1 of n images ends."""
    return np.random.default_rng([E, n]).dirichlet(np.full(C, 0.3), size=(2, n)).astype(np.float32)


def epochs_of(*trainings):
    return [(step, fold, epoch, epochs) for step, fold, epochs in trainings for epoch in range(1, epochs + 1)]


def same(a, b):
    """Whether two Verdicts are."""
    return all(np.array_equal(x, y, equal_nan=np.asarray(x).dtype.kind == "f") for x, y in zip(a, b))


@pytest.mark.parametrize("use_folds, posterior", [(None, False), (2, False), (2, True)])
def test_both_steps_the_folds_and_the_comparison(watched, tmp_path, monkeypatch, use_folds, posterior):
    P = np.random.default_rng(5).dirichlet(np.full(C, 0.3), size=40).astype(np.float32)
    asked = []

    def out_of_sample(data, given, number, seed, learn):
        asked.append((number, seed))
        for fold in (1, 2):
            others, rest = folds.without(data, np.arange(fold, 40, 2))
            model = learn(others, given[rest], fold)
            assert np.abs(model.theta.buffer - watched.began[-1].theta - E2).max() < 1e-5
        return P

    monkeypatch.setattr(folds, "out_of_sample", out_of_sample)
    config = CONFIG._replace(folds=use_folds, posterior=posterior, out=str(tmp_path / "run"))
    result = run(config, watched.watch, watched.said.append)
    of_folds = [(step, fold, n) for fold in (1, 2) for step, n in (("joint", E), ("retrain", E2))] * bool(use_folds)
    plain = experiment.baseline(RECIPE).epochs2
    assert watched.epochs == epochs_of(("joint", None, E), *of_folds, ("retrain", None, E2),
                                       ("cross-entropy", None, plain))
    assert asked == [(2, 3)] * bool(use_folds)
    assert [(r.step, r.fold, r.epoch) for r in result.records] == [one[:3] for one in watched.epochs]

    data = experiment.read_data(config).data
    given, truth = experiment.given_labels(config, data), data.train.truth
    (Y, s), start = drawn(40), one_hot(given, C)
    found = noise_posterior(P, given)
    verdict = judge(given, Y, s, s, truth, 0.6)
    if use_folds:
        verdict = judge_by_posterior(given, found, truth, 0.6) if posterior else judge(given, Y, s, P, truth, 0.6)
    soft = for_training(found, given).astype(np.float32) if posterior else Y
    assert same(result.verdict, verdict) and (given != truth).any()
    assert np.array_equal(result.soft, soft) and np.array_equal(result.pred_probs, P if use_folds else s)
    assert np.array_equal(result.given, given) and np.array_equal(result.truth, truth)
    first = judge(given, Y, s, s, truth, 0.6)
    for args, probs, labels, judged in zip(watched.saved, (s, P), (Y, soft), (first, verdict)):
        assert args[0] == tmp_path / "run" and same(args[5], judged) and args[6] == "digits"
        assert all(map(np.array_equal, args[2:5], (given, labels, probs)))
    assert len(watched.saved) == 1 + bool(use_folds)

    assert len({one.theta.tobytes() for one in watched.began}) == len(watched.began) == 3 + len(of_folds)   # drawn anew
    whole = {one.step: one for one in watched.began if len(one.Y) == 40}
    for step, labels, K in (("joint", start, 2), ("retrain", soft, 1), ("cross-entropy", start, 1)):
        assert np.array_equal(whole[step].Y, labels) and (whole[step].K, whole[step].done) == (K, 0)
        assert whole[step].task.seed == 3
    assert whole["cross-entropy"].recipe == experiment.baseline(RECIPE) and whole["retrain"].recipe == RECIPE
    weights = {name: array for name, array in result.weights.items() if not name.endswith((".mean", ".var"))}
    for found, step, epochs in ((weights, "retrain", E2), (result.first_weights, "joint", E)):
        flat = np.concatenate([found[name].ravel() for name in weights])
        assert np.abs(flat - whole[step].theta - epochs).max() < 1e-5
    images = unaugmented(whole["joint"].task.train, slice(None))
    assert np.abs(images - data.train.images / 255 + (data.train.images / 255).mean(axis=0)).max() < 1e-5


def test_a_run_goes_on_in_the_middle_of_any_training_and_does_no_epoch_twice(watched, tmp_path):
    config, stop = CONFIG._replace(out=str(tmp_path / "run")), []
    def until(records, epochs, step, fold):
        for one in watched.watch(records, epochs, step, fold):
            if len(watched.epochs) == stop[-1]:
                raise KeyboardInterrupt                      # before this epoch is saved
            yield one

    plain = experiment.baseline(RECIPE).epochs2
    order = epochs_of(("joint", None, E), ("retrain", None, E2), ("cross-entropy", None, plain))
    for number in (2, 4, 6, 8):
        stop.append(number)
        with pytest.raises(KeyboardInterrupt):
            run(stored(tmp_path / "run") if number > 2 else config, until, resume=number > 2)
        assert [one.epoch for one in state.about(load_sealed(tmp_path / "run" / state.FILE))["records"]] == [
            one[2] for one in watched.epochs[:-1]]
        assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == len(watched.epochs) - 1
        watched.epochs.pop()
    result = run(stored(tmp_path / "run"), watched.watch, resume=True)
    assert watched.epochs == order and len(result.records) == len(order) and len(watched.ended) == 1
    assert not (tmp_path / "run" / state.FILE).exists()


def test_what_is_said_and_handed_to_the_files(watched, tmp_path, monkeypatch):
    reading = experiment.read_data(CONFIG)._replace(listings=("of training images", "of validation images", None))
    monkeypatch.setattr(experiment, "read_data", lambda config, source: reading)
    config = CONFIG._replace(out=str(tmp_path / "run"), compare=False)
    result = run(config, say=watched.said.append)
    assert watched.said[0].startswith("data     ") and watched.said[-1] == "a note"
    (folder, handed, settings, name, data, about, jobs, listing), = watched.ended
    assert (folder, handed, settings, jobs, listing) == (tmp_path / "run", result, config, 1, "of training images")
    assert name == f"{data.name}, noise: pair" and len(data.train.labels) == 40
    assert ("seed", "3") in about.settings
    assert run(config._replace(out=None)).summary.keys() == result.summary.keys() and len(watched.ended) == 1
    run(config._replace(out=str(tmp_path / "other"), noise="none", rate=None))
    assert watched.ended[-1][3] == data.name and watched.said.count("a note") == 1


def test_own_images_are_told_with_what_was_found_in_them(watched, monkeypatch):
    reading = experiment.read_data(CONFIG)
    own = Reading(reading.data, [Finding("unreadable", "cat/1.png", "cut off")], ["a remark"], np.full((40, 2), 8))
    monkeypatch.setattr(experiment, "read_data", lambda config, source: own)
    for epochs, quick in ((3, ""), (100, "quick    a first list sooner: --epochs 10")):
        watched.said.clear()
        recipe = RECIPE._replace(epochs=epochs)
        run(CONFIG._replace(recipe=recipe), say=watched.said.append)
        lines = watched.said[0].splitlines()
        assert lines[0] == "a remark" and lines[-1].startswith(quick or "classes") and len(watched.said) == 2
        assert lines[1:3] == lines_about(own.findings) and "cat/1.png" in lines[2]


def test_a_run_checks_its_folder_and_settings_before_it_reads_anything(watched, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "read_data", lambda *args: pytest.fail("it reads"))
    (tmp_path / "mine").touch()
    config = CONFIG._replace(out=str(tmp_path))
    with pytest.raises(InputError, match="is not empty"):
        check_free(tmp_path, config)
    with pytest.raises(InputError, match="is not empty"):
        run(config)
    bad = CONFIG._replace(sure=2)
    for attempt in (lambda: check(bad, "digits"), lambda: run(bad), lambda: run(bad, source=Source("digits", "d"))):
        with pytest.raises(InputError, match="--sure 2"):
            attempt()


@pytest.mark.parametrize("gpu, ranks, expected", [(None, 3, 3), (None, None, None), (2, None, 1)])
def test_a_run_computes_where_it_is_asked_to(watched, monkeypatch, gpu, ranks, expected):
    used, launched, seen = [], [], []
    monkeypatch.setattr(experiment.backend, "use_gpu", lambda *args: used.append(args) or np)
    monkeypatch.setattr(experiment, "launch", lambda main, ranks, portable: launched.append(ranks) or main(Serial()))
    monkeypatch.setattr(experiment, "with_features",
                        lambda config, found, xp: seen.append((config.gpu, len(found.data.train.labels), xp)) or found)
    run(CONFIG._replace(gpu=gpu, ranks=ranks, precision="float32"), say=watched.said.append)
    assert used == [(gpu, "float32")] * (gpu is not None) and launched == [expected] and seen == [(gpu, 40, np)]
    assert ("on GPU 2" in watched.said[0]) == (gpu == 2)


@pytest.mark.parametrize("resume", [False, True])
def test_a_rank_that_began_anew_does_what_rank_0_does(tmp_path, monkeypatch, resume):
    config, met = CONFIG._replace(net="small", out=str(tmp_path / "run")), []
    monkeypatch.setattr(experiment, "launch", lambda main, ranks, portable: portable("comm"))
    monkeypatch.setattr(experiment, "trained", lambda *args, **named: met.append((args, named)))
    run(config, resume=resume)
    ((settings, data, given, xp, comm, folder), named), = met
    assert (comm, settings, xp, folder) == ("comm", config, np, tmp_path / "run") and len(data.train.labels) == 40
    assert (given == experiment.given_labels(config, data)).all()
    assert named == {"watch": None, "say": None, "resume": resume}


def test_no_rank_begins_before_all_have_seen_a_free_folder(watched, monkeypatch):
    order, opened = [], state.opened
    monkeypatch.setattr(state, "opened", lambda *args: order.append("opened") or opened(*args))
    comm = Serial()
    comm.barrier = lambda: order.append("barrier")
    monkeypatch.setattr(experiment, "launch", lambda main, ranks, portable: main(comm))
    run(CONFIG)
    assert order[:2] == ["barrier", "opened"]
