"""The summary of a run that is printed before it starts."""
import math

from core.quality import correct
from core.run.config import RATED
from nets.families import NETS


def description(config, data, given, ranks):
    """One line each for data, noise, network, step 1 and step 2."""
    recipe, truth = config.recipe, data.train.truth
    wrong = 100 * (1 - correct(given, truth))
    wrong = ("the number of wrong labels is unknown" if math.isnan(wrong)
             else f"{wrong:.1f} % of the labels really wrong")
    asked = f", rate {config.rate:g} requested" if config.noise in RATED else ""
    prior_note = recipe.prior if isinstance(recipe.prior, str) else "a vector"
    return "\n".join([
        f"data     {data.name}: {len(given)} training, {len(data.validation.labels)} validation, "
        f"{len(data.test.labels)} test images of {data.train.images.shape[1]}x{data.train.images.shape[2]}, "
        f"{len(data.classes)} classes"
        + {"both": "", "none": ", not augmented"}.get(config.augment, f", augmented by {config.augment}"),
        f"noise    {config.noise}{asked}, {wrong}",
        f"network  {config.net}: widths {NETS[config.net]['widths']}, blocks {NETS[config.net]['blocks']}, "
        f"on {f'the CPU, {ranks} process' + 'es' * (ranks > 1) if config.gpu is None else f'GPU {config.gpu}'}",
        f"step 1   {recipe.epochs} epochs, lr {recipe.lr:g}, alpha {recipe.alpha:g}, beta {recipe.beta:g}, "
        f"{recipe.update} labels from epoch {recipe.begin} on, mean of {recipe.K}, prior {prior_note}   "
        f"({recipe.source})",
        f"step 2   {recipe.epochs2} epochs, lr {recipe.lr2:g}, divided by 10 after epochs "
        f"{', '.join(map(str, recipe.drops2))}"])


def quick_run(recipe):
    """The option that makes a run of this recipe ten times as short; "" where it is short already."""
    return f"--epochs {recipe.epochs // 10}" if recipe.epochs >= 100 else "--epochs 10" if recipe.epochs > 20 else ""
