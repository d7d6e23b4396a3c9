"""The pages in Markdown say what is so: links, names of functions and tests, bounds, numbers, deviations."""
import ast
import json
import os
import re
from functools import lru_cache
from pathlib import Path

import pytest

from core.recipes import RECIPES

ROOT = Path(__file__).parents[2]
PAGES = {path.relative_to(ROOT).as_posix(): path
         for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])}
PAPER = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
RUNS = json.loads((ROOT / "docs" / "pictures" / "runs.json").read_text(encoding="utf-8"))
every_page = pytest.mark.parametrize("page", PAGES)


def text_of(page):
    """The page without its fenced blocks of code."""
    return without_code(PAGES[page].read_text(encoding="utf-8"))


def without_code(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def section(text, title):
    """What stands under the heading that ends with `title`, down to the next one of its level;
    None where there is none."""
    found = re.search(rf"^(#+) [^\n]*{title}\n(.*?)(?=^\1 |\Z)", text, re.MULTILINE | re.DOTALL)
    return found and found[2]


# ---- links and names -----------------------------------------------------------------------------------------------

def broken_links(text, folder):
    """Relative links of a page in `folder` that lead nowhere; #anchors are those of GitHub."""
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"https?:|mailto:", link)]
    return [link for link in links if link[0] == "#" and link[1:] not in anchors
            or not (folder / link.split("#")[0]).exists()]


def unknown_names(text):
    """References `file.py: name` and `file.py::name` to something that the file does not define at its top level."""
    return [f"{file}: {name}" for file, _, name in references(text) if name not in defined_in(file)]


def unknown_targets(text, folder):
    """Links `file.py#name` of a page in `folder` to something that the file does not define at its top level."""
    return [f"{link}#{name}" for link, name in re.findall(r"\]\(([\w./]+\.py)#(\w+)\)", text)
            if name not in defined_in(os.path.relpath(folder / link, ROOT).replace(os.sep, "/"))]


def references(text):
    return re.findall(r"`([\w./]+\.py)(: |::)(\w+)`", text)


@lru_cache
def defined_in(file):
    """The names that a file of the project defines at its top level: {name: syntax tree}."""
    if not (ROOT / file).exists():
        return {}
    names = {}
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names[node.name] = node
        for target in node.targets if isinstance(node, ast.Assign) else []:
            names |= {name.id: node for name in ast.walk(target) if isinstance(name, ast.Name)}
    return names


@every_page
def test_every_relative_link_leads_somewhere(page):
    assert broken_links(text_of(page), PAGES[page].parent) == []


@every_page
def test_every_function_and_test_that_is_named_exists(page):
    assert unknown_names(text_of(page)) == []
    assert unknown_targets(text_of(page), PAGES[page].parent) == []


@every_page
def test_a_named_function_is_linked_to_its_own_file(page):
    for file, link in re.findall(r"\[`([\w./]+\.py)(?:: |::)?\w*`\]\(([^)#]+)", text_of(page)):
        assert (PAGES[page].parent / link).resolve() == (ROOT / file).resolve(), (file, link)


def test_faults_are_found():
    text = "# 1. A b: c\n[a](#1-a-b-c) [b](#1-b) [c](https://x.y) [d](tests) [e](no/where)\n```\n[f](nowhere)\n```\n"
    assert broken_links(without_code(text), ROOT) == ["#1-b", "no/where"]
    text = "`core/labels.py: one_hot` `core/labels.py: two_hot` `core/none.py: a` `tests/project/test_docs.py::quoted`"
    assert unknown_names(text) == ["core/labels.py: two_hot", "core/none.py: a"]
    text = "[chain rule](../core/labels.py#one_hot) [b](../core/labels.py#two_hot) [c](../core/none.py#a)"
    assert unknown_targets(text, ROOT / "docs") == ["../core/labels.py#two_hot", "../core/none.py#a"]
    assert quoted("recovery 0.5<!-- a/b/last --> and 12.5 %<!-- a/b/2 -->", {"a": {"b": [0.2, 0.125, 0.46]}}) == [
        ("a/b/last", "0.5", "0.5"), ("a/b/2", "12.5", "12.5")]


# ---- bounds and numbers --------------------------------------------------------------------------------------------

def proofs():
    """(file, test, bounds) of every row of the tables of proofs in docs/paper.md."""
    for line in PAPER.splitlines():
        found = re.match(r"\|.*\]\(\.\./(tests/[\w/]+\.py)#(\w+)\) \|([^|]*)\|$", line)
        if found:
            yield found[1], found[2], [float(bound) for bound in found[3].split(",") if bound.strip()]


def test_every_bound_in_the_tables_of_proofs_is_asserted_by_the_test_beside_it():
    rows = list(proofs())
    linked = [line for line in PAPER.splitlines() if line.startswith("|") and ".py#test_" in line]
    assert len(rows) == len(linked) > 30 and sum(len(bounds) for *_, bounds in rows) > 30
    for file, test, bounds in rows:
        missing = set(bounds) - numbers_in(test, defined_in(file), set())
        assert missing == set(), f"{file}::{test} does not assert {missing}"


def numbers_in(name, names, seen):
    """The constants in what a file defines as `name`, and in everything of the file that it uses."""
    seen.add(name)
    nodes = list(ast.walk(names[name]))
    used = {node.id for node in nodes if isinstance(node, ast.Name)} & names.keys() - seen
    numbers = {node.value for node in nodes if isinstance(node, ast.Constant)}
    return numbers.union(*(numbers_in(other, names, seen) for other in used))


def test_every_row_of_evidence_that_is_named_is_in_the_table():
    named = re.findall(r"evidence:\s`([^`]+)`", PAPER)
    measured = re.findall(r"^\| ([^|]+?) \|", (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(named) > 15 and set(named) <= set(measured), set(named) - set(measured)


def quoted(text, runs):
    """(path, the number in the text, what runs.json says to as many digits) for every
    0.98<!-- picture/run/curve/where -->.

    where: an epoch from 1, last, max or min; for fractions in percent the text has a % sign.
    """
    found = []
    for number, percent, path in re.findall(r"([\d.]+)( %)?<!-- (\S+) -->", text):
        *keys, where = path.split("/")
        curve = runs
        for key in keys:
            curve = curve[key]
        value = {"max": max, "min": min, "last": lambda c: c[-1]}.get(where, lambda c: c[int(where) - 1])(curve)
        digits = len(number.partition(".")[2])
        found.append((path, number, f"{100 * value if percent else value:.{digits}f}"))
    return found


def test_numbers_from_the_runs_are_those_of_the_runs():
    numbers = quoted(PAPER, RUNS)
    assert len(numbers) > 10 and len(numbers) == PAPER.count("<!--")
    assert [(path, ours) for path, ours, _ in numbers] == [(path, theirs) for path, _, theirs in numbers]


def test_settings_in_the_captions_are_those_of_the_script():
    captions = dict(re.findall(r"\*Setting of `(\w+)`: ([^*]+)\.\*", PAPER))
    for picture, settings in RUNS["settings"].items():
        words = defined_in("docs/figures.py")[picture.upper()].value.keywords
        assert {word.arg: ast.literal_eval(word.value) for word in words} == settings
        assert {f"{name} {value:g}" for name, value in settings.items()} == set(captions[picture].split(", "))


def test_pictures_are_there_and_small():
    names = re.findall(r"!\[[^\]]+\]\((pictures/\w+\.png)\)", PAPER)
    assert {name[9:-4] for name in names} == RUNS["settings"].keys()
    assert all((ROOT / "docs" / name).stat().st_size < 150_000 for name in names)


def test_recipes_are_those_of_the_code():
    rows = [line for line in section(PAPER, "The recipes").splitlines() if re.match(r"\| `", line)]
    told = {}
    for row in rows:
        _, first, settings, source, _ = row.split("|")
        names, rates = re.findall(r"`([\w-]+)`", first), re.findall(r"\d\.\d+", settings.split("$")[0])
        told |= dict(zip(names, map(float, rates))) if rates else dict.fromkeys(names, told["an-40"])
        assert all(RECIPES[name].source.startswith(source.strip().split(",")[0]) for name in names), row
    assert told.keys() == RECIPES.keys()
    assert all(told[name] == recipe.lr for name, recipe in RECIPES.items() if "ours" not in recipe.source)


def test_the_lines_that_the_exercise_takes_away_are_in_the_code():
    lines = re.findall(r"^-(.*)$", section(PAPER, "An exercise"), re.MULTILINE)
    code = "".join((ROOT / "core" / f"{name}.py").read_text(encoding="utf-8")
                   for name in ("objective", "layers", "optim"))
    assert len(lines) == 3 and [code.count(f"{line}\n") for line in lines] == [1, 1, 1]
    failed = re.findall(r"FAILED (tests/[\w/]+\.py)::(\w+)", PAPER)
    assert failed and all(test in defined_in(file) for file, test in failed)


# ---- deviations ----------------------------------------------------------------------------------------------------

def numbered(text):
    """{number: bold title} of a numbered list."""
    return {int(number): title for number, title in re.findall(r"^(\d+)\. \*\*(.+?)\.?\*\*", text, re.MULTILINE)}


def test_deviations_are_numbered_and_those_named_in_the_code_are_in_the_list():
    listed = numbered(section(PAPER, "official code and this project differ"))
    assert len(listed) > 10 and list(listed) == list(range(1, len(listed) + 1))
    tags = {int(tag) for folder in ("core", "nets") for path in (ROOT / folder).rglob("*.py")
            for tag in re.findall(r"# DEVIATION (\d+):", path.read_text(encoding="utf-8"))}
    assert tags == listed.keys()
