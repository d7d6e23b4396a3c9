"""The command line: what can be asked for, and the Config that follows from it."""
import argparse
from collections import Counter
from pathlib import Path

from core import backend
from core.data import own
from core.data.source import listed
from core.errors import need
from core.noise import CIFAR10_MAP
from core.recipes import RECIPES, scaled, shortened
from core.report.folder import free_name
from core.run import AUGMENTS, NETS, NOISES, RATED, Config, check

DESCRIPTION = """Learning with noisy labels: better labels and a trained network from images whose labels cannot be trusted.

The method of "Joint Optimization Framework for Learning with Noisy Labels" (Tanaka et al., CVPR 2018):
step 1 trains a network and its labels in turn, step 2 trains a fresh network on the labels found.
"""
EXAMPLES = """examples
  python demo.py                                   embedded digits, half of their labels redrawn at random; about a minute
  python demo.py --noise pair --rate 0.3 --seed 1  other noise on the same digits
  python demo.py --compare                         with plain cross-entropy training beside it
  python demo.py --data photos --check             your own images, photos/CLASS/...: looks at them, says how long it will take
  python demo.py --data photos                     better labels, the suspicious ones listed, a page to review them, a classifier
  python demo.py --predict new.jpg --from runs/photos                      what the classifier says of another image
  python demo.py --gpu --data cifar-10-python.tar.gz --recipe sn-70        the paper's experiment: 70 % symmetric noise
  python demo.py --data cifar-10-batches-py --recipe an-40 --subset 10000 --net small --epochs 40      a small one for the CPU

Every run writes a folder: labels, a list of the suspicious ones, report.html, weights, a log, pictures, all settings. See README.md.
"""

QUICK = (2000, 200, 400)               # training, validation and test images of --quick
SURE = 0.9                             # of a new label for own images: docs/own-data.md has the trials
UNEVEN = 4                             # times as many images in a class as in another: the uniform prior would be far off


def parser():
    """The command line."""
    p = argparse.ArgumentParser(description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = p.add_argument_group("what to learn from").add_argument
    add("--data", metavar="PATH", default="digits",
        help="your images: a folder with a folder of images for each class, or a .csv table with the columns path and label. Or "
             "CIFAR-10: the folder cifar-10-batches-py or the downloaded .tar.gz, as it is. Default: embedded digits, no download")
    add("--check", action="store_true",
        help="read the data, print counts, problems, and the time and memory that the run would need here, and stop")
    add("--size", type=int, metavar="S", help="your images are scaled and cropped to S x S pixels. Default: 32")
    add("--test", metavar="PATH", help="a folder or table of images, of the same classes, to measure the classifier by")
    add("--truth", metavar="FILE", help="true labels of some or all of your images (.csv or .npy): the result is measured by them")
    add("--held-out", type=float, metavar="R",
        help="part of your images that is held out for validation. Default: 0, all labels are to be corrected")
    add("--cache", metavar="FOLDER", help="where decoded images are kept for the next run. Default: not at all")
    add("--subset", type=int, metavar="N", help="use N of CIFAR-10's 45,000 training images, the same share of every class")
    add("--noise", choices=NOISES, metavar="KIND",
        help="what is done to the true labels: symmetric (redrawn over all classes, as in the paper), symmetric-others (over the "
             "other classes), asymmetric (--map, or the paper's for CIFAR-10), pair (class c becomes c + 1), matrix (--noise-file: "
             "transition probabilities, .npy or .csv), labels (--noise-file: given labels, .npy or .csv), none. "
             "Default: the recipe's; none for your own images")
    add("--rate", type=float, metavar="R", help="part of the labels that the noise touches, 0 to 1. Default: the recipe's, or 0.5")
    add("--noise-file", metavar="FILE", help="for --noise matrix and --noise labels")
    add("--map", metavar="A:B,...", help="for --noise asymmetric: labels of class A become B, by number: 9:1,2:0")

    add = p.add_argument_group("how to learn").add_argument
    add("--recipe", choices=RECIPES, metavar="NAME",
        help=f"the settings of one of the paper's experiments, with its noise: {', '.join(RECIPES)}. "
             "Default: digits, sn-50 for CIFAR-10, or for your own images unknown, fitted to their number")
    add("--net", choices=NETS,
        help="paper: PreAct ResNet-32; medium: one block a stage; small: half as wide too. Default: small for digits, paper for "
             "CIFAR-10 and on a GPU, else medium")
    add("--epochs", type=int, metavar="E", help="epochs of step 1; step 2 and all landmarks are scaled alike")
    add("--lr", type=float, metavar="X", help="learning rate of step 1. Default for this and the next five: the recipe's")
    add("--alpha", type=float, metavar="X", help="weight of the prior loss L_p")
    add("--beta", type=float, metavar="X", help="weight of the entropy loss L_e")
    add("--begin", type=int, metavar="E", help="the labels are updated after this epoch for the first time")
    add("--K", type=int, metavar="E", help="number of epochs whose predictions are averaged")
    add("--batch", type=int, metavar="B", help="images in a batch; fewer mean more steps an epoch")
    add("--update", metavar="KIND", help="label update: soft (default), hard, or hard-50: only the 50 labels that disagree most")
    add("--predictions", dest="predict", choices=("training", "evaluation"),
        help="where the predictions for the update come from: the training pass (default, as the official code) or a clean "
             "evaluation pass after the epoch")
    add("--prior", metavar="P",
        help="class prior of L_p: uniform (default), given (frequencies of the given labels), or weights: 1,1,2,...")
    add("--folds", type=int, metavar="K",
        help="train K more times, each time without one K-th of the images, for probabilities (pred_probs.npy, label_issues.csv) by "
             "networks that never saw the image. Takes K - 1 times as long on top")
    add("--compare", action="store_true", help="train by plain cross-entropy on the given labels too, for as many epochs")
    add("--augment", choices=AUGMENTS,
        help="how images are varied: shifted by up to an eighth of their side (crop), mirrored (flip; not for letters, digits, left "
             "and right), both, none. Less variation learns its images sooner and generalises less. Default: both; flip for your own")
    add("--sure", type=float, metavar="P",
        help="correct a label only where the new one has at least this probability; all are suggested, in label_issues.csv and in "
             "report.html. Default: 0, every label is corrected as in the paper; 0.9 for your own images")
    add("--seed", type=int, default=0, help="of data, noise, order, weights. Default: 0")
    add("--quick", action="store_true", help="a smoke run on half of the digits, in seconds: shows that all works")

    add = p.add_argument_group("where").add_argument
    add("--gpu", type=int, nargs="?", const=0, metavar="N", help="compute on CUDA device N (default 0) through CuPy")
    add("--precision", choices=backend.PRECISIONS, default="tf32",
        help="matrix products on the GPU: tf32 (default; factors rounded to 10 bits, as in PyTorch's convolutions) or float32")
    add("--kernels", choices=("half", "float"),
        help="with --gpu: this project's own CUDA kernels, which store activations in 16 or 32 bits. Not yet tried on a device")
    add("--ranks", type=int, metavar="N",
        help="processes that share the work on the CPU. Default: one for each available processor")
    add("--out", metavar="FOLDER", help="the run folder. Default: a new one in runs/")
    add("--force", action="store_true", help="replace a run that is already in --out")
    add("--resume", metavar="FOLDER",
        help="go on with the run in FOLDER that was interrupted, to the same result. With --ranks or --gpu elsewhere than it began, "
             "which may change the last bits; with --ranks also without the --kernels that it began with, "
             "and by --kernels with others")
    add("--predict", dest="images", metavar="IMAGES", nargs="+",
        help="classify images by the network of the run in --from: files, folders, or .npy arrays. Prints a table and writes all "
             "probabilities to predictions.csv in --out. Default --out: the run's folder")
    add("--apply", metavar="FILE",
        help="write the labels that follow from the decisions made in the report.html of the run in --from, as a table for --data; "
             "no original is touched. Default --out: cleaned_labels.csv in the run's folder")
    add("--undecided", choices=("given", "suggested"), default="given", help="for --apply: labels without a decision. Default: given")
    add("--from", dest="source", metavar="FOLDER", help="the run for --predict and --apply")
    add("--sweep", metavar="FILE",
        help="many runs: FILE has the options of one run on each line. Complete ones are not run again, interrupted ones go on. "
             "Default --out: runs/ and FILE's name")
    add("--jobs", type=int, metavar="N", help="runs of the sweep at a time. Default: one for each available processor")
    return p


def configuration(args):
    """The Config that the arguments ask for; InputError where they do not fit together. core.run.check looks at the values."""
    kind_of_data = "digits" if args.data == "digits" else "cifar10" if own.is_cifar(args.data) else "own"
    need(not args.quick or (kind_of_data == "digits" and args.recipe is None),
         "--quick has its own data and recipe: leave --data and --recipe away")
    name = args.recipe or ("quick" if args.quick else {"digits": "digits", "cifar10": "sn-50", "own": "unknown"}[kind_of_data])
    recipe = recipe_of(args, name)
    kind, rate = noise_of(name) if kind_of_data != "own" else ("none", 0.5)
    kind = args.noise or kind
    need(args.rate is None or kind in RATED, f"--noise {kind} has no --rate")
    rate = None if kind not in RATED else rate if args.rate is None else args.rate
    label = kind_of_data if kind_of_data != "own" else Path(args.data).resolve().stem
    if (kind_of_data, kind) != ("own", "none"):
        label += f"-{kind}" + ("" if rate is None else f"-{rate:g}")
    config = Config(
        recipe, data=args.data, subset=args.subset, size=args.size, test=args.test, truth=args.truth, held_out=args.held_out,
        cache=args.cache, noise=kind, rate=rate, noise_file=args.noise_file,
        class_map=map_of(args.map, kind == "asymmetric" and kind_of_data == "cifar10"),
        augment=args.augment or ("flip" if kind_of_data == "own" else "both"),
        sure=args.sure if args.sure is not None else SURE if kind_of_data == "own" else 0,
        net=args.net or {"digits": "small", "own": "medium" if args.gpu is None else "paper"}.get(kind_of_data, "paper"),
        gpu=args.gpu, precision=args.precision, kernels=args.kernels, ranks=args.ranks, seed=args.seed, folds=args.folds,
        compare=args.compare, out=args.out or str(free_name("runs", f"{label}-seed{args.seed}")), force=args.force)
    if args.quick:
        config = config._replace(digits=QUICK)
    check(config)
    return config


def recipe_of(args, name):
    """The Recipe of that name, fitted to the data where it is for data of any size, with what the arguments change in it."""
    recipe = RECIPES[name]
    if name == "unknown":
        recipe = fitted(recipe, args.data)
    if args.epochs is not None:
        need(args.epochs >= 1, "--epochs must be at least 1")
        recipe = shortened(recipe, args.epochs)
    changed = {field: getattr(args, field) for field in ("lr", "alpha", "beta", "begin", "K", "batch", "update", "predict")
               if getattr(args, field) is not None}
    if args.prior is not None:
        changed["prior"] = prior_of(args.prior)
    if changed:
        recipe = recipe._replace(**changed, source=f"{recipe.source}; changed: {', '.join(changed)}")
    return recipe


def fitted(recipe, data):
    """The recipe for as many images as `data`, a folder or table, names; where its classes are uneven, with their frequencies."""
    need(data != "digits" and not own.is_cifar(data), "--recipe unknown is for your own images: name them with --data")
    n = Counter(listed(data).labels)
    recipe = scaled(recipe, sum(n.values()))
    return recipe._replace(prior="given") if n and max(n.values()) > UNEVEN * min(n.values()) else recipe


def noise_of(recipe):
    """The noise that belongs to a recipe of the paper, by its name: sn-70 -> symmetric, 0.7.  The digits' is symmetric, 0.5."""
    if recipe in ("digits", "quick", "unknown"):
        return "symmetric", 0.5
    kind, percent = recipe.split("-")
    return {"sn": "symmetric", "an": "asymmetric"}[kind], int(percent) / 100


def map_of(text, papers):
    """{from: to} of "9:1,2:0"; without a text the paper's map for CIFAR-10 where `papers` says so, else None."""
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
    """"uniform", "given", or a weight for each class."""
    if text in ("uniform", "given"):
        return text
    try:
        weights = [float(w) for w in text.split(",")]
    except ValueError:
        weights = []
    need(len(weights) >= 2 and all(w >= 0 for w in weights) and 0 < sum(weights) < float("inf"),
         f"--prior {text}: choose uniform, given, or a weight >= 0 for each class with commas between")
    return tuple(weights)
