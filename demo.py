"""The program: `demo.py COMMAND ...`. core/run/commands.py has the commands and their options."""
import os
import signal
import sys
import time
from pathlib import Path

from core.data.source import open_source
from core.errors import InputError, need
from core.parallel.launch import is_main
from core.parallel.processors import available_processors
from core.parallel.ranks import RankFailed
from core.report import console
from core.run import dry_run, state, sweep
from core.run.commands import parse, with_command
from core.run.experiment import run
from core.run.folder import is_complete
from core.run.inputs import given_labels, read_data
from core.run.options import configuration
from core.run.resume import resume_hint, stored
from core.use import apply
from core.use.predict import predict
from experiments.reproduce import reproduce


def main(argv=None):
    """Run the command line; returns the exit status."""
    if sys.stdout is None:             # closed by whoever started the program
        sys.stdout = open(os.devnull, "w", encoding="utf-8")
    if not is_main():                  # of the processes that mpirun has started only the first prints
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")
    args = None
    try:
        args = parse(sys.argv[1:] if argv is None else argv)
        if args.old_flag:
            print(f"note: {args.old_flag} is now `demo.py {args.command}`", file=sys.stderr)
        return DO[args.command](args) if is_main() or args.command in SHARED else 0
    except (InputError, RankFailed) as error:
        if not is_main():
            time.sleep(2)              # until the first has said it: mpirun ends all of them with this one
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        again = args and args.command in ("sweep", "reproduce")
        print("\ninterrupted; " + ("repeat the command to continue the sweep" if again else "nothing was written"),
              file=sys.stderr)
        return 130
    except BrokenPipeError:            # whoever read the output has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def run_main(args):
    """`demo.py run`: one run and its table."""
    source = open_source(args.data)
    return finish(configuration(args, source), source=source)


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
    print(f"\nresults: {config.out}\nreview: {Path(config.out, 'report.html').resolve().as_uri()}")
    return 0


def resumed(args):
    """The Config of the run to resume."""
    config = stored(args.run_folder)
    if args.gpu is not None or args.ranks is not None:
        kernels = None if args.gpu is None else config.kernels
        config = config._replace(gpu=args.gpu, ranks=args.ranks, kernels=kernels)
    return config._replace(kernels=args.kernels or config.kernels)


def check_main(args):
    """`demo.py check`: the dry run."""
    source = open_source(args.data)
    config = configuration(args, source)
    reading = read_data(config, source)
    lines, possible = dry_run.report(config, reading.data, given_labels(config, reading.data), reading)
    print("\n".join(lines))
    return 0 if possible else 2


def predict_main(args):
    """`demo.py predict`: the network of a run, applied to images."""
    need(args.ranks is None or args.ranks >= 1, f"--ranks {args.ranks}: choose 1 or more")
    print("\n".join(predict(args.images, args.run_folder, args.out, args.ranks or available_processors())))
    return 0


def apply_main(args):
    """`demo.py apply`: the labels that follow from a person's decisions."""
    path, told = apply.clean(args.decisions, args.run_folder, args.out, args.undecided, args.force)
    print(f"{told}: {path}")
    return 0


def sweep_main(args):
    """`demo.py sweep`: all runs of a file, and their table."""
    need(args.jobs is None or args.jobs >= 1, f"--jobs {args.jobs}: choose 1 or more")
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


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)      # a cluster asks for its machine back: as by Ctrl-C
    sys.exit(main())
