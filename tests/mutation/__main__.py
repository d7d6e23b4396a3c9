"""Tests of the tests: is an error in the mathematics noticed, or in the borders around it, wherever it is?

    python -m tests.mutation [--jobs 2]                 all mutants of tests/mutation/mutants.py; more than an hour
    python -m tests.mutation --mathematics              those of equations, networks and layers; ten minutes
    python -m tests.mutation --borders [--part 1]       those of the borders; of those by rule a sixteenth
    python -m tests.mutation --file core/objective.py   those of one file (or of several: --file A --file B)
    python -m tests.mutation --sample 50                50 of them, always the same ones
    python -m tests.mutation --short                    the first of each file of the mathematics
    python -m tests.mutation --markdown FILE            and write the result there
    python -m tests.mutation --keep FILE                keeps every verdict there, and repeats none that it finds there

The score is killed / (all - equivalent), killed by the tests as tests/mutation/trials.py runs them;
tests/mutation/planted says why the equivalent ones are no errors. mutmut and cosmic-ray, both well kept, change
operators and constants by rule all over a program: they do not know a biased variance or stale momentum, and have no
place for the reason why a mutant is equivalent.
"""
import argparse
import platform
import random
import re
import shlex
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from tests.mutation.kept import Kept
from tests.mutation.mutants import BY_RULE, PARTS, Mutant, all_mutants, planted
from tests.mutation.planted import BORDERS, EQUIVALENT, MATHEMATICS, PLANTED
from tests.mutation.trials import tried

GOAL = 0.98
SIXTEENTH = ("Of the changes by rule this is one part of sixteen, number {}. The tests were mended with part 0 in "
             "view: what they notice of errors that nobody has looked at, another part tells (`--part 1`).")


def reason(mutant):
    """Why it is equivalent: no error; None for the others."""
    return EQUIVALENT.get(mutant.file, {}).get(mutant.name)


def score(found):
    """(killed, all but the equivalent)"""
    counted = [noticed for mutant, noticed in found.items() if not reason(mutant)]
    return sum(map(bool, counted)), len(counted)


def table(found):
    """A row for each file: its mutants by kind and fate."""
    rows = [["file", "planted", "by rule", "killed", "equivalent", "survived"]]
    for file in dict.fromkeys(mutant.file for mutant in found):
        of_file = {mutant: noticed for mutant, noticed in found.items() if mutant.file == file}
        by_hand, equivalent = sum(bool(m.what) for m in of_file), sum(bool(reason(m)) for m in of_file)
        killed, counted = score(of_file)
        rows.append([file, by_hand, len(of_file) - by_hand, killed, equivalent, counted - killed])
    return [*rows, ["all", *(sum(row[k] for row in rows[1:]) for k in range(1, 6))]]


def described(mutant):
    """One line: what it is and where."""
    return f"{mutant.file}: {mutant.what + ': ' if mutant.what else ''}{mutant.name}"


def markdown(found, summary, command, part):
    """The page: the table, the survivors, the equivalent ones and the planted errors with the tests that noticed
    them. part: the sixteenth of the changes by rule that was tried in the borders."""
    def listed(pairs):
        return [f"- {a}: {b}" for a, b in pairs] or ["None."]

    head, *body = [f"| {' | '.join(map(str, row))} |" for row in table(found)]
    survivors = [(f"`{m.file}`, ``{m.name}``", m.what or "by rule") for m in found if not found[m] and not reason(m)]
    equivalent = [(f"`{m.file}`, ``{m.name}``", reason(m)) for m in found if reason(m)]
    lines = ["# Tests of the tests", "", f"Written by `{command}`.", "",
             f"**{summary}**", "", *[SIXTEENTH.format(part), ""] * any(m.file in BORDERS for m in found),
             head, "|---" + "|---:" * 5 + "|", *body, "",
             "## Survivors", "", *listed(survivors), "",
             "## Equivalent mutants", "", "They change the text, and nothing that the program promises.", "",
             *listed(equivalent), "",
             "## Planted errors, and the first test that noticed"]
    for file in dict.fromkeys(mutant.file for mutant in found):
        lines += ["", f"### {file}", "", "| error | noticed by |", "|---|---|",
                  *(f"| {as_text(m.what)} | `{found[m] or 'nobody'}` |" for m in found if m.file == file and m.what)]
    return "\n".join(lines) + "\n"


def as_text(words):
    """For Markdown, where | and * mean something else."""
    return re.sub(r"([|*])", r"\\\1", words)


def chosen(args):
    """The mutants asked for."""
    if args.short:
        return [next(planted(file)) for file in BY_RULE]
    files = args.file or (BORDERS if args.borders else MATHEMATICS if args.mathematics else PLANTED)
    mutants = list(all_mutants(files, args.part))
    return random.Random(0).sample(mutants, min(args.sample, len(mutants))) if args.sample else mutants


def outcome(mutants, jobs, kept):
    """{mutant: what noticed it}, in their order; what is not as it should be is printed at once. kept: a Kept.

    The program ends if a test fails without any mutant, or with an equivalent one: then the trials can't be trusted.
    """
    found = kept.known(mutants)
    untried = [mutant for mutant in mutants if mutant not in found]
    unchanged = [Mutant(file, 0, 0, "", "") for file in dict.fromkeys(mutant.file for mutant in untried)]
    with tqdm(total=len(untried) + len(unchanged), disable=None) as bar:
        def report(mutant, noticed):
            bar.update()
            if mutant not in unchanged:
                kept.add(mutant, noticed)
            if bool(noticed) == (mutant in unchanged or bool(reason(mutant))):
                bar.write(f"{noticed or 'SURVIVED'}  {described(mutant)}")

        wrong = {mutant.file: noticed for mutant, noticed in tried(unchanged, jobs, report).items() if noticed}
        if wrong:
            sys.exit(f"without any mutant these tests fail: {wrong}")
        found |= tried(untried, jobs, report)
    contradicted = [described(mutant) for mutant, noticed in found.items() if noticed and reason(mutant)]
    if contradicted:
        sys.exit(f"listed as equivalent and noticed all the same: {contradicted}")
    return {mutant: found[mutant] for mutant in mutants}


def circumstances(seconds, jobs, kept):
    """Date, versions, duration; kept: the number of verdicts of earlier runs."""
    versions = ", ".join(f"{library} {version(library)}" for library in ("numpy", "pytest", "hypothesis"))
    took = f"{seconds / 60:.0f} minutes with {jobs} process(es)"
    return (f"{date.today()}, Python {platform.python_version()}, {versions}; "
            + (f"{kept} verdicts are of earlier runs, of the same files and tests" if kept else took))


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.splitlines()[0])
    parser.add_argument("--file", choices=PLANTED, action="append", metavar="FILE", help="those of this file only")
    parser.add_argument("--mathematics", action="store_true", help="those of equations, networks and layers only")
    parser.add_argument("--borders", action="store_true", help="those of the borders only")
    parser.add_argument("--part", type=int, choices=range(PARTS), default=0,
                        help="which sixteenth of those by rule in the borders")
    parser.add_argument("--sample", type=int, metavar="N", help="N mutants, always the same ones")
    parser.add_argument("--short", action="store_true", help="the first planted error of each file of the mathematics")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes at a time")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the result there, too")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep every verdict there, and repeat none of those")
    args = parser.parse_args()
    start = time.monotonic()
    mutants, kept = chosen(args), Kept(args.keep)
    known = len(kept.known(mutants))
    found = outcome(mutants, args.jobs, kept)
    killed, counted = score(found)
    summary = f"{killed} of {counted} mutants killed, {100 * killed / max(counted, 1):.1f} %"
    summary += f"; {circumstances(time.monotonic() - start, args.jobs, known)}"
    for row in table(found):
        print(f"{row[0]:28}", *(f"{cell:>10}" for cell in row[1:]))
    print(summary)
    if args.markdown:
        command = shlex.join(["python", "-m", "tests.mutation", *sys.argv[1:]])
        args.markdown.write_text(markdown(found, summary, command, args.part), encoding="utf-8")
    return int(killed < GOAL * counted)


if __name__ == "__main__":
    sys.exit(main())
