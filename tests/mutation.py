"""Tests of the tests: is an error in the mathematics noticed, wherever it is?

    python -m tests.mutation [--jobs 2]                 all mutants of tests/mutants.py; minutes
    python -m tests.mutation --file core/objective.py   those of one file
    python -m tests.mutation --sample 50                50 of them, always the same ones
    python -m tests.mutation --short                    the first of each file of the mathematics
    python -m tests.mutation --markdown FILE            and write the result there

The score is killed / (all - equivalent), killed by the tests as tests/trials.py runs them; tests/planted.py says why the
equivalent ones are no errors. mutmut and cosmic-ray are well kept, but their rules know no biased variance and no stale momentum,
and hours go by, since each mutant is tried by an interpreter of its own that imports NumPy and pytest anew.
"""
import argparse
import platform
import random
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from tqdm import tqdm

from tests.mutants import BY_RULE, Mutant, all_mutants, planted
from tests.planted import EQUIVALENT, PLANTED
from tests.trials import tried

GOAL = 0.98


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
        by_hand, equivalent = (sum(map(bool, kind)) for kind in ([m.what for m in of_file], map(reason, of_file)))
        killed, counted = score(of_file)
        rows.append([file, by_hand, len(of_file) - by_hand, killed, equivalent, counted - killed])
    return [*rows, ["all", *(sum(row[k] for row in rows[1:]) for k in range(1, 6))]]


def described(mutant):
    """One line: what it is and where."""
    return f"{mutant.file}: {mutant.what + ': ' if mutant.what else ''}{mutant.name}"


def markdown(found, summary):
    """The page: the table, the survivors, the equivalent ones and the planted errors with the tests that noticed them."""
    def listed(pairs):
        return [f"- {a}: {b}" for a, b in pairs] or ["None."]

    head, *body = [f"| {' | '.join(map(str, row))} |" for row in table(found)]
    survivors = [(f"`{m.file}`", f"{m.what} ``{m.name}``") for m, noticed in found.items() if not noticed and not reason(m)]
    equivalent = [(f"`{m.file}`, ``{m.name}``", reason(m)) for m in found if reason(m)]
    lines = ["# Tests of the tests", "", "Written by `python -m tests.mutation --markdown docs/mutation.md`.", "",
             f"**{summary}**", "", head, "|---" + "|---:" * 5 + "|", *body, "",
             "## Survivors", "", *listed(survivors), "",
             "## Equivalent mutants", "", "They change the text, but nothing that the program promises.", "", *listed(equivalent), "",
             "## Planted errors, and the first test that noticed"]
    for file in dict.fromkeys(mutant.file for mutant in found):
        lines += ["", f"### {file}", "", "| error | noticed by |", "|---|---|",
                  *(f"| {m.what} | `{noticed or 'nobody'}` |" for m, noticed in found.items() if m.file == file and m.what)]
    return "\n".join(lines) + "\n"


def chosen(args):
    """The mutants asked for."""
    if args.short:
        return [next(planted(file)) for file in BY_RULE]
    mutants = list(all_mutants([args.file] if args.file else PLANTED))
    return random.Random(0).sample(mutants, args.sample) if args.sample else mutants


def circumstances(seconds, jobs):
    return (f"{date.today()}, Python {platform.python_version()}, NumPy {np.__version__}, pytest {pytest.__version__}; "
            f"{seconds / 60:.0f} minutes with {jobs} processes")


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.splitlines()[0])
    parser.add_argument("--file", choices=PLANTED, help="the mutants of this file only")
    parser.add_argument("--sample", type=int, metavar="N", help="N mutants, always the same ones")
    parser.add_argument("--short", action="store_true", help="the first planted error of each file of the mathematics")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes at a time")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the result there, too")
    args = parser.parse_args()
    start, mutants = time.monotonic(), chosen(args)
    unchanged = [Mutant(file, 0, 0, "", "") for file in dict.fromkeys(mutant.file for mutant in mutants)]
    with tqdm(total=len(mutants) + len(unchanged), disable=None) as bar:
        def report(mutant, noticed):
            bar.update()
            if bool(noticed) == (mutant in unchanged or bool(reason(mutant))):
                bar.write(f"{noticed or 'SURVIVED'}  {described(mutant)}")

        wrong = {mutant.file: noticed for mutant, noticed in tried(unchanged, args.jobs, report).items() if noticed}
        if wrong:
            sys.exit(f"without any mutant these tests fail: {wrong}")
        found = tried(mutants, args.jobs, report)
    killed, counted = score(found)
    summary = f"{killed} of {counted} mutants killed, {100 * killed / counted:.1f} %"
    found = {mutant: found[mutant] for mutant in mutants}                   # in the order of the files
    for row in table(found):
        print(f"{row[0]:28}", *(f"{cell:>10}" for cell in row[1:]))
    print(f"{summary}; {circumstances(time.monotonic() - start, args.jobs)}")
    if args.markdown:
        args.markdown.write_text(markdown(found, f"{summary}; {circumstances(time.monotonic() - start, args.jobs)}."), encoding="utf-8")
    contradicted = [mutant for mutant, noticed in found.items() if noticed and reason(mutant)]
    return int(killed < GOAL * counted or bool(contradicted))


if __name__ == "__main__":
    sys.exit(main())
