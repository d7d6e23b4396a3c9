"""Formulas on lines of their own, in a column that is not wide: a line for each relation, more where one is long."""
from xml.etree import ElementTree

from docs.beside.formulas import as_text, marked, tree_of

RELATIONS = "=≤≈←"
BELOW = {"msub": "munder", "msubsup": "munderover"}     # where the limits of a sum stand in a displayed formula
# letters of a formula that stays on one line; of a side that is broken before + and -; of a line in a smaller font
WHOLE, LONG, SMALL = 20, 27, 38


def block(latex, symbols=()):
    """A formula on lines of its own: one <math> for each part between \\qquad, one row for each relation."""
    tree = marked(tree_of(latex), symbols)
    for element in tree.iter():
        if element.tag in BELOW and element[0].text in ("∑", "min", "max"):
            element.tag = BELOW[element.tag]
    parts = split(list(tree), lambda element: element.tag == "mspace" and element.get("width") == "2em")
    if len(parts) > 1 and "".join(parts[-1][0].itertext()) == "(":           # the name of a rule, not a formula
        *parts, name = parts
        parts[-1] += [ElementTree.Element("mspace", width="1em"), *name]
    return "\n".join(set_out(lines(part)) for part in parts)


def set_out(element):
    size = ' class="small"' if element.tag == "mrow" and signs([element]) > SMALL else ""
    return f'<math display="block"{size}>{as_text(element)}</math>'


def lines(elements):
    """The elements as one <mrow>, or as a table with a row for each relation after the first."""
    first, *others = split_before(elements, RELATIONS)
    if not others or signs(elements) <= WHOLE:
        return element_of("mrow", elements)
    rows = broken(first, others[0]) + [row for side in others[1:] for row in broken([], side)]
    if len(rows) == 1:
        return element_of("mrow", elements)
    return element_of("mtable", [element_of("mtr", [element_of("mtd", left), element_of("mtd", right)])
                                 for left, right in rows])


def broken(left, right):
    """A long right-hand side in several lines: before every + and - but the first."""
    if signs(right) <= LONG:
        return [(left, right)]
    first, *others = split_before(right, "+−")
    return [(left, first), *(([], other) for other in others)]


def signs(elements):
    """How many letters, digits and signs the elements show: the width of a formula, roughly."""
    return sum(len("".join(element.itertext())) for element in elements)


def split(elements, between):
    """The elements in lists, without those that are between."""
    parts = [[]]
    for element in elements:
        if between(element):
            parts.append([])
        else:
            parts[-1].append(element)
    return parts


def split_before(elements, signs):
    """The elements in lists; each but the first begins with one of the signs, outside of all brackets."""
    parts, depth = [[]], 0
    for element in elements:
        text = "".join(element.itertext())[:1] if element.tag in ("mo", "msup", "msub") else ""
        depth += (text in tuple("([{⟨")) - (text in tuple(")]}⟩"))
        if element.tag == "mo" and text in tuple(signs) and depth == 0 and parts[-1]:
            parts.append([])
        parts[-1].append(element)
    return parts


def element_of(tag, children):
    element = ElementTree.Element(tag)
    element.extend(children)
    return element
