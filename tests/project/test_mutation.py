"""A short sample of `python -m tests.mutation`, and its list of errors, which has to follow the files."""
import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.mutation import kept, mutants
from tests.mutation.mutants import BY_RULE, PARTS, all_mutants, by_rule, planted, source_of
from tests.mutation.planted import BORDERS, EQUIVALENT, PLANTED, TESTS
from tests.mutation.trials import file_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("file", PLANTED)
def test_every_fragment_occurs_once_and_every_error_is_another_program(file):
    found = list(planted(file))                                      # ValueError for fragments that are gone
    assert len(found) == len(PLANTED[file]) == len({mutant.source for mutant in found})
    assert [mutant.change for mutant in found if same(mutant)] == []


@pytest.mark.thorough
@pytest.mark.parametrize("file", PLANTED)
def test_every_mutant_by_rule_is_another_program(file):
    found = all_mutants([file])                                      # ValueError for equivalent lines that are gone
    assert [mutant.change for mutant in found if same(mutant)] == []


def same(mutant):
    """Whether it is the same program as before, but for comments and places."""
    if not mutant.file.endswith(".py"):
        return mutant.source == source_of(mutant.file)
    before, after = map(program, mutant.statements)
    return before == after


@cache
def program(source):
    return ast.dump(ast.parse(source))


def test_a_fragment_or_an_equivalent_line_that_is_gone_is_an_error(monkeypatch):
    monkeypatch.setitem(PLANTED, "core/noise.py", [("twice", "noisy = labels.copy()", "noisy = labels")])
    with pytest.raises(ValueError, match="has this 3 times and not once"):
        list(planted("core/noise.py"))
    monkeypatch.setitem(PLANTED, "core/noise.py", [])
    monkeypatch.setitem(EQUIVALENT, "core/noise.py", {"return gone": "there is no such line"})
    with pytest.raises(ValueError, match="no mutant of core/noise.py is called .*return gone"):
        list(all_mutants(["core/noise.py"]))


@pytest.mark.parametrize("change", ["1", "2", "3", "1\n\n\n@cache  # of f\ndef f(a):\n    return a + 2", "4"])
def test_the_statements_of_a_change_stand_for_the_whole_file(monkeypatch, change):
    source = '"""A file."""\n# one\na = 1\n\n\n@cache  # of f\ndef f(a):\n    return a + 2\n\n\nb = [\n    3,\n    4]'
    monkeypatch.setattr(mutants, "source_of", lambda file: source)
    start = source.index(change)
    mutant = mutants.Mutant("file.py", start, start + len(change), "0", "")
    before, after = mutant.statements
    assert source.count(before) == 1 and source.replace(before, after) == mutant.source
    assert len(before) < len(source) and mutants.parses(after)


def test_every_file_has_its_tests():
    assert TESTS.keys() == PLANTED.keys() >= EQUIVALENT.keys() and set(BY_RULE) <= PLANTED.keys()
    assert [name for names in TESTS.values() for name in names if not (ROOT / file_of(name)).exists()] == []


@pytest.mark.thorough
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the trials are forked processes")
def test_a_copy_of_the_project_holds_all_that_its_tests_import(tmp_path):
    copied = "import sys, pathlib, tests.mutation.trials; tests.mutation.trials.Copy(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", copied, tmp_path], cwd=ROOT, check=True, timeout=600)
    imported = "; ".join("import " + file_of(name)[:-3].replace("/", ".") for names in TESTS.values() for name in names)
    done = subprocess.run([sys.executable, "-c", imported], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def test_the_rules_make_each_change_of_their_kinds(monkeypatch):
    program = '"""-1 + 1"""\ndef f(a, axis=1):\n    a += 1.5\n    if not a < 2 and a.sum(axis=1):\n' \
              '        a[-1] = a * True\n    return f"{a + 1}"\n'
    monkeypatch.setattr(mutants, "source_of", lambda file: program)
    made = {mutant.name for mutant in by_rule("file.py")}
    assert made == {
        "def f(a, axis=2):", "a -= 1.5", "a += 2.5", "without a += 1.5", "if a < 2 and a.sum(axis=1):",
        "if not a <= 2 and a.sum(axis=1):", "if not a < 3 and a.sum(axis=1):", "if not a < 2 or a.sum(axis=1):",
        "if not a < 2 and a.sum(axis=0):", "if not a < 2 and a.sum(axis=2):",
        "without if not a < 2 and a.sum(axis=1): a[-1] = a * True", "a[1] = a * True", "a[0] = a * True",
        "a[-1] = a / True", "a[-1] = a * False", "without a[-1] = a * True"}


def test_the_rules_of_the_borders_make_each_change_of_their_kinds(monkeypatch):
    program = 'def f(é, b):\n    with lock(é):\n        seed = g(é, b[::-1], key=[b, é])\n' \
              '    g(sorted(é.copy()), seed)\n    return min(é.T)\n'
    monkeypatch.setattr(mutants, "source_of", lambda file: program)
    monkeypatch.setattr(mutants, "BORDERS", ["file.py"])
    made = {mutant.name for mutant in by_rule("file.py")}
    assert made == {
        "if True:", "seed = g(b[::-1], é, key=[b, é])", "seed = g(é, b[::-1])", "seed = g(é, b[::-1], key=[é, b])",
        "seed = g(é, b, key=[b, é])", "seed = g(é, b[::1], key=[b, é])", "seed = g(é, b[::0], key=[b, é])",
        "without g(sorted(é.copy()), seed)", "g(seed, sorted(é.copy()))", "g(é.copy(), seed)", "g(sorted(é), seed)",
        "g(sorted(é.copy()), 0)", "return max(é.T)", "return min(é)"}


def test_what_has_no_order_does_not_change_places(monkeypatch):
    program = "try:\n    x in (a, b), isinstance(x, (a, b))\nexcept (A, B):\n    x = (a, gcd(a, b))\n"
    monkeypatch.setattr(mutants, "source_of", lambda file: program)
    monkeypatch.setattr(mutants, "BORDERS", ["file.py"])
    assert {mutant.change[1] for mutant in by_rule("file.py")} == {
        "isinstance(x, (a, b)), x in (a, b)", "x in (a, b), isinstance((a, b), x)", "pass", "x = (gcd(a, b), a)"}


def test_the_rules_of_the_script_make_each_change_of_their_kinds(monkeypatch):
    script = '// a && b\nasync function f(a) {\n  if (!a || a < 1) return;  // why\n  list.textContent = "a && b";\n' \
             '  const x = await g(a - 1);\n  $("more").addEventListener("click", f);\n}\n'
    monkeypatch.setattr(mutants, "source_of", lambda file: script)
    assert {mutant.name for mutant in by_rule("file.js")} == {
        "if (a || a < 1) return;", "if (!a && a < 1) return;", "if (!a || a <= 1) return;",
        "without if (!a || a < 1) return;", 'without list.textContent = "a && b";', "const x = g(a - 1);",
        "const x = await g(a + 1);", 'without $("more").addEventListener("click", f);'}


def test_each_change_of_a_border_is_tried_in_one_part():
    file = BORDERS[0]
    parts = [[mutant for mutant in all_mutants([file], part) if not mutant.what] for part in range(PARTS)]
    by_hand = {mutant.source for mutant in planted(file)}
    assert sorted(mutant.source for part in parts for mutant in part) == sorted(
        {mutant.source for mutant in by_rule(file)} - by_hand)


def test_a_kept_verdict_holds_for_the_same_mutant_and_the_same_tests(tmp_path, monkeypatch):
    first, second, third = list(planted("core/labels.py"))[:3]
    for mutant, noticed in ((first, "tests/paper/test_labels.py"), (second, "")):
        kept.Kept(tmp_path / "kept").add(mutant, noticed)
    with open(tmp_path / "kept", "a", encoding="utf-8") as file:
        file.write('{"digest": "cut o')
    found = kept.Kept(tmp_path / "kept")
    assert found.known([third, second, first]) == {first: "tests/paper/test_labels.py", second: ""}
    found.add(third, "")
    assert third in kept.Kept(tmp_path / "kept").known([third])
    monkeypatch.setattr(kept, "test_text", lambda name: "other tests")
    assert found.known([first]) == {} == kept.Kept(None).known([first])


@pytest.mark.thorough
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the trials are forked processes")
@pytest.mark.parametrize("which", [["--short"], ["--borders", "--sample", "12"]],
                         ids=["the first one of each file of the mathematics", "a dozen in the borders"])
def test_a_sample_of_all_errors_is_noticed(which):
    command = [sys.executable, "-m", "tests.mutation", *which]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    said = done.stdout + done.stderr
    killed = re.search(r"(\d+) of \1 mutants killed", said)                           # equivalent ones are not counted
    assert done.returncode == 0 and killed and int(killed[1]) >= min(10, len(BY_RULE)), said
