"""Learning with noisy labels: better labels and a trained network from images whose labels cannot be trusted.

The method of "Joint Optimization Framework for Learning with Noisy Labels" (Tanaka et al., CVPR 2018):
step 1 trains a network and its labels in turn, step 2 trains a fresh network on the labels found.
"""
import argparse
import os
import sys
from pathlib import Path

from core import sweep
from core.errors import InputError, need
from core.noise import CIFAR10_MAP
from core.ranks import RankFailed
from core.recipes import RECIPES, shortened
from core.report import console
from core.report.folder import free_name
from core.run import NETS, NOISES, RATED, Config, check, run

EXAMPLES = """examples
  python demo.py                                   embedded digits, half of their labels redrawn at random; about a minute
  python demo.py --noise pair --rate 0.3 --seed 1  other noise on the same digits
  python demo.py --compare                         with plain cross-entropy training beside it
  python demo.py --gpu --data cifar-10-python.tar.gz --recipe sn-70        the paper's experiment: 70 % symmetric noise
  python demo.py --data cifar-10-batches-py --recipe an-40 --subset 10000 --net small --epochs 40      a small one for the CPU

Every run writes a folder: labels, soft labels, weights, a log, pictures, and all settings. See README.md.
"""


QUICK = (2000, 200, 400)               # training, validation and test images of --quick


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
    """The Config that the arguments ask for; InputError where they do not fit together. core.run.check looks at the values."""
    on_digits = args.data == "digits"
    need(not args.quick or (on_digits and args.recipe is None), "--quick has its own data and recipe: leave --data and --recipe away")
    name = args.recipe or ("quick" if args.quick else "digits" if on_digits else "sn-50")
    recipe = RECIPES[name]
    if args.epochs is not None:
        need(args.epochs >= 1, "--epochs must be at least 1")
        recipe = shortened(recipe, args.epochs)
    changed = {field: getattr(args, field) for field in ("lr", "alpha", "beta", "begin", "K", "batch", "update", "predict")
               if getattr(args, field) is not None}
    if args.prior is not None:
        changed["prior"] = prior_of(args.prior)
    if changed:
        recipe = recipe._replace(**changed, source=f"{recipe.source}; changed: {', '.join(changed)}")

    kind, rate = noise_of(name)
    kind = args.noise or kind
    need(args.rate is None or kind in RATED, f"--noise {kind} has no --rate")
    rate = None if kind not in RATED else rate if args.rate is None else args.rate
    label = f"{'digits' if on_digits else 'cifar10'}-{kind}" + ("" if rate is None else f"-{rate:g}")
    config = Config(
        recipe, data=args.data, subset=args.subset, noise=kind, rate=rate, noise_file=args.noise_file,
        class_map=map_of(args.map, kind == "asymmetric" and not on_digits), augment=not args.no_augment,
        net=args.net or ("small" if on_digits else "paper"), gpu=args.gpu, ranks=args.ranks, seed=args.seed, compare=args.compare,
        out=args.out or str(free_name("runs", f"{label}-seed{args.seed}")), force=args.force)
    if args.quick:
        config = config._replace(digits=QUICK)
    check(config)
    return config


def noise_of(recipe):
    """The noise that belongs to a recipe of the paper, by its name: sn-70 -> symmetric, 0.7.  The digits' is symmetric, 0.5."""
    if recipe in ("digits", "quick"):
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
    need(len(class_map) == len(pairs) and all(0 <= c <= 9 for pair in pairs for c in pair),
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
    need(len(weights) == 10 and all(w >= 0 for w in weights) and 0 < sum(weights) < float("inf"),
         f"--prior {text}: choose uniform, given, or ten weights >= 0 with commas between")
    return tuple(weights)


def main(argv=None):
    """Run the command line; returns the exit status."""
    if sys.stdout is None:             # closed by whoever started the program
        sys.stdout = open(os.devnull, "w", encoding="utf-8")
    args = parser().parse_args(argv)
    try:
        return sweep_main(args) if args.sweep else run_main(args)
    except (InputError, RankFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted. " + ("The same command goes on with the runs that are missing." if args.sweep else
                                   "What was finished is in the run folder, if training had begun."), file=sys.stderr)
        return 130
    except BrokenPipeError:            # whoever read the output has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def run_main(args):
    """One run and its table."""
    config = configuration(args)
    need(args.jobs is None, "--jobs is for --sweep")
    print(console.table(run(config, console.watched, print)))
    print(f"\nlabels, weights, log and pictures: {config.out}")
    return 0


def sweep_main(args):
    """All runs of a sweep file, and their table."""
    own, defaults = ("sweep", "out", "jobs"), vars(parser().parse_args([]))
    others = [name for name, value in vars(args).items() if name not in own and value != defaults[name]]
    need(not others, f"--sweep takes only --out and --jobs; --{', --'.join(others)} belongs on the lines of its file")
    need(args.jobs is None or args.jobs >= 1, f"--jobs {args.jobs}: choose 1 or more")

    def of_line(words):
        line = parser().parse_args(words)
        need(not (line.sweep or line.out or line.force or line.jobs or line.ranks), "--sweep, --out, --force, --jobs and --ranks "
             "are not for the lines of a sweep: it gives every run a folder and a process of its own")
        return configuration(line)

    table, errors = sweep.sweep(sweep.read(args.sweep, of_line), args.out or Path("runs", Path(args.sweep).stem), args.jobs)
    print(table)
    print("\n".join(f"error: {error}" for error in errors), file=sys.stderr, end="\n" if errors else "")
    return 2 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
