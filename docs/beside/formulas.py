"""The formulas of docs/paper.md as MathML, with a class on everything that stands for a symbol of a table.

The LaTeX is read from the page, so that no equation is typed twice. latex2mathml translates it; what follows mends
what a browser needs to set it well: words instead of single letters, space around functions. typesetting.py breaks
long formulas into lines.
"""
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

from latex2mathml.converter import convert

PAPER = Path(__file__).parents[1] / "paper.md"
WORDS = ("shortcut", "cols", "conv", "out", "fan", "dx", "dw", "db")
FUNCTIONS = ("log", "exp", "max", "min", "arg")


@cache
def displayed():
    """{heading of docs/paper.md: the formulas that stand under it on lines of their own}"""
    found, heading = {}, None
    for line in PAPER.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if line.startswith("$$"):
            found.setdefault(heading, []).append(line.strip("$ "))
    return found


def inline(latex, symbols=()):
    """One formula within a line of text."""
    return f"<math>{as_text(marked(tree_of(latex), symbols))}</math>"


# ---- from LaTeX to a tree --------------------------------------------------------------------------------------------

def tree_of(latex):
    """The formula as an <mrow>. Raises ValueError for a command that latex2mathml does not know."""
    text = convert(latex).replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
    row = ElementTree.fromstring(text)[0]
    for element in list(row.iter()):
        mended(element)
    for element in list(row.iter("mrow")):
        spelled(element)
        spaced(element)
    for element in row.iter():
        if element.tag in ("mi", "mo") and (element.text or "").startswith("\\"):
            raise ValueError(f"latex2mathml does not know {element.text} in {latex}")
    return row


def mended(element):
    """Change one element in place."""
    text = element.text or ""
    if element.tag == "mi" and text.lstrip("\\") in FUNCTIONS:
        element.text = text.lstrip("\\")
    if element.tag == "mi" and text in tuple("{}:‖"):
        element.tag = "mo"
        element.attrib = {"stretchy": "false"} | ({"lspace": ".28em", "rspace": ".28em"} if text in tuple(":‖") else {})
    children = list(element)
    if children and all(child.get("mathvariant") == "normal" for child in children):           # \mathrm{word}
        element.tag, element.text = "mi", "".join(child.text for child in children)
        element[:] = []


def spaced(row):
    """A thin space around log and its like, but not beside a bracket or a sign."""
    for place, child in reversed(list(enumerate(row))):
        name = child[0] if child.tag in ("msub", "msup") else child
        if name.text in FUNCTIONS:
            after, before = row[place + 1:place + 2], row[place - 1:place] if place else []
            if after and after[0].text != "(":
                row.insert(place + 1, ElementTree.Element("mspace", width=".17em"))
            if before and before[0].tag not in ("mo", "mspace"):
                row.insert(place, ElementTree.Element("mspace", width=".17em"))


def spelled(row):
    """Single letters that spell a word become one identifier; the last letter may carry an index."""
    for word in WORDS:
        for place in range(len(row) - len(word), -1, -1):
            letters = row[place:place + len(word)]
            last = letters[-1][0] if letters[-1].tag in ("msub", "msup") else letters[-1]
            if [letter.text for letter in [*letters[:-1], last]] == list(word):
                last.text = word
                for letter in letters[:-1]:
                    row.remove(letter)


# ---- the symbols of a table ------------------------------------------------------------------------------------------

def marked(tree, symbols):
    """The tree, with class="s1 v" on what stands for the first symbol, and so on; symbols: LaTeX."""
    patterns = [(number, pattern_of(latex)) for number, latex in enumerate(symbols, start=1)]
    patterns.sort(key=lambda pair: -len(list(pair[1].iter())))               # L_c before L
    mark(tree, patterns)
    return tree


def mark(element, patterns):
    """Mark the element or what is in it; of a symbol with an index the symbol, and then what the index has."""
    number = next((number for number, pattern in patterns if is_symbol(element, pattern)), None)
    if number is not None:
        element.set("class", f"s{number} v")
    elif element.tag != "mover":                                             # the s of s_bar is not s
        for child in element:
            mark(child, patterns)


def pattern_of(latex):
    return only(tree_of(latex))


def is_symbol(element, pattern):
    """Whether the element is the symbol; d_{out,nk} is d_{out}, and s_{ij} is s_i."""
    if element.tag == pattern.tag == "msub":
        first = element[1][0] if len(element[1]) else element[1]
        return as_text(element[0]) == as_text(pattern[0]) and as_text(first) == as_text(only(pattern[1]))
    return as_text(element) == as_text(pattern)


def only(element):
    """What a row has in it, if that is one element."""
    return element[0] if element.tag == "mrow" and len(element) == 1 else element


def as_text(element):
    return ElementTree.tostring(element, encoding="unicode")
