"""The page as one HTML file: the lesson with its rows, drawings and plots; style, script and data inside."""
import json
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from core.report.page import digest
from docs.beside import drawings, plots, recording
from docs.beside.evidence import evidence
from docs.beside.formulas import inline
from docs.beside.listings import highlighted, listing
from docs.beside.objective_numbers import ALPHA, BETA, P, Y, Z
from docs.beside.rows import rows
from docs.beside.steps import EXPONENTS
from docs.beside.typesetting import block

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "beside.html"
MOST = 12                                              # symbols of a row


def render():
    """The text of docs/beside.html."""
    record, found = recording.load(), rows()
    css = read("beside.css") + marks()
    js = read("beside.js")
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters["math"] = lambda latex: Markup(inline(latex))
    environment.globals.update(
        rows={name: shown(row) for name, row in found.items()}, record=record, recipe=recording.RECIPE,
        RUNS=recording.RUNS, TITLES=recording.TITLES, HIDDEN=recording.HIDDEN, drawings=as_html(drawings),
        plane=lambda run, epoch: Markup(plots.plane(record, run, epoch)), curve=plots.curve,
        given_correct=sum(map(str.__eq__, record["given"], record["truth"])) / recording.N,
        triangle=Markup(plots.triangle()), errors=plots.errors, axes=plots, alpha=ALPHA, beta=BETA,
        percent=percent)
    lesson = re.sub(r"\$([^$\n]+)\$", lambda found: inline(found[1]), read("lesson.html"))
    return environment.from_string(lesson).render(
        css=Markup(css), js=Markup(js), css_hash=digest(css), js_hash=digest(js),
        data=Markup(json.dumps(data(record), separators=(",", ":")).replace("<", "\\u003c")))


def read(name):
    return (FOLDER / name).read_text(encoding="utf-8")


def shown(row):
    """What the template asks of a row, as HTML where it is HTML."""
    latex = [symbol for symbol, _, _ in row.symbols]
    numbers = {name: place for place, (_, names, _) in enumerate(row.symbols, start=1) for name in names}
    return {"title": row.title, "formulas": [Markup(block(formula, latex)) for formula in row.formulas],
            "symbols": [(Markup(inline(symbol)), names, meaning) for symbol, names, meaning in row.symbols],
            "code": [(found, Markup(highlighted(found, numbers))) for found in map(listing, row.functions)],
            "numbers": [(quantity, Markup(inline(quantity.name))) for quantity in row.numbers()],
            "evidence": evidence(row.evidence), "section": row.section}


def as_html(module):
    return {name: Markup(getattr(module, name)()) for name in ("block", "ring", "patches")}


def marks():
    """The rules that mark a symbol wherever it stands in its row, while one of them is pointed at or has the focus."""
    return "".join(f".row:has(.s{k}:is(:hover, :focus)) .s{k}" + (",\n" if k < MOST else
                   " { background: var(--mark); color: var(--on-mark); }\n") for k in range(1, MOST + 1))


def data(record):
    """What the script works on."""
    return {"triangle": {"s": plots.START.tolist(), "labels": plots.LABELS.tolist(), "corners": plots.CORNERS.tolist()},
            "batch": {"z": Z.tolist(), "y": Y.tolist()}, "p": P.tolist(), "alpha": ALPHA, "beta": BETA,
            "rate": plots.RATE, "exponents": EXPONENTS, "axes": plots.AXES, "side": plots.SIDE, "edge": recording.EDGE,
            "grid": recording.GRID, "x": record["x"], "truth": record["truth"], "runs": record["runs"]}


def percent(fraction):
    """0.625 -> 62.5 %, with a space that does not break."""
    return f"{100 * fraction:.1f}".removesuffix(".0") + "\u00a0%"
