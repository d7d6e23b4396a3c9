"""Sweeps: many runs over seeds, noise rates, settings.

A sweep is a text file with one run a line, written as on the command line:

    # three seeds of two noise rates
    --noise symmetric --rate 0.5 --seed 0
    --noise symmetric --rate 0.5 --seed 1

Each run has its own folder in the sweep's folder, named after its line. Complete runs are skipped and interrupted ones
resume from their checkpoint. So the same command continues a sweep, and runs the lines added to it.
"""
import os
import re
import shlex
import statistics
import sys
from pathlib import Path

from core.data.images import deaf
from core.errors import InputError, refused
from core.files import load_json
from core.parallel.processors import available_processors
from core.report.console import aligned
from core.report.numbers import percent
from core.run.experiment import run
from core.run.resume import can_go_on


def read(path, configure):
    """[(line, Config)] of a sweep file; configure(arguments) returns a Config. Raises InputError with the line."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a text file of runs ({error})") from None
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            arguments = words_of(line)
            if arguments:
                found.append((" ".join(arguments), configure(arguments)))
        except (InputError, ValueError) as error:
            raise InputError(f"{path}, line {number}: {error}") from None
        except SystemExit:             # argparse has said what is wrong
            raise InputError(f"{path}, line {number}: see above") from None
    if not found:
        raise InputError(f"{path} names no run: write the options of one run on each line")
    names = [folder_name(line) for line, _ in found]
    for line, _ in found:
        if names.count(folder_name(line)) > 1:
            raise InputError(f"{path}: two runs would write to one folder, {folder_name(line)}: give every run one "
                             "line of its own")
    return found


def words_of(line):
    """The words of a line, up to a comment: a # that begins a word."""
    words = shlex.split(re.sub(r"(?<=\S)#", "\0", line), comments=True, posix=os.name != "nt")     # there paths have \
    return [word.replace("\0", "#") for word in words]


def sweep(runs, out, jobs=None):
    """Run all incomplete runs, `jobs` at a time (None: one per processor); returns (table of all runs, errors).

    runs: [(line, Config)]. Each run is a single process: independent processes keep all processors busy.
    """
    from joblib import Parallel, delayed  # imported where needed: demo.py starts sooner

    jobs = jobs or available_processors()
    folders = [Path(out, folder_name(line)) for line, _ in runs]
    todo = [config._replace(out=str(folder), ranks=1 if config.gpu is None else None, force=True)
            for (_, config), folder in zip(runs, folders) if outcome_in(folder) is None]
    with deaf():                       # the processes that it starts; this one ends them, and has to be told
        outcomes = one_by_one(todo) if jobs == 1 else Parallel(
            n_jobs=jobs, verbose=5 if todo else 0, return_as="generator")(delayed(attempt)(c) for c in todo)
    errors = [error for error in outcomes if error]
    return table(runs, folders), errors


def one_by_one(configs):
    """The outcomes of `attempt`, in this process; says which run begins.

    With one job joblib 1.6 answers Ctrl-C by an AttributeError of its own.
    """
    for number, config in enumerate(configs, start=1):
        print(f"run {number} of {len(configs)}: {config.out}", file=sys.stderr, flush=True)
        yield attempt(config)


def attempt(config):
    """Run it; an error is returned as a line, so that the other runs continue."""
    try:
        run(config, resume=can_go_on(config))
    except InputError as error:
        return f"{config.out}: {error}"
    except Exception as error:         # out of memory, or a bug: the other runs continue
        return f"{config.out}: {refused(error) or f'{type(error).__name__}: {error}'}"


def outcome_in(folder):
    """The summary of a complete run, or None where there is none that a run writes."""
    try:
        outcome = load_json(folder / "summary.json")
        good = all(value is None or type(value) in (int, float) for value in shown(outcome))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return outcome if good else None


def shown(outcome):
    """What the table shows of a summary."""
    return outcome["initial"], outcome["recovery"], outcome["joint"]["test"], outcome["retrain"]["test"]


def folder_name(line):
    """The folder name of a run: its options without characters that file names cannot hold."""
    return re.sub(r"[^\w.]+", "-", line).strip("-.")[:200] or "default"


def table(runs, folders):
    """One row per run, then mean and standard deviation of each group of runs that differ only in their seed."""
    rows, groups = [("run", "correct labels", "corrected", "test, step 1", "test, step 2")], {}
    for (line, config), folder in zip(runs, folders):
        if outcome := outcome_in(folder):
            found = shown(outcome)
            rows.append((line, *map(percent, found)))
            groups.setdefault(repr(config._replace(seed=0, out=None)), []).append((line, found))
        else:
            rows.append((line, "failed", "", "", ""))
    for group in groups.values():
        if len(group) > 1:
            (line, *_), found = zip(*group)
            title = f"{without_seed(line)}: {len(group)} seeds".lstrip(": ")
            rows.append((title, *map(mean_and_deviation, zip(*found))))
    return "\n".join(aligned(rows))


def without_seed(line):
    """The line of a run without its --seed."""
    return re.sub(r"(^|\s)--se\w*[\s=]\S+", "", line).strip()


def mean_and_deviation(fractions):
    """0.961, 0.967 -> 96.4 ± 0.4 %; a dash if a value is None. Sample standard deviation (n - 1)."""
    if None in fractions:
        return percent(None)
    return f"{100 * statistics.mean(fractions):.1f} ± {100 * statistics.stdev(fractions):.1f} %"
