"""The command line, `demo.py COMMAND ...`: the commands and their options, those of a run from core/run/options.py.

A new command needs a function that adds its options and an entry in COMMANDS here, and a function that runs it and an
entry in DO in demo.py.
"""
import argparse
import os
import shlex
from functools import cache
from itertools import takewhile
from typing import NamedTuple

from core.errors import need
from core.run import options

DESCRIPTION = """Learning with noisy labels: corrects the labels of your images and trains a classifier on them.

The method of "Joint Optimization Framework for Learning with Noisy Labels" (Tanaka et al., CVPR 2018):
step 1 trains a network and its labels in turn, step 2 trains a fresh network on the corrected labels.
"""
EXAMPLES = """\
  python demo.py                                  synthetic digits, half of their labels redrawn; about a minute
  python demo.py check --data photos              your own images, photos/CLASS/...: dry run
  python demo.py --data photos                    find and correct wrong labels, train a classifier
  python demo.py apply decisions.csv --from RUN   write the labels you decided on in report.html
  python demo.py predict new.jpg --from RUN       classify a new image

Without a command the options are those of `run`. `demo.py COMMAND --help` lists the options of a command.
"""


class Command(NamedTuple):
    """One word of the command line."""
    usage: str                         # what is written after it
    what: str                          # one line for `demo.py --help`
    add: object                        # function that adds its options to a parser
    examples: str


def predict_options(p):
    """`predict`"""
    p.add_argument("files", metavar="IMAGES", nargs="+",
                   help="image files, folders of images, or .npy arrays of shape (n, S, S, 3), uint8")
    from_run(p)
    p.add_argument("--network", choices=("step1", "step2"), default="step2",
                   help="the network of step 1, which made the labels, or of step 2 (default). The run names the "
                        "better one where it has validation or test images")
    p.add_argument("--out", metavar="PATH",
                   help="folder or .csv file for the probabilities. Default: predictions.csv in the run folder")
    p.add_argument("--backbone", metavar="FILE",
                   help="the weights of the pretrained network, if the run learnt from its features and the file has "
                        "moved")
    p.add_argument("--ranks", type=int, metavar="N",
                   help="processes that decode images. Default: one per available processor")


def apply_options(p):
    """`apply`"""
    p.add_argument("decisions", metavar="DECISIONS",
                   help="decisions.csv, exported from the run's report.html or written by hand")
    from_run(p)
    p.add_argument("--out", metavar="FILE",
                   help="the .csv file to write; it can be given to --data. Default: cleaned_labels.csv in the run "
                        "folder")
    p.add_argument("--undecided", choices=("given", "suggested"), default="given",
                   help="label of images without a decision. Default: given")
    p.add_argument("--force", action="store_true", help="replace --out if it exists. Your own files are never replaced")


def resume_options(p):
    """`resume`: the run has its other settings stored."""
    p.add_argument("run_folder", metavar="RUN",
                   help="folder of the interrupted run, which holds its other settings")
    p.add_argument("--gpu", type=int, nargs="?", const=0, metavar="N",
                   help="continue on CUDA device N (default: 0). The last bits of the result may change")
    p.add_argument("--ranks", type=int, metavar="N",
                   help="continue in N processes on the CPU, whatever the run began with. The last bits may change")
    p.add_argument("--cache", metavar="FOLDER",
                   help="keep decoded images here, as the run did by this option. Default: no cache")
    p.add_argument("--kernels", choices=("half", "float"), help=argparse.SUPPRESS)


def sweep_options(p):
    """`sweep`"""
    p.add_argument("file", metavar="FILE", help="text file with the options of one run per line; # begins a comment")
    p.add_argument("--out", metavar="FOLDER", help="folder for the run folders. Default: runs/ and the name of FILE")
    p.add_argument("--jobs", type=int, metavar="N", help="runs at a time. Default: one per available processor")


def reproduce_options(p):
    """`reproduce`: experiments/catalogue.py has the experiments and the scales."""
    p.add_argument("experiment", metavar="NAME", nargs="?", help="the experiment; without it they are listed")
    p.add_argument("--list", action="store_true", help="list the experiments, what has been run, and what it costs")
    p.add_argument("--scale", default="cpu", metavar="SCALE",
                   help="cpu: fewer images and epochs, a small network; medium: all images, more of both; paper: as in "
                        "the paper. Default: cpu")
    p.add_argument("--data", metavar="PATH", default="cifar-10-batches-py",
                   help="CIFAR-10: the folder, or the .tar.gz as downloaded. Default: cifar-10-batches-py")
    p.add_argument("--labels", metavar="FILE", help="for pl-cifar: its labels. Default: pl-labels.npy")
    p.add_argument("--seeds", type=int, default=1, metavar="N",
                   help="do every run with the seeds 0 to N - 1. Default: 1")
    p.add_argument("--gpu", type=int, nargs="?", const=0, metavar="N", help="compute on CUDA device N (default: 0)")
    p.add_argument("--only-table", action="store_true",
                   help="start no run: table and picture of the runs that are there")
    p.add_argument("--out", metavar="FOLDER", help="folder for the folders of runs. Default: runs/reproduce")
    p.add_argument("--jobs", type=int, metavar="N",
                   help="runs at a time. Default: one per available processor; with --gpu 1")


def from_run(p):
    """--from, for the commands that use a finished run."""
    p.add_argument("--from", dest="run_folder", metavar="RUN", required=True, help="folder of a finished run")


COMMANDS = {
    "run": Command("[options]", "correct labels and train a classifier; a bare `demo.py` is a run",
                   options.run_options, """\
  python demo.py                                        synthetic digits, half of their labels redrawn at random
  python demo.py run --noise pair --rate 0.3 --seed 1   other noise on the same digits
  python demo.py run --compare                          with plain cross-entropy training as the baseline
  python demo.py run --data photos                      your own images, photos/CLASS/...

  the paper's experiment on CIFAR-10, 70 % symmetric noise; a smaller one for the CPU
  python demo.py run --data cifar-10-python.tar.gz --recipe sn-70 --gpu
  python demo.py run --data cifar-10-python.tar.gz --recipe an-40 --subset 10000 --net small --epochs 40

A run writes a folder: corrected labels, a ranked list of suspicious labels, report.html, weights, log, settings.
"""),
    "check": Command("[options]", "dry run: validate the data, estimate time and memory", options.run_options, """\
  python demo.py check --data photos               the options are those of the run
  python demo.py check --data photos --net small --folds 5

Nothing is written, except decoded images with --cache. Exit status 2: the run would not fit into memory.
"""),
    "predict": Command("IMAGES... --from RUN [options]", "classify images with the network of a run",
                       predict_options, """\
  python demo.py predict new.jpg --from runs/photos-seed0
  python demo.py predict new.jpg folder array.npy --from runs/photos-seed0 --out predictions.csv
"""),
    "apply": Command("DECISIONS --from RUN [options]", "write the labels you decided on in report.html",
                     apply_options, """\
  python demo.py apply decisions.csv --from runs/photos-seed0
  python demo.py apply decisions.csv --from runs/photos-seed0 --undecided suggested --out labels.csv
"""),
    "resume": Command("RUN [options]", "continue an interrupted run from its last checkpoint", resume_options, """\
  python demo.py resume runs/photos-seed0
  python demo.py resume runs/photos-seed0 --ranks 1
"""),
    "sweep": Command("FILE [options]", "do one run per line of a file, and print a table of all", sweep_options, """\
  python demo.py sweep runs.txt --jobs 2

where runs.txt holds, for example:
  --noise symmetric --rate 0.5 --seed 0
  --noise symmetric --rate 0.5 --seed 1

Complete runs are not repeated and interrupted ones are resumed: repeat the command to continue a sweep.
"""),
    "reproduce": Command("[NAME] [options]", "do the runs of one of the paper's tables or figures, and draw it",
                         reproduce_options, """\
  python demo.py reproduce --list
  python demo.py reproduce sn-cifar --data cifar-10-python.tar.gz
  python demo.py reproduce sn-cifar --data cifar-10-python.tar.gz --scale paper --gpu
  python demo.py reproduce sensitivity --only-table

Repeat the command to continue: complete runs are not repeated and interrupted ones are resumed.
"""),
}
OLD_FLAGS = {f"--{name}": name for name in ("check", "predict", "apply", "resume", "sweep")}


@cache              # `reproduce --list` parses the lines of all sweeps: 0.6 s of a processor for 408, not 2.2 s
def parser():
    """The parser of all commands. `parse` handles the old flags and the bare `demo.py`."""
    form = argparse.RawDescriptionHelpFormatter
    p = argparse.ArgumentParser("demo.py", usage="%(prog)s [COMMAND] [options]", description=DESCRIPTION,
                                epilog=f"examples:\n{EXAMPLES}", formatter_class=form)
    commands = p.add_subparsers(dest="command", required=True, title="commands", metavar="COMMAND", prog="demo.py")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, usage=f"%(prog)s {command.usage}", help=command.what, formatter_class=form,
                                  description=f"{command.what[0].upper()}{command.what[1:]}.",
                                  epilog=f"examples:\n{command.examples}")
        sub.set_defaults(fail=sub.error)
        command.add(sub)
    return p


def parse(words):
    """The arguments of a command line, with `command`, and `old_flag` if the command was given as one (else None).

    Raises InputError for two commands or an empty value. For all other mistakes argparse prints a message and raises
    SystemExit(2).
    """
    check_values(words)
    flags = [flag for flag in map(flag_of, words) if flag in OLD_FLAGS]
    asked = dict.fromkeys([*(word for word in words[:1] if word in COMMANDS), *(OLD_FLAGS[flag] for flag in flags)])
    need(len(asked) < 2, f"{' and '.join(asked)} are different commands: choose one")
    first = "".join(words[:1])
    need(first in COMMANDS or first.startswith("-") or not os.path.exists(first),
         f"{first} is not a command: did you mean --data {first}?")
    args, unknown = parser().parse_known_args(with_command(words))
    if unknown:
        data = in_quotes(words, unknown)
        data += [f" (did you mean --data {word}?)" for word in unknown if os.path.exists(word)]
        args.fail(f"unrecognized arguments: {' '.join(unknown)}{''.join(data[:1])}")
    args.old_flag = flags[0] if flags else None
    return args


def in_quotes(words, unknown):
    """What a path with spaces should have been written as, if the words `unknown` and the one before are its parts."""
    start = words.index(unknown[0])
    path = " ".join(words[start - 1:start + len(unknown)])
    meant = start > 1 and words[start:start + len(unknown)] == unknown and os.path.exists(path)
    return [f" (did you mean {words[start - 2]} {shlex.quote(path)}?)"] * meant


def flag_of(word):
    """--data=a -> --data"""
    return word.partition("=")[0]


def check_values(words):
    """Raises InputError for an empty value (--data "", --data=, sweep ""): as a path it means the current folder."""
    name = "demo.py"
    for word in words:
        if word.startswith("--") or word in COMMANDS:
            name = flag_of(word)
        need(word not in ("", f"{name}="), f"{name}: the value is empty; give one, or check the shell variable that it "
             "comes from")


def with_command(words):
    """The words with the command in front.

    --seed 1                     run --seed 1
    --data a --check             check --data a
    --gpu --resume a             resume a --gpu
    --from c --predict a b       predict a b --from c
    """
    at = next((k for k, word in enumerate(words) if flag_of(word) in OLD_FLAGS), None)
    if at is None:
        bare = not words or (words[0].startswith("-") and words[0] not in ("-h", "--help"))
        return ["run", *words] if bare else words
    flag, _, value = words[at].partition("=")
    values = [value] * bool(value) + list(takewhile(lambda word: not word.startswith("-"), words[at + 1:]))
    rest = words[:at] + words[at + 1 + len(values) - bool(value):]
    return [OLD_FLAGS[flag], *values, *(rest[1:] if rest[:1] == [OLD_FLAGS[flag]] else rest)]       # check --check
