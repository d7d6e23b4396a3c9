"""The program: `demo.py COMMAND ...`. core/run/commands.py has the commands and their options."""
import os
import signal
import sys
import time
from pathlib import Path

from core.errors import InputError, Refused, last_words, need, refused

if __name__ == "__main__":
    os.environ.setdefault("VECLIB_MAXIMUM_THREADS", "1")           # Apple's BLAS hears nothing else: core/parallel
    sys.excepthook = last_words                                    # memory may not suffice for the imports
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))     # until everything is imported

from core.data.how import how_of
from core.data.listing import printable
from core.data.source import open_source
from core.parallel.launch import is_main
from core.parallel.processors import available_processors, check_number
from core.parallel.ranks import RankFailed
from core.report import console
from core.report.output import lasting
from core.run import dry_run, state, sweep
from core.run.commands import parse, with_command
from core.run.experiment import run
from core.run.folder import is_complete, taken
from core.run.inputs import given_labels, read_data
from core.run.options import configuration
from core.run.resume import resume_hint, stored
from core.use import apply
from core.use.predict import NETWORKS, predict
from experiments.reproduce import reproduce


def main(argv=None):
    """Run the command line; returns the exit status."""
    with lasting(silent=not is_main()) as (out, _):        # of the processes of mpirun only the first prints
        args = None
        try:
            args = parse(sys.argv[1:] if argv is None else argv)
            if args.old_flag:
                print(f"note: {args.old_flag} is now `demo.py {args.command}`", file=sys.stderr)
            status = DO[args.command](args) if is_main() or args.command in SHARED else 0
        except KeyboardInterrupt:
            again = args and args.command in ("sweep", "reproduce")
            print("\ninterrupted; " + ("repeat the command to continue the sweep" if again else "nothing was written"),
                  file=sys.stderr)
            return 130
        except Exception as error:
            told = error if isinstance(error, (InputError, RankFailed)) else refused(error)
            if told is None:
                raise
            if not is_main():
                time.sleep(2)          # until the first has said it: mpirun ends all of them with this one
            print(f"error: {printable(str(told))}", file=sys.stderr)      # names in it may come from others
            return 2
        out.flush()
        return status if out.error is None else lost(out.error, args.command, status)


def lost(error, command, status):
    """The exit status where standard output could not be written."""
    if command not in LONG and isinstance(error, BrokenPipeError):         # whoever read it has left
        return 141
    why = getattr(error, "strerror", None) or error
    if command in LONG:
        print(f"note: standard output could not be written ({why}); the run folder has everything", file=sys.stderr)
        return status
    print(f"error: standard output cannot be written ({why}): free some space and repeat the command", file=sys.stderr)
    return 2


def run_main(args):
    """`demo.py run`: one run and its table."""
    source = open_source(args.data, how_of(args))
    config = configuration(args, source)
    if args.out is None and (earlier := taken(config.out)):
        print(f"note     {earlier} is there already: this run goes to {config.out}")
    return finish(config, source=source)


def resume_main(args):
    """`demo.py resume`: the rest of a run."""
    config = resumed(args)
    folder = Path(config.out)
    if is_complete(folder):
        state.remove(folder)
        if is_main():
            print(f"the run in {folder} is complete: there is nothing to resume")
        return 0
    return finish(config, resume=True)


def finish(config, resume=False, source=None):
    """Do a run, or the rest of one, and print its table."""
    try:
        print(console.table(run(config, console.watched, print, resume, source)))
    except KeyboardInterrupt:
        print(f"\ninterrupted; {resume_hint(config)}", file=sys.stderr)
        return 130
    except RankFailed as error:
        raise RankFailed(f"{error}; {resume_hint(config)}") from None
    except Exception as error:
        if (told := error if isinstance(error, Refused) else refused(error)) is None:
            raise
        raise Refused(f"{told}; {resume_hint(config)}") from None
    print(f"\nresults: {config.out}\nreview: {Path(config.out, 'report.html').resolve().as_uri()}")
    return 0


def resumed(args):
    """The Config of the run to resume."""
    config = stored(args.run_folder)
    if args.gpu is not None or args.ranks is not None:
        kernels = None if args.gpu is None else config.kernels
        config = config._replace(gpu=args.gpu, ranks=args.ranks, kernels=kernels)
    return config._replace(kernels=args.kernels or config.kernels, cache=args.cache)


def check_main(args):
    """`demo.py check`: the dry run."""
    source = open_source(args.data, how_of(args))
    config = configuration(args, source)
    reading = read_data(config, source)
    lines, possible = dry_run.report(config, reading, given_labels(config, reading.data))
    print("\n".join(lines))
    return 0 if possible else 2


def predict_main(args):
    """`demo.py predict`: the network of a run, applied to images."""
    if args.ranks is not None:
        check_number("--ranks", args.ranks)
    jobs = args.ranks or available_processors()
    file = NETWORKS[args.network]
    print("\n".join(predict(args.files, args.run_folder, args.out, jobs, args.backbone, file)))
    return 0


def apply_main(args):
    """`demo.py apply`: the labels that follow from a person's decisions."""
    path, told = apply.clean(args.decisions, args.run_folder, args.out, args.undecided, args.force)
    print(f"{told}: {path}")
    return 0


def sweep_main(args):
    """`demo.py sweep`: all runs of a file, and their table."""
    if args.jobs is not None:
        check_number("--jobs", args.jobs)
    runs = sweep.read(args.file, configuration_of_line)
    table, errors = sweep.sweep(runs, args.out or Path("runs", Path(args.file).stem), args.jobs)
    print(table)
    print("\n".join(f"error: {error}" for error in errors), file=sys.stderr, end="\n" if errors else "")
    return 2 if errors else 0


def reproduce_main(args):
    """`demo.py reproduce`: a table or figure of the paper."""
    lines, errors = reproduce(args)
    print("\n".join(lines))
    print("\n".join(f"error: {error}" for error in errors), file=sys.stderr, end="\n" if errors else "")
    return 2 if errors else 0


def configuration_of_line(words):
    """The Config of one line of a sweep, the options of a run. Raises InputError."""
    command, *_ = with_command(words)
    need(command == "run", f"a line of a sweep is a run: write the options of one, without {command!r:.60}")
    args = parse(words)
    need(not (args.out or args.force or args.ranks), "--out, --force and --ranks are not for the lines of a sweep: "
         "every run has a folder and a process of its own")
    return configuration(args)


DO = {"run": run_main, "check": check_main, "predict": predict_main, "apply": apply_main, "resume": resume_main,
      "sweep": sweep_main, "reproduce": reproduce_main}
SHARED = ("run", "resume", "check", "sweep")                           # by all processes that mpirun has started
LONG = ("run", "resume", "sweep", "reproduce")      # they go on, and end well, when nobody can read what they print


class Interruption:
    """Handler of Ctrl-C and SIGTERM. The first interrupts the program, which then puts away what it has; those of the
    next seconds, of an impatient person, would interrupt that, and are ignored."""
    seconds, deaf_until = 5, 0

    def __call__(self, number, frame):
        """Raises KeyboardInterrupt, unless it has just done so."""
        if time.monotonic() >= self.deaf_until:
            self.deaf_until = time.monotonic() + self.seconds
            raise KeyboardInterrupt


if __name__ == "__main__":
    handler = Interruption()
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN    # by `nohup` or the & of a script
    numbers = [signal.SIGTERM] + [signal.SIGINT] * (not ignored)
    for number in numbers:
        signal.signal(number, handler)                             # SIGTERM: a cluster asks for its machine back
    status = main()
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)                      # the outcome is decided, and so is the status
    sys.exit(status)
