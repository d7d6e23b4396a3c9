"""docs/beside.html is what its sources give, whole, reachable, and about things that exist."""
import json
import re

import numpy as np
import pytest

from docs.beside import drawings, evidence, formulas, page, plots, recording, steps, typesetting
from docs.beside.derivatives import proved, shown
from docs.beside.listings import listing, names_in
from docs.beside.rows import rows
from tests.project.test_docs import PAPER, ROOT, broken_links, without_code

HTML = page.PAGE.read_text(encoding="utf-8")
ROWS = rows()
IDS = re.findall(r' id="([^"]+)"', HTML)
TEXT = re.sub(r"<script.*?</script>", "", HTML, flags=re.DOTALL)


# ---- the page as a whole -------------------------------------------------------------------------------------------

def test_it_is_what_its_sources_give():
    assert HTML == page.render(), "docs/beside.html is not what its sources give: python -m docs.beside"


def test_it_is_one_small_file_and_its_script_is_short():
    assert len(HTML.encode()) < 1_500_000
    assert len((page.FOLDER / "beside.js").read_text(encoding="utf-8").splitlines()) <= 400
    assert re.findall(r'(?:src|srcset|poster|action)="', TEXT) == [] and "<link" not in HTML and "@import" not in HTML
    assert "default-src 'none'" in HTML and "connect-src" not in HTML


def test_ids_are_unique_and_every_picture_has_words():
    assert len(IDS) == len(set(IDS))
    assert [svg for svg in re.findall(r"<svg[^>]*>", TEXT) if not re.search(r'aria-label="[^"]{10,}"', svg)] == []


def test_its_links_lead_somewhere():
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
               for title in re.findall(r"^#+ (.*)", PAPER, re.MULTILINE)}
    links = set(re.findall(r'<a [^>]*href="([^"]+)"', TEXT))
    assert {link for link in links if "//" in link} == {"https://arxiv.org/abs/1803.11364"}
    for path, _, anchor in (link.partition("#") for link in links if "//" not in link):
        target = page.FOLDER.parent / path if path else page.PAGE
        assert target.exists(), path
        if path.endswith(".py") and anchor:
            assert int(anchor[1:]) <= len(target.read_text(encoding="utf-8").splitlines())
        elif anchor:
            assert anchor in (anchors if path else IDS), (path, anchor)


def test_the_readme_and_every_section_of_the_paper_lead_to_it():
    first_screen = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:20]
    assert any("](docs/beside.html)" in line for line in first_screen)
    sections = re.split(r"^## ", without_code(PAPER), flags=re.MULTILINE)[1:]
    assert len(sections) == 14
    for section in sections:
        anchors = re.findall(r"\]\(beside\.html#([\w-]+)\)", section)
        assert anchors and set(anchors) <= set(IDS), section.splitlines()[0]
    assert broken_links(PAPER, ROOT / "docs") == []


# ---- equations, code, symbols --------------------------------------------------------------------------------------

def test_every_equation_of_the_paper_is_there_once():
    ours = [formula for row in ROWS.values() for formula in row.formulas]
    theirs = [formula for group in formulas.displayed().values() for formula in group]
    assert len(theirs) > 30 and sorted(ours) == sorted(theirs) == sorted(re.findall(r"^\$\$ (.*) \$\$$", PAPER, re.M))
    for row in ROWS.values():
        latex = [symbol for symbol, _, _ in row.symbols]
        assert all(typesetting.block(formula, latex) in HTML for formula in row.formulas)
    numbers = {int(n) for row in ROWS.values() for n in re.findall(r"\((\d+)\)", row.title)}
    assert numbers == set(range(1, 13))


def test_latex_that_is_not_understood_is_refused():
    with pytest.raises(ValueError, match=r"\\nothing"):
        formulas.tree_of(r"\nothing x")


@pytest.mark.parametrize("name", ROWS)
def test_the_table_of_symbols_names_what_is_there(name):
    """Each symbol marks something in the equations of its row, and each name something in the code."""
    row = ROWS[name]
    html = re.search(rf'<section class="row" id="{name}".*?</section>', HTML, re.DOTALL)[0]
    equation, code = (re.search(rf'<div class="{kind}">(.*?)</div>\n<div class="{after}">', html, re.DOTALL)[1]
                      for kind, after in (("equation", "code"), ("code", "check")))
    equation = equation.partition("<h4>Symbols")[0]
    marked = {place: set(re.findall(rf'<span class="s{place} v">(.*?)</span>', code)) for place in range(1, 13)}
    assert len(row.symbols) <= page.MOST
    for place, (latex, names, _) in enumerate(row.symbols, start=1):
        assert f'"s{place} v"' in equation, f"{latex} is not in the equations"
        assert marked[place] == set(names), latex
    every = [name for _, names, _ in row.symbols for name in names]
    assert len(every) == len(set(every)), "a name that stands for two symbols"
    assert set(every) <= set().union(*(names_in(listing(function).text) for function in row.functions))
    assert sum(map(bool, marked.values())) == len(row.symbols)


def test_the_code_is_that_of_the_files():
    for row in ROWS.values():
        for found in map(listing, row.functions):
            lines = (ROOT / found.file).read_text(encoding="utf-8").splitlines()[found.first - 1:found.last]
            assert "\n".join(lines) == found.text
            shown_lines = re.findall(rf'href="\.\./{re.escape(found.file)}#L(\d+)"> *\d+', HTML)
            assert {str(n) for n in range(found.first, found.last + 1)} <= set(shown_lines)


def test_the_worst_measurement_is_the_one_nearest_to_its_bound(monkeypatch):
    table = [evidence.Measurement("a", "complex step", "1e-15", "1e-12"),
             evidence.Measurement("a", "loops", "5e-15", "1e-14"), evidence.Measurement("a", "laws", "1e-13", "1e-11"),
             evidence.Measurement("b", "loops", "9e-15", "1e-14"), evidence.Measurement("a", "zero", "0", "0")]
    monkeypatch.setattr(evidence, "measurements", lambda: table)
    assert evidence.evidence(("a",)) == [("", table[0]), ("worst of 4: ", table[1])]
    assert evidence.evidence(("b",)) == [("", table[3])]


# ---- numbers: see test_beside_numbers.py; here their guards ----------------------------------------------------------

def test_a_number_that_the_last_bits_decide_is_refused():
    assert [shown(x) for x in (.1234499, -.00001, -2, 0.5)] == ["0.1234", "0.0000", "−2.0000", "0.5000"]
    with pytest.raises(ArithmeticError, match="choose another example"):
        shown(.12345)


def test_a_wrong_gradient_cannot_be_shown():
    x = np.array([1., 2])
    assert len(proved("x", 3 * x ** 2, lambda x: (x ** 3).sum(), x)) == 3
    for wrong in (3.00001 * x ** 2, 3 * x ** 2 + 1e-7, 2 * x):
        with pytest.raises(ArithmeticError, match="differ by"):
            proved("x", wrong, lambda x: (x ** 3).sum(), x)


# ---- drawings ------------------------------------------------------------------------------------------------------

def test_the_block_has_the_layers_that_the_code_calls():
    names = re.findall(r">(BN|ReLU|conv)</text>", drawings.block())
    assert names == ["BN", "ReLU", "conv", "BN", "ReLU", "conv"] * 2
    assert drawings.block().count(">+</text>") == 3, "one forward, two backward"


def test_the_ring_holds_the_last_K_epochs():
    assert drawings.ring_states(3, 5) == [([1], 1), ([1, 2], 1.5), ([1, 2, 3], 2), ([4, 2, 3], 3), ([4, 5, 3], 4)]
    assert "mean of 3, 4, 5, 6<" in drawings.ring()


def test_the_patch_that_is_marked_is_the_row_that_is_marked():
    image, matrix = (re.findall(rf'class="cell {kind}[^"]* patch".*?<text[^>]*>(-?\d+)<', drawings.patches())
                     for kind in ("(?:pad|pixel)", "entry"))
    assert image == matrix == ["0", "0", "0", "1", "2", "3", "4", "5", "6"]


# ---- the recorded trainings ----------------------------------------------------------------------------------------

RECORD = recording.load()
runs = pytest.mark.parametrize("name", recording.RUNS)


def test_the_points_are_those_of_the_seed():
    x, truth, given = recording.points(recording.SEED)
    assert np.allclose(RECORD["x"], x, atol=6e-4) and RECORD["runs"].keys() == recording.RUNS.keys()
    assert (RECORD["truth"], RECORD["given"]) == (recording.digits(truth), recording.digits(given))


@runs
def test_the_curves_are_those_of_the_labels(name):
    run, epochs = RECORD["runs"][name], recording.RECIPE.epochs
    assert run["labels"][0] == RECORD["given"] and run["regions"][0] == ""
    assert {len(run[key]) for key in ("labels", "certainty", "regions")} == {epochs + 1}
    assert {len(run[key]) for key in recording.CURVES} == {epochs}
    for labels, correct, largest in zip(run["labels"][1:], run["correct"], run["largest"]):
        assert correct == sum(map(str.__eq__, labels, RECORD["truth"])) / recording.N
        assert largest == max(map(labels.count, "012")) / recording.N
    for regions, certainty in zip(run["regions"][1:], run["certainty"][1:]):
        assert sum(map(int, re.findall(r"[abc](\d+)", regions))) == recording.GRID ** 2
        assert re.fullmatch(rf"\d{{{recording.N}}}", certainty)


@runs
def test_the_first_epochs_are_what_training_gives(name):
    """Up to rounding, which another BLAS does otherwise; over sixty epochs that would show."""
    epochs, run = recording.RECIPE.begin + 1, RECORD["runs"][name]
    again = recording.training(recording.SEED, {**recording.RUNS[name], "epochs": epochs})
    for curve in ("L_c", "L_p", "L_e", "entropy"):
        assert np.allclose(again[curve], run[curve][:epochs], rtol=1e-2, atol=1e-3), curve
    same = [a == b for a, b in zip(again["labels"][epochs], run["labels"][epochs])]
    assert np.mean(same) >= .97 and again["labels"][:recording.RECIPE.begin] == run["labels"][:recording.RECIPE.begin]


def test_the_lesson_is_what_the_record_shows():
    last = {name: {curve: run[curve][-1] for curve in recording.CURVES} for name, run in RECORD["runs"].items()}
    assert last["full"]["correct"] > max(last[name]["correct"] for name in last if name != "full")
    assert last["without L_p"]["largest"] > 1.5 * last["full"]["largest"]
    assert last["without L_e"]["entropy"] > .99 * np.log(3) > 5 * last["full"]["entropy"]
    assert max(map(int, RECORD["runs"]["without L_e"]["certainty"][-1])) <= 1, "the shapes stay small"
    for name, found in RECORD["seeds"].items():
        assert len(found) == len(recording.SEEDS) and found[recording.SEED] == last[name]["correct"]


def test_the_errors_over_h_are_what_both_methods_give():
    """Where h decides, the same; where rounding does, below what it can do."""
    for method, logarithms in steps.logarithms().items():
        for exponent, ours, again in zip(steps.EXPONENTS, RECORD["steps"][method], logarithms, strict=True):
            if exponent >= (-4 if method == "central" else -6):
                assert abs(ours - again) < .05, (method, exponent)
            limit = max(2 * exponent - 1.3, -15 - exponent) if method == "central" else max(2 * exponent - 1.3, -14.5)
            assert max(ours, again) < limit + .5, (method, exponent)


def test_the_runs_of_a_region_become_rectangles():
    grid = recording.GRID
    assert recording.runs_of([0, 0, 2, 0]) == "a2c1a1"
    assert plots.region(f"a{grid - 1}b3", 1) == f"M{grid - 1} 0h1v1h-1zM0 1h2v1h-2z"


def test_data_cannot_end_its_element():
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', HTML, re.DOTALL)[1]
    assert "<" not in text and json.loads(text)["runs"] == RECORD["runs"]
