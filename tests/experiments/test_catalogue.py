"""experiments/catalogue.py: every line of every experiment is a run, at every scale the one that is meant."""
import pytest

from core.errors import InputError
from core.recipes import RECIPES, scaled
from core.run import sweep
from experiments import costs
from experiments.catalogue import DIGITS, EXPERIMENTS, FOLDER, SCALES, lines, moved, short
from experiments.reproduce import stand_in
from tests.project.test_docs import ROOT

ALL = [(name, scale) for name in EXPERIMENTS for scale in EXPERIMENTS[name].scales]
every_scale = pytest.mark.parametrize("name, scale", ALL, ids=["-".join(pair) for pair in ALL])


def runs_of(name, scale):
    return lines(name, scale, options=stand_in(name))


def test_every_experiment_has_its_file_and_every_file_its_experiment():
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(EXPERIMENTS)


@every_scale
def test_every_line_can_be_run_in_a_folder_of_its_own(name, scale):
    runs = runs_of(name, scale)
    assert len(runs) > 1 and len({sweep.folder_name(line) for line, _ in runs}) == len(runs)
    data = "digits" if EXPERIMENTS[name].scales is DIGITS else "cifar-10-batches-py"
    assert all(config.data == data for _, config in runs)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if EXPERIMENTS[name].scales is SCALES])
def test_a_scale_has_its_network_images_and_epochs(name, scale):
    expected, augment = {"cpu": (("small", 10_000, 60, 64), "none"), "medium": (("medium", None, 50, 128), "both"),
                         "paper": (("paper", None, 200, 128), "both")}[scale]
    for line, config in runs_of(name, scale):
        assert (config.net, config.subset, config.recipe.epochs, config.recipe.batch) == expected
        assert config.augment == augment or "--augment" in line


@pytest.mark.parametrize("name, kind", [("sn-cifar", "symmetric"), ("an-cifar", "asymmetric")])
def test_the_papers_tables_have_its_recipes_unchanged(name, kind):
    prefix, runs = name[:2], runs_of(name, "paper")
    recipes = {recipe for recipe in RECIPES if recipe.startswith(f"{prefix}-")}
    assert {line.split()[1] for line, _ in runs} == recipes
    for line, config in runs:
        recipe = line.split()[1]
        assert config.recipe == RECIPES[recipe] and config.net == "paper" and config.compare
        assert (config.noise, config.rate, config.augment, config.subset) == (kind, int(recipe[3:]) / 100, "both", None)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ["learning-rate", "memorisation"])
def test_labels_that_stay_as_they_are_stay_for_all_epochs(name, scale):
    for _, config in runs_of(name, scale):
        assert config.recipe.begin == config.recipe.epochs == SCALES[scale].epochs
        assert config.recipe.alpha == config.recipe.beta == 0 and config.recipe.epochs2 == 1


def test_the_rules_of_the_update_are_those_of_the_papers_figure():
    assert [config.recipe.update for _, config in runs_of("update", "paper")] == [
        "hard", "hard-50", "hard-500", "hard-5000", "soft"]


def test_sensitivity_moves_one_setting_at_a_time_but_for_the_last_line():
    runs = [config for line, config in runs_of("sensitivity", "cpu") if config.noise == "symmetric"]
    first, *others = (config.recipe._replace(source="") for config in runs)
    changed = [{name for name in first._fields if getattr(first, name) != getattr(other, name)} for other in others]
    assert all(len(names) == 1 for names in changed[:-2]) and changed[-2] == {"alpha", "beta", "begin"}
    unknown = RECIPES["unknown"]
    assert (others[-2].alpha, others[-2].beta, others[-2].lr) == (unknown.alpha, unknown.beta, unknown.lr)
    assert others[-2].begin / others[-2].epochs == unknown.begin / unknown.epochs
    ours, whole = others[-1], scaled(unknown, 2000)
    for field in ("lr", "alpha", "beta", "epochs", "begin", "K", "batch", "update"):
        assert getattr(ours, field) == getattr(whole, field), field


@pytest.mark.parametrize("noise", ["asymmetric", "symmetric"])
def test_sensitivity_of_features_moves_one_setting_of_the_default_at_a_time(noise):
    first, *others = (config._replace(recipe=config.recipe._replace(source=""))
                      for _, config in runs_of("sensitivity-features", "cpu") if config.noise == noise)
    usual = RECIPES["head"]._replace(source="")
    assert (first.recipe, first.net, first.backbone) == (usual, "head", "efficientnet-lite0")
    assert first.posterior and first.folds == 5 and first.subset == 10_000
    for other in others:
        changed = [name for name in first.recipe._fields if getattr(first.recipe, name) != getattr(other.recipe, name)]
        assert len(changed) == 1 and other._replace(recipe=first.recipe) == first
    assert {name for other in others for name in first.recipe._fields
            if getattr(first.recipe, name) != getattr(other.recipe, name)} == {"lr", "begin", "K", "alpha", "beta"}


@pytest.mark.parametrize("word, epochs, is_moved", [
    ("{70}", 200, "70"), ("{70}", 60, "21"), ("{55}", 50, "14"), ("{200}", 50, "50"), ("{1}", 50, "1"),
    ("70", 60, "70"), ("--begin", 60, "--begin")])
def test_epochs_of_the_paper_move_with_the_scale(word, epochs, is_moved):
    assert moved(word, epochs) == is_moved


def test_seeds_are_added_to_lines_without_one():
    runs = lines("average", "cpu", seeds=3)
    assert [line for line, _ in runs][:3] == ["--recipe sn-50 --K 1", "--recipe sn-50 --K 1 --seed 1",
                                              "--recipe sn-50 --K 1 --seed 2"]
    assert [config.seed for _, config in runs] == [0, 1, 2] * 5
    assert len(lines("seeds", "cpu", seeds=3)) == len(lines("seeds", "cpu"))


def test_options_stand_before_those_of_the_line():
    config = lines("average", "cpu", options=["--gpu", "1", "--K", "7"])[0][1]
    assert config.gpu == 1 and config.recipe.K == 1


def test_lines_are_named_by_what_differs():
    all_lines = ["--recipe a --x 1 --y", "--recipe a --y", "--recipe a --y --z {3} --seed 4"]
    assert [short(line, all_lines) for line in all_lines] == ["--x 1", "as the recipe", "--z 3"]


@pytest.mark.parametrize("name, scale, words", [("sn-cifar", "huge", "cpu, medium, paper"),
                                                ("sensitivity", "paper", "sensitivity has the scale cpu")])
def test_a_scale_that_is_not_there_is_named(name, scale, words):
    with pytest.raises(InputError, match=words):
        lines(name, scale)


# ---- costs -----------------------------------------------------------------------------------------------------------

def test_costs_come_from_the_pages_that_they_name():
    cpu, gpu = ((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("cpu", "gpu"))
    assert f"| PreAct ResNet-32, 32x32 | {1000 * 128 * costs.SECONDS['paper']:.0f} ms" in cpu
    assert f"| `small`, 32x32 | {1000 * 128 * costs.SECONDS['small']:.0f} ms" in cpu
    assert f"0.38 .. {costs.TRAINING * costs.GPU:.2f}" in gpu


def test_a_cost_is_that_of_all_epochs():
    _, config = runs_of("sn-cifar", "paper")[0]
    assert costs.seconds(config, 1) == pytest.approx((200 + 120 + 320) * 50_000)
    _, config = runs_of("update", "cpu")[0]
    assert costs.seconds(config, 1) == pytest.approx((60 + 1) * 15_000)
    short, *_, long = (config for _, config in runs_of("sensitivity", "cpu"))
    assert (costs.on_cores([short]), costs.on_cores([long])) == (12.5, 100)
    assert costs.on_gpu([config]) is None and costs.words(None) == "-"


@pytest.mark.parametrize("duration, text", [(5, "5 s"), (90, "1.5 min"), (3600, "1.0 h"), (36000, "10 h"),
                                            (200000, "2.3 d")])
def test_a_duration_reads_as_one_number(duration, text):
    assert costs.words(duration) == text
