"""What the trainings of a run begin with: weights that are drawn anew, and the right labels."""
import numpy as np

from core import train
from core.labels import one_hot
from core.parallel.ranks import Serial
from core.recipes import RECIPES
from core.run.config import Config
from core.run.experiment import trained
from core.run.inputs import given_labels, read_data


def test_step_2_begins_anew_on_the_corrected_labels_and_the_comparison_on_the_given_ones(monkeypatch):
    begun, ended = {}, {}

    def joint(model, task, labels, recipe, done, theta_epoch):
        yield from retrain(model, task, labels, recipe, "joint", done)
        labels.Y = np.roll(labels.Y, 1, axis=1)

    def retrain(model, task, labels, recipe, step="retrain", done=None, theta_epoch=None):
        assert done == 0
        assert (model.theta.views["bn.gamma"] == 1).all() and (model.velocity == 0).all()
        begun[step] = model.theta.views["conv"].copy(), labels.Y.copy(), len(labels.ring)
        model.theta.buffer += 1
        model.velocity[:] = 1
        ended[step] = model.theta.views["conv"].copy()
        yield from ()

    monkeypatch.setattr(train, "joint_optimization", joint)
    monkeypatch.setattr(train, "retrain", retrain)
    recipe = RECIPES["digits"]
    config = Config(recipe, digits=(40, 10, 10), compare=True)
    data = read_data(config).data
    labels = given_labels(config, data)
    _, Y, _, _, weights, first_weights = trained(config, data, labels, np, Serial(), None,
                                  lambda records, epochs, step, fold: records, print)

    given, corrected = one_hot(labels, 10), np.roll(one_hot(labels, 10), 1, axis=1)
    assert np.array_equal(Y, corrected) and np.array_equal(weights["conv"], ended["retrain"])
    for step, expected, K in [("joint", given, recipe.K), ("retrain", corrected, 1), ("cross-entropy", given, 1)]:
        assert np.array_equal(begun[step][1], expected) and begun[step][2] == K, step
    assert len({conv.tobytes() for conv, _, _ in begun.values()}) == 3          # three networks, three draws
