"""The one command: a run, or what can be done before and after one. core/options.py says what can be asked for."""
import os
import signal
import sys
import time
from pathlib import Path

from core import apply, rehearsal, state, sweep
from core.errors import InputError, need
from core.launch import speaks
from core.options import configuration, parser
from core.predict import predict
from core.processors import available_processors
from core.ranks import RankFailed
from core.report import console
from core.report.folder import is_complete
from core.resume import kept, stored
from core.run import given_labels, read_data, run


def main(argv=None):
    """Run the command line; returns the exit status."""
    if sys.stdout is None:             # closed by whoever started the program
        sys.stdout = open(os.devnull, "w", encoding="utf-8")
    if not speaks():                   # of the processes that mpirun has started the first says what there is to say
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")
    args = parser().parse_args(argv)
    try:
        do = chosen(args)
        return do(args) if speaks() or do in SHARED else 0
    except (InputError, RankFailed) as error:
        if not speaks():
            time.sleep(2)              # until the first has said it: mpirun ends all of them with this one
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; " + ("the same command goes on where the runs stopped" if args.sweep else
                                   "nothing had been written yet"), file=sys.stderr)
        return 130
    except BrokenPipeError:            # whoever read the output has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def chosen(args):
    """The function that does what is asked for."""
    verbs = {"--predict": (args.images, predict_main), "--apply": (args.apply, apply_main), "--sweep": (args.sweep, sweep_main),
             "--resume": (args.resume, run_main), "--check": (args.check, check_main)}
    asked = [verb for verb, (value, _) in verbs.items() if value]
    need(len(asked) < 2, f"{' and '.join(asked)} are different things to do: choose one")
    need(args.source is None or asked in (["--predict"], ["--apply"]), "--from is for --predict and --apply")
    need(args.jobs is None or asked == ["--sweep"], "--jobs is for --sweep")
    need(args.undecided == "given" or asked not in ([], ["--check"]), "--undecided is for --apply")
    return verbs[asked[0]][1] if asked else run_main


def run_main(args):
    """One run and its table."""
    config = resumed(args) if args.resume else configuration(args)
    folder = Path(config.out)
    if args.resume and is_complete(folder):
        state.remove(folder)
        if speaks():
            print(f"the run in {folder} is complete: nothing is left to be done")
        return 0
    try:
        print(console.table(run(config, console.watched, print, resume=args.resume is not None)))
    except KeyboardInterrupt:
        print(f"\ninterrupted; {kept(config)}", file=sys.stderr)
        return 130
    except RankFailed as error:
        raise RankFailed(f"{error}; {kept(config)}") from None
    print(f"\nlabels, weights, log and pictures: {config.out}\nto look at them and to decide: {folder / 'report.html'}")
    return 0


def check_main(args):
    """What a run would work on, take and need."""
    config = configuration(args)
    reading = read_data(config)
    lines, possible = rehearsal.report(config, reading.data, given_labels(config, reading.data), reading)
    print("\n".join(lines))
    return 0 if possible else 2


def apply_main(args):
    """The labels that follow from a person's decisions."""
    others = given_beside(args, "apply", "source", "out", "force", "undecided")
    need(args.source, "--apply needs the folder of a run: --from FOLDER")
    need(not others, f"--apply takes only --from, --out, --undecided and --force: leave --{', --'.join(others)} away")
    path, told = apply.clean(args.apply, args.source, args.out, args.undecided, args.force)
    print(f"{told}: {path}")
    return 0


def predict_main(args):
    """The network of a run, applied to images."""
    others = given_beside(args, "images", "source", "out", "ranks")
    need(args.source, "--predict needs the folder of a run: --from FOLDER")
    need(not others, f"--predict takes only --from, --out and --ranks: leave --{', --'.join(others)} away")
    need(args.ranks is None or args.ranks >= 1, f"--ranks {args.ranks}: choose 1 or more")
    print("\n".join(predict(args.images, args.source, args.out, args.ranks or available_processors())))
    return 0


def resumed(args):
    """The Config of the run to go on with."""
    others = given_beside(args, "resume", "gpu", "ranks", "kernels")
    need(not others, f"--resume takes only --gpu, --kernels and --ranks: leave --{', --'.join(others)} away, the run has its "
         "settings stored")
    config = stored(args.resume)
    if args.gpu is not None or args.ranks is not None:
        config = config._replace(gpu=args.gpu, ranks=args.ranks, kernels=None if args.gpu is None else config.kernels)
    return config._replace(kernels=args.kernels or config.kernels)


def given_beside(args, *own):
    """The names of the options given, but for some."""
    defaults = vars(parser().parse_args([]))
    return [name.replace("_", "-") for name, value in vars(args).items() if name not in own and value != defaults[name]]


def sweep_main(args):
    """All runs of a sweep file, and their table."""
    others = given_beside(args, "sweep", "out", "jobs")
    need(not others, f"--sweep takes only --out and --jobs; --{', --'.join(others)} belongs on the lines of its file")
    need(args.jobs is None or args.jobs >= 1, f"--jobs {args.jobs}: choose 1 or more")

    def of_line(words):
        line = parser().parse_args(words)
        need(not (line.sweep or line.resume or line.out or line.force or line.jobs or line.ranks), "--sweep, --resume, --out, "
             "--force, --jobs and --ranks are not for the lines of a sweep: it gives every run a folder and a process of its own")
        need(chosen(line) is run_main, "a line of a sweep is a run: leave --check, --predict and --apply away")
        return configuration(line)

    table, errors = sweep.sweep(sweep.read(args.sweep, of_line), args.out or Path("runs", Path(args.sweep).stem), args.jobs)
    print(table)
    print("\n".join(f"error: {error}" for error in errors), file=sys.stderr, end="\n" if errors else "")
    return 2 if errors else 0


SHARED = (run_main, check_main, sweep_main)                            # by all processes that mpirun has started


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)      # a cluster asks for its machine back: as by Ctrl-C
    sys.exit(main())
