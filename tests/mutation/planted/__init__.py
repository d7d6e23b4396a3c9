"""Errors planted by hand for tests/mutation/mutants.py, which of the mutants are no errors, and by which tests to try
them.

    PLANTED[file]       [(what is wrong, a fragment that occurs once in the file, what takes its place), ...]
    EQUIVALENT[file]    {the line that the mutant makes: why it is no error}
    TESTS[file]         the tests that try the file's mutants: "paper/labels" is tests/paper/test_labels.py
    MATHEMATICS         the files of the paper's equations, of networks, layers and their fast forms
    BORDERS             the files where images, labels, files and people meet the mathematics
"""
from itertools import chain

from tests.mutation.planted import experiments, files, kernels, labels, mathematics, page, runs

_AREAS = (labels, files, runs, kernels, page, experiments)
MATHEMATICS = list(mathematics.PLANTED)
BORDERS = [file for area in _AREAS for file in area.PLANTED]
TESTS = dict(chain(mathematics.TESTS.items(), *(area.TESTS.items() for area in _AREAS)))
PLANTED = dict(chain(mathematics.PLANTED.items(), *(area.PLANTED.items() for area in _AREAS)))
EQUIVALENT = dict(chain(mathematics.EQUIVALENT.items(), *(area.EQUIVALENT.items() for area in _AREAS)))
assert len(PLANTED) == len(MATHEMATICS) + len(BORDERS), "a file stands in two lists"
