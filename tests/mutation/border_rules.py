"""Rules for the borders, where other errors happen than in formulas: beside the changes of tests/mutation/mutants.py

    the first two arguments of a call, or elements of a list, change places; a named argument is left out; a call that
    sorts, copies, folds case or resolves a path is left out; argmax and argmin, max and min, any and all change
    places; a seed becomes 0; [::-1] and .T are dropped; a `with` holds nothing (no lock, no clean-up).

For the page's script, by its lines, since nothing here reads its syntax:

    comparisons and `&&`, `||`, `+ 1`, `- 1`, true, false change as in Python; `!` and `await` are dropped; a line that
    is a call, a listener, an assignment to something that is there, or a guard is removed.
"""
import ast
import re

IDLE_CALLS = {"sorted", "reversed", "abs", "set"}                                   # f(x) -> x
IDLE_METHODS = {"strip", "lower", "casefold", "resolve", "absolute", "copy"}        # x.f() -> x
EXCHANGED = {"argmax": "argmin", "argmin": "argmax", "max": "min", "min": "max", "any": "all", "all": "any"}
SAME_EVERYWHERE = {"encoding", "newline"}            # on most systems the default, or a matter of Windows


def without_order(tree):
    """Where order means nothing: what is excepted, what is behind an `in` or asked of isinstance; min, max and gcd."""
    for node in ast.walk(tree):
        match node:
            case ast.ExceptHandler(type) if type:
                yield type
            case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[members]):
                yield members
            case ast.Call(ast.Name("isinstance" | "issubclass"), [_, kinds]):
                yield kinds
            case ast.Call(ast.Name("min" | "max" | "gcd"), keywords=[]):
                yield node


def border_changes(node, span, source):
    """(start, end, new) of every change of one node of a Python file."""
    def text(part):
        return source[slice(*span(part))]

    def swapped(a, b):
        if text(a) != text(b):
            between = source[span(a)[1]:span(b)[0]]
            yield span(a)[0], span(b)[1], text(b) + between + text(a)

    match node:
        case ast.Call(func, args, keywords):
            if len(args) > 1 and not any(isinstance(arg, (ast.Starred, ast.JoinedStr)) for arg in args[:2]):
                yield from swapped(*args[:2])
            for k, keyword in enumerate(keywords):
                if keyword.arg and keyword.arg not in SAME_EVERYWHERE and (args or k):
                    before = [*args, *(other.value for other in keywords[:k])][-1]
                    if span(before)[1] < span(keyword)[0]:
                        yield span(before)[1], span(keyword)[1], ""
            if isinstance(func, ast.Name) and func.id in IDLE_CALLS and args:
                yield *span(node), text(args[0])
            if isinstance(func, ast.Attribute) and func.attr in IDLE_METHODS and not args:
                yield *span(node), text(func.value)
        case ast.List(elts, ast.Load()) | ast.Tuple(elts, ast.Load()) if len(elts) > 1:
            if not any(isinstance(element, ast.Starred) for element in elts[:2]):
                yield from swapped(*elts[:2])
        case ast.Subscript(value, ast.Slice(None, None, ast.UnaryOp(ast.USub(), ast.Constant(1)))):
            yield *span(node), text(value)
        case ast.With(items) if not any(item.optional_vars for item in items):
            yield span(node)[0], span(items[-1].context_expr)[1], "if True"
        case ast.Name("seed", ast.Load()):
            yield *span(node), "0"
    match node:
        case ast.Attribute(value, "T", ast.Load()):
            yield *span(node), text(value)
        case ast.Attribute(value, name) if name in EXCHANGED:
            yield span(value)[1], span(node)[1], "." + EXCHANGED[name]
        case ast.Name(name, ast.Load()) if name in EXCHANGED:
            yield *span(node), EXCHANGED[name]


IN_A_LINE = [(r"(?<=\s)<=(?=\s)", "<"), (r"(?<=\s)<(?=\s)", "<="), (r"(?<=\s)>=(?=\s)", ">"), (r"(?<=\s)>(?=\s)", ">="),
             (r"===", "!=="), (r"!==", "==="), (r"&&", "||"), (r"\|\|", "&&"), (r"(?<=\w )\+ 1\b", "- 1"),
             (r"(?<=\w )- 1\b", "+ 1"), (r"\btrue\b", "false"), (r"\bfalse\b", "true"), (r"!(?=[\w(/])", ""),
             (r"\bawait ", ""), (r"\.sort\(\(a, b\) => a - b\)", ""), (r"\?\? ", "|| ")]
REMOVED = re.compile(r"^( *)((?:[\w$]+|\$\(\"\w+\"\))(?:\.\w+|\[\w+\])*(?:\(.*\)| [-+]?= .*);|"
                     r"if \(.*\) (?:return|throw|continue)\b.*;|delete .*;)(?= *(?://.*)?$)", re.MULTILINE)


def script_changes(source):
    """(start, end, new) of every change of a script."""
    code = re.sub(r"//.*|\"[^\"\n]*\"|`[^`\n]*`|(?<=[(=:,] )/[^/\n]+/\w*|(?<=\()/[^/\n]+/\w*", hidden, source)
    for pattern, new in IN_A_LINE:
        yield from ((m.start(), m.end(), new) for m in re.finditer(pattern, code))
    yield from ((m.start(2), m.end(2), "") for m in REMOVED.finditer(source) if code[m.start(2)] != " ")


def hidden(match):
    """A comment, a text or a pattern: nothing in it is code, except what a template puts in."""
    return " " * len(match[0])
