"""The summary of a run that is printed before it starts."""
import math

from core.quality import correct
from core.run.config import RATED
from nets.families import NETS


def description(config, data, given, ranks):
    """One line each for data, noise, network, step 1 and step 2."""
    device = f"the CPU, {ranks} process{'es' * (ranks > 1)}" if config.gpu is None else f"GPU {config.gpu}"
    lines = settings(config, data, given)
    return "\n".join(f"{name:9}{text}" + f", on {device}" * (name == "network") for name, text in lines)


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
        f"{len(data.test.labels)} test images of {data.train.images.shape[1]}x{data.train.images.shape[2]}, "
        f"{len(data.classes)} classes"
        + {"both": "", "none": ", not augmented"}.get(config.augment, f", augmented by {config.augment}")),
        ("noise", f"{config.noise}{asked}, {wrong}"),
        ("network", f"{config.net}: widths {NETS[config.net]['widths']}, blocks {NETS[config.net]['blocks']}"),
        ("step 1", f"{recipe.epochs} epochs, lr {recipe.lr:g}, alpha {recipe.alpha:g}, beta {recipe.beta:g}, "
        f"{recipe.update} labels from epoch {recipe.begin} on, mean of {recipe.K}, prior {prior_note}   "
        f"({recipe.source})"),
        ("step 2", f"{recipe.epochs2} epochs, lr {recipe.lr2:g}, divided by 10 after epochs "
        f"{', '.join(map(str, recipe.drops2))}")]

