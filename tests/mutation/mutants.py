"""Mutants: the mathematics with one error each, planted by hand (tests/mutation/planted) or by rule from the syntax
tree.

A rule makes every change of its kind that the file admits, so that the score does not depend on our imagination:

    + and -, * and /, % and //, & and |, << and >> change places; ^ becomes |; a minus or a `not` is dropped; `and` and
    `or` change places; <, <=, >, >= move their boundary; == and != change places; a number n becomes n + 1; in axis=1
    the 1 becomes 0; True and False change places; a statement that leaves no name undefined is removed.

The borders (tests/mutation/border_rules.py) have rules of their own besides. There are 10,000 such changes, and
many of the tests wait for files and processes: a checksum of the change puts each into one of sixteen parts. Part 0
is tried; the tests were mended with it in view, so the other parts tell what they notice of errors never seen.
"""
import ast
import re
import zlib
from bisect import bisect_left, bisect_right
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from tests.mutation.border_rules import border_changes, script_changes, without_order
from tests.mutation.planted import BORDERS, EQUIVALENT, PLANTED

ROOT = Path(__file__).parents[2]
PARTS = 16
BY_RULE = ["core/objective.py", "core/labels.py", "core/noise.py", "core/optim.py", "core/layers.py", "core/train.py",
           "core/model.py", "core/measure.py", "core/batches.py", "nets/preact_resnet.py", "core/quality.py"]
OPERATORS = {ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"), ast.Mod: ("%", "//"),
             ast.FloorDiv: ("//", "%"), ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"), ast.BitXor: ("^", "|"),
             ast.LShift: ("<<", ">>"), ast.RShift: (">>", "<<"), ast.And: ("and", "or"), ast.Or: ("or", "and"),
             ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.Eq: ("==", "!="),
             ast.NotEq: ("!=", "==")}


class Mutant(NamedTuple):
    """source[start:end] -> new in one file."""
    file: str
    start: int
    end: int
    new: str
    what: str                               # the error in words, of those planted by hand; else ""

    @property
    def source(self):
        source = source_of(self.file)
        return source[:self.start] + self.new + source[self.end:]

    @property
    def statements(self):
        """(before, after): the statements of the file that the change touches, with the comments before them.

        Enough to tell whether the mutant is a program, and another one, in a twentieth of the time that the file takes.
        """
        source, ends = source_of(self.file), ends_of(source_of(self.file))
        first, last = ends[bisect_right(ends, self.start) - 1], ends[bisect_left(ends, self.end)]
        return source[first:last], source[first:self.start] + self.new + source[self.end:last]

    @property
    def change(self):
        """(the lines before, the lines after), without what surrounds them"""
        source = source_of(self.file)
        first = source.rfind("\n", 0, self.start) + 1
        last = source.find("\n", self.end - (source[self.end - 1] == "\n"))
        return tidy(source[first:last]), tidy(source[first:self.start] + self.new + source[self.end:last])

    @property
    def name(self):
        """How tests/mutation/planted calls it among the equivalent ones: the line that it makes."""
        before, after = self.change
        return f"without {before}" if after in ("", "pass") else after

    @property
    def part(self):
        """0 to 15, by the change itself: the same wherever in the file it stands."""
        return zlib.crc32("\n".join(self.change).encode()) % PARTS


@cache
def source_of(file):
    """The text of a file of the project, read once."""
    return (ROOT / file).read_text(encoding="utf-8")


@cache
def ends_of(source):
    """Where the statements of a program end: 0, then one position for each line that ends one, then the end of the
    text."""
    lines = [0, *(m.end() for m in re.finditer("\n", source)), len(source)]
    return [0, *(lines[node.end_lineno] for node in ast.parse(source).body), len(source)]


def tidy(lines):
    """Without indentation and comments, on one line."""
    return " ".join(re.sub(r"\s{2,}(#|//).*", "", line).strip() for line in lines.splitlines()).strip()


def planted(file):
    """Those made by hand. ValueError where a fragment does not occur exactly once:
    then the list has to follow the file."""
    for what, old, new in PLANTED[file]:
        if source_of(file).count(old) != 1:
            raise ValueError(f"tests/mutation/planted: {file} has this {source_of(file).count(old)} "
                             f"times and not once: {old!r}")
        start = source_of(file).index(old)
        yield Mutant(file, start, start + len(old), new, what)


def by_rule(file):
    """Those made from the syntax tree, in the order of the text."""
    source = source_of(file)
    if not file.endswith(".py"):
        changed = sorted(set(script_changes(source))) if file.endswith(".js") else []
        return [Mutant(file, *change, "") for change in changed]
    tree = ast.parse(source)
    lines = [0, *(m.end() for m in re.finditer("\n", source))]

    def place(line, bytes_before):
        """Positions in the tree count bytes."""
        start = lines[line - 1]
        return start + len(source[start:start + bytes_before].encode()[:bytes_before].decode())

    def span(node):
        return place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset)

    def between(left, right, kind):
        """The operator between two expressions, replaced."""
        (_, start), (end, _) = span(left), span(right)
        found = re.compile(re.escape(OPERATORS[kind][0])).search(source, start, end)
        return found.start(), found.end(), OPERATORS[kind][1]

    found = {change for node in walk(tree) for change in changes(node, span, between)}
    if file in BORDERS:
        ordered = set(walk(tree)).difference(without_order(tree))
        found |= {change for node in ordered for change in border_changes(node, span, source)}
    return [mutant for change in sorted(found) if parses((mutant := Mutant(file, *change, "")).statements[1])]


def parses(statements):
    """Are they a program at all?"""
    try:
        ast.parse(statements)
    except SyntaxError:
        return False
    return True


def walk(node):
    """Every node that may be changed: no docstrings, and nothing inside f-strings,
    whose positions Python 3.10 does not know."""
    if isinstance(node, ast.JoinedStr) or isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    yield node
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
        return                                                              # -1 is a number
    for child in ast.iter_child_nodes(node):
        yield from walk(child)


def changes(node, span, between):
    """(start, end, new) of every change of one node."""
    match node:
        case ast.BinOp(left, op, right) if type(op) in OPERATORS:
            yield between(left, right, type(op))
        case ast.AugAssign(target, op, value) if type(op) in OPERATORS:
            yield between(target, value, type(op))
        case ast.BoolOp(op, values):
            yield from (between(a, b, type(op)) for a, b in zip(values, values[1:]))
        case ast.Compare(left, ops, right):
            yield from (between(a, b, type(op)) for a, op, b in zip([left, *right], ops, right)
                        if type(op) in OPERATORS)
        case ast.UnaryOp(ast.USub() | ast.Not() as op, operand):
            yield span(node)[0], span(node)[0] + len("-" if isinstance(op, ast.USub) else "not "), ""
            if isinstance(operand, ast.Constant):
                yield *span(node), repr(1 - operand.value)
        case ast.keyword("axis", ast.Constant(1) as one):
            yield *span(one), "0"
        case ast.Constant(bool(value)):
            yield *span(node), str(not value)
        case ast.Constant(int(value) | float(value)):
            yield *span(node), repr(value + 1)
    if removable(node):
        yield *span(node), "pass"


def removable(node):
    """Is it a statement without which every name is still defined, and something returned?"""
    match node:
        case ast.Assign(targets):
            names = [name for name in chain(*map(ast.walk, targets)) if isinstance(name, ast.Name)]
            return not any(isinstance(name.ctx, ast.Store) for name in names)
        case ast.Expr() | ast.AugAssign() | ast.If() | ast.For() | ast.Raise():
            return True
    return False


def all_mutants(files=tuple(PLANTED), part=0):
    """Those of the files: of each first the planted ones, then those by rule that are not among them, of the borders
    one part of PARTS.

    ValueError where a line of the list of equivalent ones is not made by any: then that list has to follow the file.
    """
    for file in files:
        made = {}
        for mutant in chain(planted(file), by_rule(file) if file in [*BY_RULE, *BORDERS] else ()):
            made.setdefault(mutant.source, mutant)
        unknown = EQUIVALENT.get(file, {}).keys() - {mutant.name for mutant in made.values()}
        if unknown:
            raise ValueError(f"tests/mutation/planted: no mutant of {file} is called {sorted(unknown)}")
        yield from (mutant for mutant in made.values()
                    if mutant.what or file in BY_RULE or mutant.part == part)
