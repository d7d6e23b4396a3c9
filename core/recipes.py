"""The paper's settings, each with its source and how sure it is.

    official code      read in the authors' code (github.com/DaikiTanaka-UT/JointOptimization):
                       README commands or defaults
    recalled           remembered from the paper's table and confirmed by no source at hand: a
                       starting point, not a fact
    ours               our choice, found by trying; the source says on what
"""
from typing import NamedTuple


class Recipe(NamedTuple):
    """Everything that the two training steps need beside the data and the network."""
    lr: float                      # step 1, constant
    alpha: float                   # weight of L_p
    beta: float                    # weight of L_e
    source: str = ""               # of lr, alpha and beta
    epochs: int = 200              # step 1                                   official code, default
    begin: int = 70                # labels are first updated after it        official code, default
    K: int = 10                    # epochs that s is averaged over           official code
    update: str = "soft"           # soft, hard or hard-<k>                   paper; its code: soft
    predict: str = "training"      # where s is from; or "evaluation"         official code
    prior: object = "uniform"      # uniform, given, or C weights             official code: uniform
    lr2: float = 0.2               # step 2                                   official code, default
    epochs2: int = 120             # step 2                                   official code, default
    drops2: tuple = (40, 80)       # lr2 is divided by 10 after these epochs  official code
    batch: int = 128               #                                          official code, default
    momentum: float = 0.9          #                                          official code
    decay: float = 1e-4            # weight decay, on every parameter         official code


OFFICIAL, RECALLED = "official code, README", "recalled from the paper, unconfirmed"
OURS = "ours, for the embedded digits"
UNKNOWN = "ours, for labels whose noise is not known"
FOR_HEADS = "ours, for features of photographs"

# DEVIATION 11: the official code has two of these, in its README (docs/paper.md)
RECIPES = {
    # symmetric noise: `sn-70` is SN-CIFAR with r = 70 %
    "sn-0":  Recipe(lr=0.01, alpha=1.2, beta=0.8, source=RECALLED),
    "sn-10": Recipe(lr=0.02, alpha=1.2, beta=0.8, source=RECALLED),
    "sn-30": Recipe(lr=0.03, alpha=1.2, beta=0.8, source=RECALLED),
    "sn-50": Recipe(lr=0.04, alpha=1.2, beta=0.8, source=RECALLED),
    "sn-70": Recipe(lr=0.08, alpha=1.2, beta=0.8, source=OFFICIAL),
    "sn-90": Recipe(lr=0.12, alpha=0.8, beta=0.4, source=RECALLED),
    # asymmetric noise with the paper's class map
    "an-10": Recipe(lr=0.03, alpha=0.8, beta=0.4, source=RECALLED),
    "an-20": Recipe(lr=0.03, alpha=0.8, beta=0.4, source=RECALLED),
    "an-30": Recipe(lr=0.03, alpha=0.8, beta=0.4, source=RECALLED),
    "an-40": Recipe(lr=0.03, alpha=0.8, beta=0.4, source=OFFICIAL),
    "an-50": Recipe(lr=0.03, alpha=0.8, beta=0.4, source=RECALLED),
    # a minute on two cores
    "digits": Recipe(lr=0.1, alpha=1.2, beta=0.8, source=OURS, epochs=30, begin=12, K=5, lr2=0.2,
                     epochs2=12, drops2=(6, 9)),
    # Clothing1M by a pretrained ResNet-50, 32 photographs of 224 x 224 pixels in a mini-batch
    "clothing1m": Recipe(lr=8e-4, alpha=2.4, beta=0.8, source=RECALLED, epochs=10, begin=1, K=1,
                         prior="given", lr2=5e-4, epochs2=10, drops2=(5,), batch=32, decay=1e-3),
    # own images, with labels that are wrong nobody knows how often: scaled() fits it to their
    # number
    "unknown": Recipe(lr=0.1, alpha=0.8, beta=0.4, source=UNKNOWN),
    # heads on features of a pretrained network: smaller_batches() fits them to few images
    "head": Recipe(lr=0.01, alpha=1.2, beta=0.4, source=FOR_HEADS, epochs=30, begin=10, lr2=0.01,
                   epochs2=30, drops2=(20, 26), decay=0.01),
    "linear": Recipe(lr=0.003, alpha=1.2, beta=0.4, source=FOR_HEADS, epochs=40, begin=15,
                     lr2=0.003, epochs2=12, drops2=(8, 10), decay=0.01),
    "quick":  Recipe(lr=0.1, alpha=1.2, beta=0.8, source=OURS, epochs=20, begin=12, K=3, lr2=0.2,
                     epochs2=6, drops2=(4, 5)),
}


ITERATIONS = 5000                      # of SGD in step 1: as 64 epochs of 10,000 images
EPOCHS = (20, 200)                     # at least and at most


def scaled(recipe, N):
    """The recipe for N images: smaller batches where there are few,
    and as many epochs as ITERATIONS allows."""
    recipe = smaller_batches(recipe, N)
    epochs = min(max(EPOCHS[0], round(ITERATIONS * recipe.batch / max(1, N))), EPOCHS[1])
    return shortened(recipe, epochs)


def smaller_batches(recipe, N):
    """The recipe with its batch halved, and the learning rates with it,
    until an epoch of N images has 16 batches or a batch has 16 images."""
    batch = recipe.batch
    while batch > 16 and N < 16 * batch:
        batch //= 2
    scale = batch / recipe.batch
    return recipe._replace(batch=batch, lr=recipe.lr * scale, lr2=recipe.lr2 * scale)


def shortened(recipe, epochs):
    """The recipe with both steps' lengths and their landmarks scaled so that step 1 has `epochs`
    epochs.

    The updates begin after at least one epoch and K shrinks where it must,
    so that s is a mean of epochs before the first update.
    """
    scale = epochs / recipe.epochs
    begin = max(1, round(recipe.begin * scale))
    return recipe._replace(epochs=epochs, begin=begin, K=min(recipe.K, begin),
                           epochs2=max(1, round(recipe.epochs2 * scale)),
                           drops2=tuple(max(1, round(d * scale)) for d in recipe.drops2))


def baseline(recipe):
    """Plain cross-entropy in the same budget: as many epochs as both steps together,
    lr2 divided by 10 after each third."""
    epochs = recipe.epochs + recipe.epochs2
    return recipe._replace(epochs2=epochs, drops2=(epochs // 3, 2 * epochs // 3))
