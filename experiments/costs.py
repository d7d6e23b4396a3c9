"""How long experiments take, predicted: on two cores, and on a GPU.

    epoch of step 1, step 2 or the baseline = (N + MEASURED) * seconds per image;  N training images
"""
from core.recipes import baseline

TRAINING = 45_000                      # images of CIFAR-10 that are trained on, unless --subset says fewer
MEASURED = 5_000                       # validation and test, 15,000 images: a forward pass is a third of a step
SECONDS = {                            # per image, two cores of an AMD EPYC (Zen 4)
    "paper": 1.028 / 128,              # docs/cpu.md, measured
    "small": 0.087 / 128,              # docs/cpu.md, measured
    "medium": 0.22 / 128,              # by `demo.py check`: 87 s for an epoch of 45,000
}
FEATURES_SECONDS = 87                  # a run of a head on 10,000 images, folds included: processor time, measured
DIGITS_SECONDS = 1.25                  # an epoch of a run with --quick: processor time, measured
GPU = 0.52 / TRAINING                  # docs/gpu.md: the paper's network in 16 bits on an H200, predicted, not measured


def seconds(config, per_image):
    """Of one run of CIFAR-10."""
    recipe = config.recipe
    epochs = recipe.epochs + recipe.epochs2 + (baseline(recipe).epochs2 if config.compare else 0)
    return epochs * ((config.subset or TRAINING) + MEASURED) * per_image


def on_cores(configs):
    """Seconds of all runs on two cores."""
    return sum(map(of_run, configs))


def of_run(config):
    """Seconds of a run on two cores; half of its processor time where it takes one core, and two go on side by side."""
    if config.data == "digits":
        return DIGITS_SECONDS / 2 * config.recipe.epochs
    return FEATURES_SECONDS / 2 if config.backbone else seconds(config, SECONDS[config.net])


def on_gpu(configs):
    """Seconds of all runs with the paper's network on one GPU, by prediction; None for other networks."""
    if not all(config.net == "paper" for config in configs):
        return None
    return sum(seconds(config, GPU) for config in configs)


def words(duration):
    """4000 -> 1.1 h"""
    if duration is None:
        return "-"
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if duration >= unit:
            return f"{duration / unit:.{1 if duration < 10 * unit else 0}f} {name}"
    return f"{duration:.0f} s"
