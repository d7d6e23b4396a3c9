"""Functions of the project as highlighted lines: inspect finds them, Pygments names their parts.

Pygments distinguishes more kinds of words in every version. The page has five, so that it stays the same.
"""
import inspect
from html import escape
from pathlib import Path
from typing import NamedTuple

from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String

ROOT = Path(__file__).parents[2]
KINDS = {Comment: "c", Keyword: "k", String: "q", Number: "n", Operator.Word: "k"}


class Listing(NamedTuple):
    """A function as the page shows it."""
    name: str
    file: str                          # core/objective.py
    first: int                         # its first line in the file, from 1
    text: str

    @property
    def last(self):
        return self.first + len(self.text.splitlines()) - 1


def listing(function):
    """The Listing of a function or class, decorators included."""
    lines, first = inspect.getsourcelines(function)
    file = Path(inspect.getsourcefile(inspect.unwrap(function))).relative_to(ROOT).as_posix()
    return Listing(function.__name__, file, first, "".join(lines).rstrip("\n"))


def names_in(text):
    """The names of the code itself, not those within strings and comments."""
    return {word for kind, word in tokens(text) if kind in Name}


def highlighted(found, symbols):
    """HTML of the lines, each with its number as a link to the file; symbols: {name in the code: number}."""
    pieces = "".join(piece(kind, word, symbols) for kind, word in tokens(found.text)).rstrip("\n").split("\n")
    width = len(str(found.last))
    return "\n".join(f'<a class="at" tabindex="-1" href="../{found.file}#L{number}">{number:{width}}</a> {line}'
                     for number, line in enumerate(pieces, start=found.first))


def piece(kind, word, symbols):
    """One word of the code as HTML; no element reaches over the end of a line."""
    mark = next((mark for family, mark in KINDS.items() if kind in family), None)
    if kind in Name and word in symbols:
        mark = f"s{symbols[word]} v"
    lines = [escape(line, quote=False) for line in word.split("\n")]
    return "\n".join(f'<span class="{mark}">{line}</span>' if mark and line.strip() else line for line in lines)


def tokens(text):
    return list(PythonLexer(stripnl=False).get_tokens(text))
