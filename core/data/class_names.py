"""Names of classes that a person cannot tell apart, that mean that nothing is known, or that hold several labels."""
import re
import unicodedata
from difflib import get_close_matches

from core.data.listing import Finding, printable

MISSING = {"nan", "<na>", "#n/a", "#na", "n/a", "nat", "null", "?", "??", "???"}          # in any case
MISSING_AS_WRITTEN = {"NA", "None", "NONE", "NIL"}                                        # `none` may be a class
DOUBTFUL = {"none", "na", "nil", "-", "--", "unknown", "undefined", "missing", "unlabeled", "unlabelled", "no label",
            "not labeled", "not available"}
CYRILLIC_AND_GREEK = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеоріјсухѕһԁԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧαονρυ",
    "ABESIJKMHOPCTYXaeopijcyxshdqwABEZHIKMNOPTYXaovpu")
DASHES = str.maketrans({**dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58", "-"),
                        **dict.fromkeys("\u2018\u2019\u02bc\u00b4\u0060", "'"), **dict.fromkeys("\u201c\u201d", '"')})
ONES_AND_NOUGHTS = str.maketrans("1I|0", "lllO")
NUMBER = re.compile(r"[+-]?\d{1,18}([.]\d{1,18})?")


def meant(text, names):
    """What a text that is none of the names may have been meant to be, in words; "" where none is like it."""
    known = {name.casefold(): name for name in names}
    found = [known[name] for name in get_close_matches(text.casefold(), known, 1)]
    return f" (did you mean {printable(found[0])}?)" if found else ""


def is_missing(label):
    """Whether a label is one of the words that programs write where there is none."""
    return not label or label.casefold() in MISSING or label in MISSING_AS_WRITTEN


def same_numbers(labels):
    """{label: the class that it is} of whole numbers that some programs write with a fraction: 1.0 where there is 1."""
    names = set(labels)
    whole = {name: name.partition(".")[0] for name in names if re.fullmatch(r"\d{1,18}\.0+", name)}
    return {name: number for name, number in whole.items() if number in names}


def look(name):
    """A name as it looks at first sight: without case, width, encoding of accents, and invisible letters."""
    name = unicodedata.normalize("NFKC", name.translate(DASHES))
    name = "".join(letter for letter in name if unicodedata.category(letter) not in ("Cf", "Mn", "Cc"))
    name = " ".join(re.sub(r"[_\s]+", " ", name).split())
    return name.translate(CYRILLIC_AND_GREEK).casefold()


def letters(name):
    """The name with one letter for those that look alike in many fonts: 1, l and I; 0 and O."""
    return unicodedata.normalize("NFKC", name).translate(CYRILLIC_AND_GREEK).translate(ONES_AND_NOUGHTS)


def number(name):
    """The value of a name that is a number, as text; else the name."""
    return f"number {float(name)!r}" if NUMBER.fullmatch(name) else name


def about_names(names):
    """Findings about the names of all classes of a data set."""
    names = sorted(names)
    return alike(names) + [Finding("doubtful", name) for name in names if name.casefold() in DOUBTFUL
                           or is_missing(name)] + several(names)


def alike(names):
    """Findings about names that look or mean the same."""
    found = {}
    for key in (look, letters, number):
        groups = {}
        for name in names:
            groups.setdefault(key(name), []).append(name)
        found |= {tuple(group): None for group in groups.values() if len(group) > 1}
    largest = {}                                             # {name: the largest group that it is in}
    for group in sorted(found, key=len):
        largest |= dict.fromkeys(group, group)
    return [Finding("alike", shown(first), f"and {', '.join(map(shown, others))[:300]}")
            for first, *others in dict.fromkeys(largest.values())]


def shown(name):
    """The name, with the code of each letter that is not what it looks like."""
    return "".join(f"\\u{ord(letter):04x}" if unicodedata.category(letter) == "Cf" else letter
                   for letter in printable(name))


def bare(name):
    """A text without the brackets and quotes of a list of one: ['a'] -> a"""
    return name.strip().strip("[](){}").strip().strip("'\"").strip()


def several(names):
    """A finding where cells hold several labels, with | ; , / + or spaces between them."""
    whole = {bare(name) for name in names}
    for mark in "|;,/+& ":
        divided = {name: [bare(part) for part in bare(name).split(mark)] for name in names if mark in bare(name)}
        parts = {name: own for name, own in divided.items() if all(own)}
        if mark in "|;":
            sure = len(parts) > 1
        elif mark == " ":
            sure = sum(set(own) <= whole for own in parts.values()) > 1
        else:
            lists = any(name.startswith("[") for name in parts)
            sure = any(set(own) & whole for own in parts.values()) and (len(parts) > 1 or lists)
        if sure:
            example = sorted(parts)[0]
            return [Finding("several", printable(example), f"and {len(parts) - 1} other classes with {mark!r} in their "
                                                           "names")]
    return []
