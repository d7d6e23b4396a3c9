"""The README is one page; its excerpt, check and numbers are those of the code and of the pages that it links."""
import re
import statistics
from contextlib import redirect_stdout
from io import StringIO

from tests.project.test_commands import COLUMNS, blocks
from tests.project.test_docs import PAGES, ROOT, section

README = PAGES["README.md"].read_text(encoding="utf-8")


def page(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def python_blocks():
    return re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_it_is_one_page():
    assert len(README.splitlines()) <= 150
    assert [line for block in blocks(README) for line in block.splitlines() if len(line) > COLUMNS] == []


def test_a_fresh_machine_needs_one_line_for_the_demo_and_one_for_the_tests():
    lines = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(lines) == 2 and lines[0].endswith("python demo.py") and " pytest " in lines[1]


def test_the_excerpt_is_what_stands_in_the_code():
    excerpt, _ = python_blocks()
    assert excerpt in (ROOT / "core" / "objective.py").read_text(encoding="utf-8")


def test_the_check_prints_what_it_says():
    _, check = python_blocks()
    printed = StringIO()
    with redirect_stdout(printed):
        exec(check, {})
    numbers = [line.split()[-1] for line in printed.getvalue().splitlines()]
    assert numbers == re.findall(r"\) +# (\S+)$", check, re.MULTILINE) and len(numbers) == 2


def test_the_files_of_the_paper_are_as_short_as_it_says():
    limit = int(re.search(r"first six rows have\nfewer than (\d+) lines", README)[1])
    rows = re.findall(r"^\| .*\]\(core/.*$", section(README, "Read it beside the paper"), re.MULTILINE)[:6]
    files = {file for row in rows for file in re.findall(r"\]\((core/\w+\.py)\)", row)}
    lines = sum(len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in files)
    assert len(files) == 5 and limit - 100 < lines < limit


def test_names_beside_a_file_are_defined_in_it():
    rows = re.findall(r"\]\(((?:core|nets)/\w+\.py)\): ((?:`\w+`,? ?)+)", README)
    assert len(rows) == 6
    for file, names in rows:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert [name for name in re.findall(r"`(\w+)`", names) if f"def {name}(" not in text] == [], file


def test_the_folders_of_the_map_exist():
    found = re.findall(r"^    (\w+/)(.*(?:\n {5,}.*)?)$", section(README, "The map"), re.MULTILINE)
    folders = [folder for folder, _ in found]
    inside = [f"{folder}{sub}" for folder, rest in found if folder in ("core/", "tests/")
              for sub in re.findall(r"\b\w+/", rest)]
    assert len(folders) > 4 and len(inside) > 8
    assert [folder for folder in [*folders, *inside] if not (ROOT / folder).is_dir()] == []


def test_numbers_of_evidence_and_mutants_are_those_of_their_pages():
    measured = int(re.search(r"([\d,]+) measurements", README)[1].replace(",", ""))
    killed, around = (int(number.replace(",", "")) for number in re.search(
        r"all ([\d,]+) non-equivalent mutants .* all ([\d,]+) of the sample", README).groups())
    assert f"{measured} measurements, {measured} within their bounds" in page("evidence.md")
    assert f"**{killed} of {killed} mutants killed" in page("mutation.md")
    assert f"**{around} of {around} mutants killed" in page("mutation-borders.md")


def test_means_are_those_of_the_seeds():
    rows = re.findall(r"^\| \d \|(.*)\|$", section(page("results.md"), "Embedded digits"), re.MULTILINE)
    columns = zip(*([float(cell) for cell in re.findall(r"[\d.]+", row)] for row in rows), strict=True)
    means = [f"{statistics.mean(column):.1f} ± {statistics.stdev(column):.1f} %" for column in columns]
    stated = re.search(r"^\| mean ± sd \|(.*)\|$", page("results.md"), re.MULTILINE)[1]
    assert len(rows) == 5 and [cell.strip(" *") for cell in stated.split("|")] == means
    assert f"{means[0].split()[0]} → **{means[1]}** | **{means[3]}**" in README


def test_results_are_those_of_the_page_of_results():
    """The numbers of each row stand in this order in one row of a table there, or in one paragraph."""
    rows = re.findall(r"^\| CIFAR[^|]*\|(.*)$", section(README, "Results"), re.MULTILINE)
    blocks = re.split(r"\n\n|\n(?=\|)", page("results.md").replace("*", ""))
    numbers = [re.findall(r"\d+\.\d", row) for row in rows]
    assert len(rows) == 4 and sum(map(len, numbers)) == 16
    for found in numbers:
        in_order = re.compile(r"\b" + r"\D*? %(?s:.*?)\b".join(map(re.escape, found)) + r"\D*? %")
        assert any(map(in_order.search, blocks)), found
