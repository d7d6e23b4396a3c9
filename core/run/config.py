"""The settings of a run, and the check that they make sense together."""
import math
import os
from pathlib import Path
from typing import NamedTuple

from core import backend
from core.errors import need
from core.files import is_inside
from core.parallel.processors import check_number
from core.recipes import Recipe
from core.run.folder import free_name
from nets.families import BACKBONES, FINETUNED, HEADS, NETS

RATED = ("symmetric", "symmetric-others", "asymmetric", "pair")
AUGMENTS = ("both", "crop", "flip", "none")
FROM_FILE = ("matrix", "labels")
CIFAR = ("cifar10", "cifar100")        # kinds of data
LARGEST = 1_000_000                    # epochs or images of a batch: more are a mistake
NOISES = (*RATED, *FROM_FILE, "none")


class Config(NamedTuple):
    """Everything that decides the outcome of a run."""
    recipe: Recipe
    data: str = "digits"               # or the path of CIFAR-10, of a folder of images, or of a table of them
    subset: int = None                 # of CIFAR-10's training images; None: all
    size: int = None                   # pixels to the side of own images; None: 32
    path_column: str = None            # these four: core/data/how.py
    label_column: str = None
    images: str = None
    labels: str = None
    test: str = None                   # own test images, a folder or table
    truth: str = None                  # file of true labels of own images
    held_out: float = None             # part of own images for validation; None: 0
    cache: str = None                  # folder that keeps decoded images
    follow_links: bool = False         # in folders of own images also links that lead out of them
    noise: str = "symmetric"           # one of NOISES
    rate: float = 0.5                  # None for the kinds of noise that have no rate
    noise_file: str = None             # for matrix and labels
    class_map: dict = None             # for asymmetric
    augment: str = "both"              # crop (random shifts), flip (mirror images), both, or none
    sure: float = 0                    # confidence threshold: smallest probability of a corrected label
    net: str = "small"                 # one of nets.families.NETS, or of HEADS with features
    backbone: str = None               # pretrained network whose features a head learns from: of BACKBONES, or a file
    features: str = None               # file of features of any other network
    finetune: bool = False             # train all weights of the backbone, and no head on its features
    gpu: int = None                    # device number; None: NumPy
    precision: str = "tf32"            # of matrix products on the GPU, one of backend.PRECISIONS
    kernels: str = None                # hand-written CUDA kernels that store half or float; None: CuPy's functions
    ranks: int = None                  # processes that share the training on the CPU; None: one per processor
    seed: int = 0
    folds: int = None                  # folds of cross-validation for pred_probs; None: predictions of step 1
    posterior: bool = False            # decide on labels by the noise posterior of pred_probs, not by the soft labels
    compare: bool = False              # also train the baseline: plain cross-entropy on the given labels
    digits: tuple = (4000, 500, 1000)  # training, validation and test images of the embedded data
    out: str = None                    # the run folder; None: nothing is written
    force: bool = False                # replace an existing run


def check(config, kind):
    """Raises InputError for settings that make no sense, or none for this kind of data (core/data/source.py).

    The messages name the options of the command line.
    """
    r = config.recipe
    need(config.noise in NOISES and config.net in (*NETS, *HEADS, FINETUNED),
         f"the noise must be one of {NOISES} and the net one of {(*NETS, *HEADS)}")
    (check_finetuning if config.finetune else check_features)(config)
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
    need(config.subset is None or kind in CIFAR, "--subset is for CIFAR-10 (--data PATH)")
    need(kind == "own" or (config.test, config.held_out) == (None,) * 2,
         "--test and --held-out are for your own images (--data PATH)")
    need(kind == "own" or config.backbone or (config.size, config.cache) == (None,) * 2,
         "--size and --cache are for your own images (--data PATH) and for --backbone")
    need(kind != "digits" or config.truth is None, "--truth is for data with labels of their own (--data PATH)")
    need(kind == "own" or (config.path_column, config.images, config.labels) == (None,) * 3,
         "--path-column, --images and --labels are for your own images (--data PATH)")
    need(kind != "digits" or config.label_column is None, "--label-column is for a table, arrays and CIFAR-100 "
                                                          "(--data PATH)")
    need(kind == "own" or not config.follow_links, "--follow-links is for your own images (--data PATH)")
    for data in filter(None, (config.data, config.test) if kind == "own" and config.out else ()):
        need(not is_inside(config.out, data),
             f"{config.out} is inside the data, {data}, into which nothing is written: "
             f"choose another folder with --out, for example {outside(config.out, data)}")
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


def check_features(config):
    """Raises InputError for settings of features and of networks on images that do not fit together."""
    on_features = config.backbone is not None or config.features is not None
    need(config.backbone is None or config.features is None,
         "--backbone and --features both say what the network sees: choose one")
    need(config.backbone is None or config.backbone in BACKBONES or Path(config.backbone).is_file(),
         f"--backbone {config.backbone}: choose {' or '.join(BACKBONES)}, none, or a file of weights")
    need(on_features or config.net not in HEADS,
         f"--net {config.net} is trained on features: choose --backbone or --features with it")
    need(config.net in HEADS or not on_features,
         f"--net {config.net} is trained on images: choose {' or '.join(HEADS)} on features, or --backbone none")
    need(config.augment == "none" or config.features is None,
         f"--augment {config.augment} is for images: leave it out with --features")
    need(config.augment in ("flip", "none") or config.backbone is None,
         f"--augment {config.augment}: with --backbone choose flip, which computes the features of mirrored images as "
         "well, or none")
    need(not config.posterior or config.folds is not None,
         "--posterior decides by out-of-sample probabilities: it needs --folds, for example 5")


def check_finetuning(config):
    """Raises InputError for settings that do not go with --finetune."""
    need(config.backbone is not None and config.backbone not in BACKBONES and Path(config.backbone).is_file(),
         "--finetune trains all weights of a ResNet: name the file of its weights with --backbone")
    need(config.features is None, "--finetune trains on images: leave out --features")
    need(config.net == FINETUNED, f"--net {config.net}: with --finetune the network is the backbone's, leave out --net")
    need(not config.posterior or config.folds is not None,
         "--posterior decides by out-of-sample probabilities: it needs --folds, for example 5")


def outside(out, data):
    """A folder for the run beside the folder of the images."""
    return free_name(Path(os.path.realpath(data)).parent / "runs", Path(out).name)
