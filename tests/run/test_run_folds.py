"""The probabilities of a run: what its last update was made from, or by networks that never saw the image;
interrupted or not."""
import numpy as np
import pytest

from core.errors import InputError
from core.measure import training_name
from core.recipes import RECIPES
from core.run import Config, run
from core.run.inputs import read_data

RECIPE = RECIPES["quick"]._replace(epochs=3, begin=1, K=2, epochs2=2, update="hard")
CONFIG = Config(RECIPE, digits=(40, 10, 10), ranks=1)


@pytest.fixture(scope="module")
def plain():
    return run(CONFIG)


def test_the_probabilities_are_the_mean_that_the_last_update_was_made_from(plain):
    assert set(plain.soft.ravel()) == {0, 1}
    assert (plain.pred_probs.argmax(axis=1) == plain.corrected).all() and plain.pred_probs.max() < 1
    assert plain.pred_probs.sum(axis=1) == pytest.approx(np.ones(40), abs=1e-5)
    soft = run(CONFIG._replace(recipe=RECIPE._replace(update="soft")))
    assert (soft.pred_probs == soft.soft).all()


@pytest.mark.parametrize("wrong, fault", [({"folds": 41}, "--folds 41"),
                                          ({"recipe": RECIPE._replace(prior=(1, 2))}, "--prior has 2")])
def test_what_does_not_fit_the_data_is_said_when_they_are_read(wrong, fault):
    with pytest.raises(InputError, match=fault):
        read_data(CONFIG._replace(**wrong))


@pytest.mark.parametrize("update", ["hard", "soft"])
def test_only_what_is_sure_is_corrected_whatever_the_update(update):
    config = CONFIG._replace(recipe=RECIPE._replace(update=update))
    certainty = run(config).pred_probs.max(axis=1)
    result = run(config._replace(sure=float(np.median(certainty)), folds=2))
    assert (result.corrected == np.where(certainty >= np.median(certainty), result.suggested, result.given)).all()
    assert (result.corrected != result.suggested).any()


@pytest.mark.usefixtures("no_pictures")
def test_folds_change_the_probabilities_and_nothing_else_and_go_on_after_an_interruption(plain, tmp_path, monkeypatch):
    steps = []

    def stopping(records, epochs, step, fold):
        for record in records:
            steps.append(training_name(step, fold))
            yield record
            if (step, fold) == ("joint", 2) and record.epoch == 2:
                raise KeyboardInterrupt

    config = CONFIG._replace(folds=2, out=str(tmp_path / "run"))
    with pytest.raises(KeyboardInterrupt):
        run(config, stopping)
    resumed, whole = run(config, resume=True), run(config._replace(out=str(tmp_path / "whole")))
    assert (resumed.pred_probs == whole.pred_probs).all() and not (whole.pred_probs == plain.pred_probs).any()
    assert (whole.corrected == plain.corrected).all()
    assert all((whole.weights[name] == plain.weights[name]).all() for name in plain.weights)
    assert list(dict.fromkeys(steps)) == ["joint", "fold1.joint", "fold1.retrain", "fold2.joint"]
    assert [r[:3] for r in resumed.records] == [r[:3] for r in whole.records]
    for folder in ("run", "whole"):
        assert (np.load(tmp_path / folder / "pred_probs.npy") == whole.pred_probs).all()
        assert "out-of-sample: 2 trainings" in (tmp_path / folder / "manifest.json").read_text()
