"""Verdicts of a trial that are kept in a file, so that a long trial can be ended and gone on with.

One JSON object a line: the digest of what a verdict depends on, what noticed the mutant ("": nothing), its file and
its change, for people. It depends on the mutant's whole file and on its tests; of the other files of the project it
is believed that nothing has changed, so a trial for the record begins with an empty file.
"""
import hashlib
import json
from functools import cache

from tests.mutation.mutants import ROOT
from tests.mutation.planted import TESTS
from tests.mutation.trials import file_of


class Kept:
    """The verdicts of a file, which may not be there yet; path None: nothing is kept."""

    def __init__(self, path):
        self.path, self.verdicts = path, {}
        if path and path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("\n")]
            if whole != lines:                              # the trial was ended while it wrote the last one
                path.write_text("".join(whole), encoding="utf-8")
            self.verdicts = {line["digest"]: line["noticed"] for line in map(json.loads, whole)}

    def known(self, mutants):
        """{mutant: what noticed it} of those that have been tried."""
        return {mutant: self.verdicts[digest(mutant)] for mutant in mutants if digest(mutant) in self.verdicts}

    def add(self, mutant, noticed):
        """One more verdict, at once in the file."""
        if self.path:
            line = {"digest": digest(mutant), "noticed": noticed, "file": mutant.file, "name": mutant.name}
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def digest(mutant):
    """Of the mutant's file and of its tests."""
    parts = mutant.file, mutant.source, *map(test_text, TESTS[mutant.file])
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@cache
def test_text(name):
    """The tests of that name."""
    return (ROOT / file_of(name)).read_text(encoding="utf-8")
