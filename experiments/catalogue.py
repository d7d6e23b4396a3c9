"""Every experiment by name: a table or figure of the paper, or what the paper does not have; and the scales.

The runs of an experiment are the lines of experiments/NAME.txt. In front of each line stand the data and the options of
the scale. {70} in a line is epoch 70 of the paper's 200, moved to the same part of the scale's epochs.
"""
import re
from pathlib import Path
from typing import NamedTuple

from core.data.source import Source
from core.errors import need
from core.run import sweep
from core.run.commands import parse
from core.run.options import configuration

FOLDER = Path(__file__).parent
EPOCHS = 200                           # of the paper's step 1
LABELS = "pl-labels.npy"               # of PL-CIFAR, made by experiments/pseudo_labels.py


class Scale(NamedTuple):
    """A size of the experiments."""
    options: str                       # in front of every line
    epochs: int                        # of step 1
    words: str                         # how it differs from the paper


CPU = ("10,000 images instead of 45,000, network `small` (one block in each stage, 16, 32, 64 channels) instead of "
       "PreAct ResNet-32, 60 + 36 epochs instead of 200 + 120, batch 64 instead of 128, no augmentation (so few epochs "
       "of augmented images leave no time to memorise)")
MEDIUM = ("all 45,000 images, network `medium` (one block in each stage, 32, 64, 128 channels) instead of PreAct "
          "ResNet-32, 50 + 30 epochs instead of 200 + 120; first update after epoch 18 instead of 70")
SCALES = {
    "cpu": Scale("--subset 10000 --net small --epochs 60 --batch 64 --augment none", 60, CPU),
    "medium": Scale("--net medium --epochs 50", 50, MEDIUM),
    "paper": Scale("--net paper", EPOCHS, "the paper's network, images and epochs"),
}
DIGITS = {"cpu": Scale("--quick", 20, "2,000 embedded digits; step 1 has 20 epochs")}
FEATURES = {"cpu": Scale("--subset 10000 --backbone efficientnet-lite0", 30,
                         "10,000 images of CIFAR-10; the default for own photographs: a head on features of "
                         "EfficientNet-Lite0, five folds, the noise posterior")}


class Experiment(NamedTuple):
    """One table or figure."""
    title: str
    paper: str                         # where the paper has it; "" if it does not
    shape: str                         # of the table: "rates" as in the paper, or "lines", one row for each line
    picture: str                       # the function of experiments/figures.py that draws it
    both_steps: bool = True            # False: step 2 is one epoch, as only step 1 is looked at
    data: str = "cifar10"              # or digits
    scales: dict = SCALES              # {name: Scale}
    caption: str = ""                  # under the title: what to know beside the file of runs
    scored: bool = False               # the table has precision and recall of the corrections, too


UNSURE = "cannot be read in any source"
EXPERIMENTS = {
    "sn-cifar": Experiment("SN-CIFAR: symmetric noise", "table, SN-CIFAR", "rates", "rates"),
    "an-cifar": Experiment("AN-CIFAR: asymmetric noise", "table, AN-CIFAR", "rates", "rates"),
    "pl-cifar": Experiment(
        "PL-CIFAR: labels made by k-means++", "table, PL-CIFAR", "lines", "over_epochs",
        caption="The paper's labels are 62.5 % correct (certain); its results were found nowhere. In words: the labels "
                "are hardly corrected (certain)."),
    "learning-rate": Experiment(
        "Learning rate and noise rate", "figure, learning rates", "lines", "learning_rates", both_steps=False,
        caption=f"The paper: under noise a higher rate tests better (certain); its rates and values {UNSURE}."),
    "memorisation": Experiment(
        "Memorisation at r = 0.9", "figure, memorisation", "lines", "memorised", both_steps=False,
        caption="The paper: even at r = 0.9 the training loss can be driven to 0 (certain), by a low rate (inferred)."),
    "update": Experiment(
        "Hard, top-50, top-500, top-5000 and soft labels", "figure, hard against soft", "lines", "over_epochs",
        both_steps=False,
        caption=f"The paper: soft converges fastest and ends highest (certain); its values {UNSURE}."),
    "terms": Experiment("Each term left out", "", "lines", "over_epochs",
                        caption="--begin 200: the labels are updated once, after the last epoch of step 1; step 2 "
                                "learns those."),
    "average": Experiment("K, the epochs that are averaged", "", "lines", "over_epochs", both_steps=False),
    "begin": Experiment("The epoch of the first update", "", "lines", "over_epochs", both_steps=False),
    "augmentation": Experiment("Augmentation and memorisation", "", "lines", "over_epochs"),
    "seeds": Experiment("Other seeds", "", "lines", "over_epochs"),
    "sensitivity": Experiment("Sensitivity to the settings, embedded digits", "", "lines", "sensitivity",
                              both_steps=False, data="digits", scales=DIGITS, scored=True, caption=(
                                  "Precision: the fraction of the changed labels that are correct then; recall: the "
                                  "fraction of the wrong labels that are correct then, not only suspected. The line "
                                  "with three changes has alpha, beta and begin of recipe `unknown`, that with --batch "
                                  "all of it, scaled to 2,000 images.")),
    "sensitivity-features": Experiment(
        "Sensitivity to the settings, heads on pretrained features", "", "lines", "sensitivity", scales=FEATURES,
        scored=True,
        caption="Correct labels: those of step 1, of which the program uses only the network. Precision and recall: of "
                "all suggestions of the posterior; in the picture --sure is the threshold on it."),
}


def lines(name, scale, data="cifar-10-batches-py", options=(), seeds=1):
    """[(line, Config)] of an experiment at a scale. options: words in front of each line; seeds: 0 .. seeds - 1 of it.

    The data are not looked at. Raises InputError.
    """
    found, kind = EXPERIMENTS[name].scales, EXPERIMENTS[name].data
    need(scale in found,
         f"--scale {scale}: {name} has the scale{'s' * (len(found) > 1)} {', '.join(found)}")

    def config_of(words):
        start = [] if kind == "digits" else ["--data", data]
        words = [moved(word, found[scale].epochs) for word in words]
        args = parse(["run", *start, *found[scale].options.split(), *options, *words])
        config = configuration(args, Source(kind, data))
        return config if EXPERIMENTS[name].both_steps else config._replace(
            recipe=config.recipe._replace(epochs2=1, drops2=(1,)))

    runs = sweep.read(FOLDER / f"{name}.txt", config_of)
    return [(" ".join([line, *seed]), config_of([*line.split(), *seed]))
            for line, _ in runs for seed in seeds_for(line, seeds)]


def seeds_for(line, seeds):
    """What is added to a line for each seed; nothing where it names its own, or for seed 0."""
    if "--seed" in line:
        return [()]
    return [() if seed == 0 else ("--seed", str(seed)) for seed in range(seeds)]


def moved(word, epochs):
    """{70} -> epoch 70 of the paper's 200, among so many epochs."""
    return re.sub(r"^\{(\d+)\}$", lambda found: str(max(1, round(int(found[1]) * epochs / EPOCHS))), word)


def short(line, all_lines):
    """The line without the words that all lines share, and without its seed: how it differs."""
    words, others = sweep.without_seed(line), [pairs(sweep.without_seed(other)) for other in all_lines]
    own = [pair for pair in pairs(words) if not all(pair in other for other in others)]
    return " ".join(own).replace("{", "").replace("}", "") or "as the recipe"


def pairs(line):
    """--a 1 --b --c 2 -> ["--a 1", "--b", "--c 2"]"""
    return re.findall(r"--\S+(?: (?!--)\S+)*", line)
