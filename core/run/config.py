"""The settings of a run, and the check that they make sense together."""
import math
from typing import NamedTuple

from core import backend
from core.errors import need
from core.parallel.processors import check_number
from core.recipes import Recipe
from nets.families import NETS

RATED = ("symmetric", "symmetric-others", "asymmetric", "pair")
AUGMENTS = ("both", "crop", "flip", "none")
FROM_FILE = ("matrix", "labels")
LARGEST = 1_000_000                    # epochs or images of a batch: more are a mistake
NOISES = (*RATED, *FROM_FILE, "none")


class Config(NamedTuple):
    """Everything that decides the outcome of a run."""
    recipe: Recipe
    data: str = "digits"               # or the path of CIFAR-10, of a folder of images, or of a table of them
    subset: int = None                 # of CIFAR-10's training images; None: all
    size: int = None                   # pixels to the side of own images; None: 32
    test: str = None                   # own test images, a folder or table
    truth: str = None                  # file of true labels of own images
    held_out: float = None             # part of own images for validation; None: 0
    cache: str = None                  # folder that keeps decoded images
    noise: str = "symmetric"           # one of NOISES
    rate: float = 0.5                  # None for the kinds of noise that have no rate
    noise_file: str = None             # for matrix and labels
    class_map: dict = None             # for asymmetric
    augment: str = "both"              # crop (random shifts), flip (mirror images), both, or none
    sure: float = 0                    # confidence threshold: smallest probability of a corrected label
    net: str = "small"                 # one of nets.families.NETS
    gpu: int = None                    # device number; None: NumPy
    precision: str = "tf32"            # of matrix products on the GPU, one of backend.PRECISIONS
    kernels: str = None                # hand-written CUDA kernels that store half or float; None: CuPy's functions
    ranks: int = None                  # processes that share the training on the CPU; None: one per processor
    seed: int = 0
    folds: int = None                  # folds of cross-validation for pred_probs; None: predictions of step 1
    compare: bool = False              # also train the baseline: plain cross-entropy on the given labels
    digits: tuple = (4000, 500, 1000)  # training, validation and test images of the embedded data
    out: str = None                    # the run folder; None: nothing is written
    force: bool = False                # replace an existing run


def check(config, kind):
    """Raises InputError for settings that make no sense, or none for this kind of data (core/data/source.py).

    The messages name the options of the command line.
    """
    r = config.recipe
    need(config.noise in NOISES and config.net in NETS,
         f"the noise must be one of {NOISES} and the net one of {tuple(NETS)}")
    need(config.noise not in RATED or (config.rate is not None and 0 <= config.rate <= 1),
         f"--rate {config.rate}: the rate is a fraction between 0 and 1, for example 0.5")
    need((config.noise in FROM_FILE) == (config.noise_file is not None),
         "--noise matrix and --noise labels need --noise-file FILE, and the other kinds of noise take none")
    need((config.noise == "asymmetric") == (config.class_map is not None),
         "--noise asymmetric needs a --map, for example --map 1:7,7:1,3:8,5:6,4:9, and the other kinds of noise take "
         "none")
    need(config.folds is None or config.folds >= 2, f"--folds {config.folds}: choose 2 or more, for example 5")
    need(config.augment in AUGMENTS, f"--augment {config.augment}: choose one of {', '.join(AUGMENTS)}")
    need(0 <= config.sure <= 1, f"--sure {config.sure}: give a probability, 0 to 1")
    need(config.seed >= 0, f"--seed {config.seed}: the seed is a whole number from 0 on")
    need(config.subset is None or kind == "cifar10", "--subset is for CIFAR-10 (--data PATH)")
    need(kind == "own" or (config.size, config.test, config.truth, config.held_out, config.cache) == (None,) * 5,
         "--size, --test, --truth, --held-out and --cache are for your own images (--data PATH)")
    need(config.kernels is None or config.gpu is not None, "--kernels is for --gpu")
    need(config.precision in backend.PRECISIONS,
         f"--precision {config.precision}: choose {' or '.join(backend.PRECISIONS)}")
    need(config.ranks is None or config.gpu is None, f"--ranks {config.ranks}: leave it out with --gpu")
    if config.ranks is not None:
        check_number("--ranks", config.ranks)
    need(0 < r.lr < math.inf and 0 < r.lr2 < math.inf, f"--lr {r.lr:g}: the learning rate must be a positive number")
    need(0 <= r.alpha < math.inf and 0 <= r.beta < math.inf, "--alpha and --beta must be numbers >= 0")
    need(min(r.K, r.batch, r.epochs, r.epochs2) >= 1, "--K, --batch and --epochs must be at least 1")
    need(max(r.epochs, r.epochs2, r.batch) <= LARGEST, f"--batch and --epochs must be at most {LARGEST:,}")
    need(1 <= r.begin <= r.epochs,
         f"--begin {r.begin}: the labels are first updated after one of the {r.epochs} epochs of step 1")
    number = r.update.removeprefix("hard-")
    need(r.update in ("soft", "hard") or (number != r.update and number.isdecimal() and int(number) >= 1),
         f"--update {r.update}: choose soft, hard, or hard- and a number, for example hard-50")
