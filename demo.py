"""Learning with noisy labels: better labels and a trained network from images whose labels cannot be trusted.

The method of "Joint Optimization Framework for Learning with Noisy Labels" (Tanaka et al., CVPR 2018):
step 1 trains a network and its labels in turn, step 2 trains a fresh network on the labels found.
"""
import argparse
import sys
from pathlib import Path

from core import sweep
from core.errors import InputError
from core.noise import CIFAR10_MAP
from core.recipes import RECIPES, shortened
from core.report import console
from core.report.folder import free_name
from core.run import NETS, NOISES, Config, run

EXAMPLES = """examples
  python demo.py                                   embedded digits, half of their labels redrawn at random; about a minute
  python demo.py --noise pair --rate 0.3 --seed 1  other noise on the same digits
  python demo.py --compare                         with plain cross-entropy training beside it
  python demo.py --gpu --data cifar-10-python.tar.gz --recipe sn-70        the paper's experiment: 70 % symmetric noise
  python demo.py --data cifar-10-batches-py --recipe an-40 --subset 10000 --net small --epochs 40      a small one for the CPU

Every run writes a folder: labels, soft labels, weights, a log, pictures, and all settings. See README.md.
"""


def parser():
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = p.add_argument_group("what to learn from").add_argument
    add("--data", metavar="PATH", default="digits",
        help="CIFAR-10: the folder cifar-10-batches-py or the downloaded .tar.gz, as it is. Default: embedded digits, no download")
    add("--subset", type=int, metavar="N", help="use N of CIFAR-10's 45,000 training images, the same share of every class")
    add("--noise", choices=NOISES, metavar="KIND",
        help="what is done to the true labels: symmetric (redrawn over all classes, as in the paper), symmetric-others (over the "
             "other classes), asymmetric (--map, or the paper's for CIFAR-10), pair (class c becomes c + 1), matrix (--noise-file: "
             "transition probabilities, .npy or .csv), labels (--noise-file: given labels, .npy or .csv), none. "
             "Default: the recipe's, or symmetric")
    add("--rate", type=float, metavar="R", help="part of the labels that the noise touches, 0 to 1. Default: the recipe's, or 0.5")
    add("--noise-file", metavar="FILE", help="for --noise matrix and --noise labels")
    add("--map", metavar="A:B,...", help="for --noise asymmetric: labels of class A become B, by number: 9:1,2:0")

    add = p.add_argument_group("how to learn").add_argument
    add("--recipe", choices=RECIPES, metavar="NAME",
        help=f"the settings of one of the paper's experiments, with its noise: {', '.join(RECIPES)}. "
             "Default: digits, or sn-50 for CIFAR-10")
    add("--net", choices=NETS,
        help="paper: PreAct ResNet-32; medium: one block a stage; small: half as wide too. Default: small for digits, else paper")
    add("--epochs", type=int, metavar="E", help="epochs of step 1; step 2 and all landmarks are scaled alike")
    add("--lr", type=float, metavar="X", help="learning rate of step 1. Default for this and the next five: the recipe's")
    add("--alpha", type=float, metavar="X", help="weight of the prior loss L_p")
    add("--beta", type=float, metavar="X", help="weight of the entropy loss L_e")
    add("--begin", type=int, metavar="E", help="the labels are updated after this epoch for the first time")
    add("--K", type=int, metavar="E", help="number of epochs whose predictions are averaged")
    add("--batch", type=int, metavar="B", help="images in a batch; fewer mean more steps an epoch")
    add("--update", metavar="KIND", help="label update: soft (default), hard, or hard-50: only the 50 labels that disagree most")
    add("--predict", choices=("training", "evaluation"),
        help="where the predictions for the update come from: the training pass (default, as the official code) or a clean "
             "evaluation pass after the epoch")
    add("--prior", metavar="P",
        help="class prior of L_p: uniform (default), given (frequencies of the given labels), or weights: 1,1,2,...")
    add("--compare", action="store_true", help="train by plain cross-entropy on the given labels too, for as many epochs")
    add("--no-augment", action="store_true",
        help="show the images as they are, not cropped and mirrored: learns its images sooner, generalises less")
    add("--seed", type=int, default=0, help="of data, noise, order, weights. Default: 0")
    add("--quick", action="store_true", help="a smoke run on half of the digits, in seconds: shows that all works")

    add = p.add_argument_group("where").add_argument
    add("--gpu", type=int, nargs="?", const=0, metavar="N", help="compute on CUDA device N (default 0) through CuPy")
    add("--ranks", type=int, metavar="N",
        help="processes that share the work on the CPU. Default: one for each available processor")
    add("--out", metavar="FOLDER", help="the run folder. Default: a new one in runs/")
    add("--force", action="store_true", help="replace a run that is already in --out")
    add("--sweep", metavar="FILE",
        help="many runs: FILE has the options of one run on each line. Complete ones are not run again. "
             "Default --out: runs/ and FILE's name")
    add("--jobs", type=int, metavar="N", help="runs of the sweep at a time. Default: one for each available processor")
    return p


def configuration(args):
    """The Config that the arguments ask for; InputError where they do not fit together."""
    on_digits = args.data == "digits"
    name = args.recipe or ("quick" if args.quick else "digits" if on_digits else "sn-50")
    kind, rate = noise_of(name)
    kind, rate = args.noise or kind, rate if args.rate is None else args.rate
    recipe = RECIPES[name]
    if args.epochs is not None:
        check(args.epochs >= 1, "--epochs must be at least 1")
        recipe = shortened(recipe, args.epochs)
    changed = {field: getattr(args, field) for field in ("lr", "alpha", "beta", "begin", "K", "batch", "update", "predict")
               if getattr(args, field) is not None}
    if changed or args.prior:
        recipe = recipe._replace(**changed, source=f"{recipe.source}; changed: {', '.join([*changed, *['prior'] * bool(args.prior)])}")
    if args.prior:
        recipe = recipe._replace(prior=prior_of(args.prior))
    check_settings(args, recipe, rate, kind, on_digits)
    class_map = map_of(args.map, on_digits) if kind == "asymmetric" else None
    label = f"{'digits' if on_digits else 'cifar10'}-{kind}" + (f"-{rate:g}" if kind not in ("matrix", "labels", "none") else "")
    return Config(recipe, args.data, args.subset, kind, rate, args.noise_file, class_map,
                  not args.no_augment, args.net or ("small" if on_digits else "paper"), args.gpu, args.ranks, args.seed, args.compare,
                  (2000, 200, 400) if args.quick else (4000, 500, 1000),
                  args.out or str(free_name("runs", f"{label}-seed{args.seed}")), args.force)


def noise_of(recipe):
    """The noise that belongs to a recipe of the paper: sn-70 -> symmetric, 0.7"""
    kind, _, percent = recipe.partition("-")
    return ("asymmetric" if kind == "an" else "symmetric"), int(percent) / 100 if percent else 0.5


def check(good, text):
    """InputError(text) unless good."""
    if not good:
        raise InputError(text)


def check_settings(args, recipe, rate, kind, on_digits):
    """Everything about the arguments that argparse cannot see."""
    check(0 <= rate <= 1, f"--rate {rate:g}: the rate is a fraction between 0 and 1, for example 0.5")
    check(args.ranks is None or 1 <= args.ranks <= 1024, f"--ranks {args.ranks}: choose 1 or more")
    check(args.seed >= 0, f"--seed {args.seed}: the seed is a whole number from 0 on")
    check(0 < recipe.lr < float("inf"), f"--lr {recipe.lr:g}: the learning rate must be a positive number")
    check(0 <= recipe.alpha < float("inf") and 0 <= recipe.beta < float("inf"), "--alpha and --beta must be numbers >= 0")
    check(min(recipe.begin, recipe.K, recipe.batch) >= 1, "--begin, --K and --batch must be at least 1")
    top = recipe.update.removeprefix("hard-")
    check(recipe.update in ("soft", "hard") or (top != recipe.update and top.isdigit()),
          f"--update {recipe.update}: choose soft, hard, or hard- and a number, for example hard-50")
    check(not (on_digits and args.subset), "--subset is for CIFAR-10 (--data PATH)")
    check(not (args.quick and not on_digits), "--quick is for the embedded digits; for CIFAR-10 use --subset and --epochs")
    check((kind in ("matrix", "labels")) == (args.noise_file is not None),
          "--noise matrix and --noise labels need --noise-file FILE, and the other kinds of noise take none")
    check(args.map is None or kind == "asymmetric", "--map is for --noise asymmetric")


def map_of(text, on_digits):
    """{from: to} of "9:1,2:0"; the paper's map for CIFAR-10 when there is no text."""
    if text is None:
        check(not on_digits, "--noise asymmetric on the digits needs a --map, for example --map 1:7,7:1,3:8,5:6,4:9")
        return CIFAR10_MAP
    try:
        pairs = [tuple(int(c) for c in pair.split(":")) for pair in text.split(",")]
        class_map = {a: b for a, b in pairs}
    except ValueError:
        pairs, class_map = [(-1, -1)], {}
    check(len(class_map) == len(pairs) and all(0 <= c <= 9 for pair in pairs for c in pair),
          f"--map {text}: write class numbers 0 to 9 as from:to with commas between, every class once on the left, "
          "for example 9:1,2:0")
    return class_map


def prior_of(text):
    """"uniform", "given", or ten weights."""
    if text in ("uniform", "given"):
        return text
    try:
        weights = [float(w) for w in text.split(",")]
    except ValueError:
        weights = []
    check(len(weights) == 10 and all(0 <= w < float("inf") for w in weights) and sum(weights) > 0,
          f"--prior {text}: choose uniform, given, or ten weights >= 0 with commas between")
    return tuple(weights)


def main(argv=None):
    """Run the command line; returns the exit status."""
    args = parser().parse_args(argv)
    try:
        if args.sweep:
            return sweep_main(args)
        config = configuration(args)
        result = run(config, console.watched, print)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted: the epochs that were finished are in log.jsonl of the run folder.", file=sys.stderr)
        return 130
    print(console.table(result))
    print(f"\nlabels, weights, log and pictures: {config.out}")
    return 0


def sweep_main(args):
    """All runs of a sweep file, and their table."""
    runs = sweep.read(args.sweep, lambda line: configuration(parser().parse_args(line)))
    check(args.jobs is None or args.jobs >= 1, f"--jobs {args.jobs}: choose 1 or more")
    print(sweep.sweep(runs, args.out or Path("runs", Path(args.sweep).stem), args.jobs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
