"""The formulas of the pages are formulas, and reach the reader as they were written."""
import re

from tests.project.test_docs import every_page, text_of, without_code

COMMANDS = set("""
    Vert alpha approx arg ast bar beta cdot delta eta exp frac gamma hat in lambda langle lbrace ldots left leftarrow
    leq log mathcal mathrm max mid min mu odot partial qquad quad rangle rbrace rho right sigma sqrt sum theta times top
    varepsilon
    """.split())


def formulas(text):
    """Formulas of a page, in the order $$ ... $$ (each on one line), $ ... $."""
    text = re.sub(r"`[^`\n]*`", "", without_code(text))
    inline = re.sub(r"\$\$.*?\$\$", "", text)
    return re.findall(r"\$\$(.*?)\$\$", text) + re.findall(r"\$([^$\n]+)\$", inline)


def faults_of(formula):
    """What GitHub's Markdown would do to it before MathJax sees it; unknown commands; braces that do not match."""
    faults = [f"_ after {before}" for before in re.findall(r"([^A-Za-z0-9])_", formula)]
    faults += [f"{sign} is emphasis" for sign in re.findall(r"\*", formula)] + ["| ends a cell"] * ("|" in formula)
    escapes = re.findall(r"\\[^A-Za-z]", formula)
    faults += [f"{escape} loses its \\ " for escape in escapes]
    faults += [f"{command} is unknown" for command in re.findall(r"\\[A-Za-z]+", formula)
               if command[1:] not in COMMANDS]
    opened = [formula[:k].count("{") - formula[:k].count("}") for k in range(len(formula) + 1)]
    left, right = (len(re.findall(rf"\\{side}\b", formula)) for side in ("left", "right"))
    if min(opened) < 0 or opened[-1] != 0 or left != right:
        faults.append("braces")
    return faults


def test_faults_are_found():
    formulas = r"s_{ij}", r"\bar{s}_j", r"a*b", r"\{a\}", r"a | b", r"\frc{a"
    assert [fault for formula in formulas for fault in faults_of(formula)] == [
        r"_ after }", r"* is emphasis", r"\{ loses its \ ", r"\} loses its \ ", r"| ends a cell", r"\frc is unknown",
        "braces"]


@every_page
def test_formulas_are_formulas_and_survive_markdown(page):
    text = text_of(page)
    assert {formula: faults for formula in formulas(text) if (faults := faults_of(formula))} == {}
    assert [line for line in text.splitlines() if "$$" in line and not re.fullmatch(r"\$\$ .* \$\$", line)] == []
    assert [line for line in re.sub(r"`[^`\n]*`", "", text).splitlines() if line.replace("$$", "").count("$") % 2] == []
