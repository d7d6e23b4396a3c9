"""core/report/templates: every number, name, link, line and picture of the page stands where it belongs."""
import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from core.quality import confident_joint
from core.report import page, review
from core.report.charts import BOTTOM, LEFT, RIGHT, TOP, charts
from core.report.classes import by_quality
from core.report.histogram import histograms
from core.report.numbers import unbroken
from core.report.pairs import PAIRS, matrix, samples_of_pairs
from tests.lib.document import Tree
from tests.lib.pages import page_of, records

N, C = 900, 45
SIZES = {0: (6, 6), 1: (40, 30), 2: (20, 50)}              # width, height
SQUARES = {0: [], 1: [("0 0 40 30", "5.0", "0.0", "30", "30")], 2: [("0 0 20 50", "0.0", "15.0", "20", "20")]}


@pytest.fixture(scope="module")
def made():
    """A run of which every class has a number of labels of its own, and every image a colour."""
    rng = np.random.default_rng(3)
    made = page_of(N, [f"<class> {c}" for c in range(C)], wrong=0, records=records(), begin=4)
    given = np.sort(rng.integers(C, size=N) * rng.integers(C, size=N) // C)
    suggested = np.where(rng.random(N) < .6, np.minimum(given * rng.integers(3, size=N), C - 1), given)
    images = np.broadcast_to(rng.integers(30, 226, (N, 1, 1, 3), dtype=np.uint8), (N, 6, 6, 3)).copy()
    certain = made.probs[np.arange(N), suggested]
    return made._replace(images=images, given=given, suggested=suggested, joint=confident_joint(made.probs, given),
                         sure=.3, corrected=np.where(certain > .3, suggested, given))


@pytest.fixture(scope="module")
def root(made):
    """The page, as if two of three pictures were of photos that are no squares."""
    def of_photos(*args):
        return {row: found._replace(size=SIZES[row % 3]) for row, found in review.pictured(*args).items()}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(page, "pictured", of_photos)
        return Tree(page.render(made)).root


def section(root, name):
    found, = root.all("section", id=name)
    return found


def texts(elements):
    return [element.text for element in elements]


def link(element):
    """(given, suggested) that a link of an element leads to; None without one."""
    found = element.all("a")
    return (found[0]["data-given"], found[0]["data-suggested"]) if found else None


def test_the_table_of_classes(made, root):
    rows = [row for table in section(root, "classes").all("table") for row in table.all("tr")[1:]]
    found = by_quality(made.given, made.suggested, made.probs, C, made.joint)
    for row, q in zip(rows, found, strict=True):
        assert texts(row.all("th")) == [made.classes[q.number]]
        expected = {"number": str(q.number), "labels": str(q.labels), "estimated wrong": unbroken(q.wrong),
                    "suspicious": str(q.suspicious), "part": unbroken(q.suspicious / q.labels if q.labels else None),
                    "suggested for others": str(q.gained), "mean score": unbroken(q.score)}
        for table in section(root, "classes").all("table"):
            assert texts(table.all("th", scope="col")) == ["class", *expected]
        cells = row.all("td")
        assert texts(cells) == [text.replace("\u00a0", " ") for text in expected.values()]
        number = str(q.number)
        assert [link(cell) for cell in cells] == [None, None, None, (number, "") if q.suspicious else None, None,
                                                  ("", number) if q.gained else None, None]
    assert len(section(root, "classes").all("table")[0].all("tr")) == 13
    assert section(root, "classes").all("summary")[0].text == f"{len(found) - 12} more classes"


def test_the_matrix(made, root):
    found = matrix(made, samples_of_pairs(made, np.flatnonzero(made.given != made.suggested))[0])
    table, = section(root, "matrix").all("table")
    assert len(found["classes"]) < C
    head, *rows = table.all("tr")
    names = [made.classes[c] for c in found["classes"]]
    assert [th.attrs.get("title") for th in head.all("th")] == [None, *names, None]
    ids = {details["id"] for details in root.all("details") if "id" in details.attrs}
    for row, i in zip(rows, found["classes"], strict=True):
        assert row.all("th")[0]["title"] == made.classes[i]
        *cells, total = row.all("td")
        assert total.text == str((made.given == i).sum())
        for cell, j in zip(cells, found["classes"], strict=True):
            number = int(((made.given == i) & (made.suggested == j)).sum())
            assert cell.text == str(number) and link(cell) == ((str(i), str(j)) if number and i != j else None)
            assert (cell["class"] == "same") == (i == j) and (cell["class"] == "none") == (i != j and not number)
            for a in cell.all("a"):
                goal = f"pair-{i}-{j}"
                assert a["href"] == "#" + (goal if goal in ids else "review")


def shows(made, row, uri):
    """Whether a picture has the colour of that image."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))), float)
    assert abs(pixels.mean(axis=(0, 1)) - made.images[row, 0, 0]).max() < 8


def test_every_picture_and_every_size_of_the_list_is_that_of_its_image(made, root):
    data, place = json.loads("".join(root.all("script", id="data")[0].inside)), {
        int(i): row for row, i in enumerate(made.index)}
    rows = [place[i] for i in data["index"]]
    assert len(data["images"]) > 300
    for k, uri in data["images"].items():
        shows(made, rows[int(k)], uri)
    assert {rows[int(k)]: tuple(size) for k, size in data["sizes"].items()} == {
        row: SIZES[row % 3] for row in rows if row % 3}


def test_the_pairs_and_their_pictures(made, root):
    found, tail = samples_of_pairs(made, np.flatnonzero(made.given != made.suggested))
    every, place = root.all("details", **{"class": "pair"}), {int(i): row for row, i in enumerate(made.index)}
    assert len(found) == PAIRS and tail and [pair for pair in every if "open" in pair.attrs] == every[:3]
    for pair, (i, j, number, most, least) in zip(every, found, strict=True):
        given, suggested = made.classes[i], made.classes[j]
        assert pair["id"] == f"pair-{i}-{j}" and pair.all("h3")[0].text == f"{given} → {suggested}"
        assert pair.all("span", **{"class": "count"})[0].text == f"{number} image{'s' * (number > 1)}"
        assert link(pair) == (str(i), str(j))
        ends = {div.all("h4")[0].text: [place[int(li["data-index"])] for li in div.all("li")]
                for div in pair.all("div") if "class" not in div.attrs}
        assert ends == {name: rows for name, rows in (("most certain", most), ("least certain", least)) if rows}
        for li in pair.all("li"):
            row = place[int(li["data-index"])]
            name, *words = li.all("span")[-3:]
            assert name["title"] == made.paths[row] and name.text == made.paths[row].split("/")[-1]
            chance = [f"{100 * p:.0f} %" for p in (made.probs[row, j], made.probs[row, i])]
            assert texts(words) == [f"{chance[0]} {suggested}", f"{chance[1]} {given}"]
            assert [(svg["viewbox"], *(svg.all("rect")[0][name] for name in ("x", "y", "width", "height")))
                    for svg in li.all("svg")] == SQUARES[row % 3]
            image, = li.all("img")
            shows(made, row, image["src"])
            assert image["alt"].replace("\u00a0", " ") == (f"{made.paths[row]}, given {given}, suggested {suggested}, "
                                                           f"probability {chance[0]}")
    listed = root.all("ul", **{"class": "pairs"})[0].all("li")
    assert [(link(li), li.text) for li in listed] == [
        ((str(i), str(j)), f"{made.classes[i]} → {made.classes[j]} {number}") for i, j, number in tail]


def test_every_drawing_has_its_lines_bars_legend_axes_and_numbers(made, root):
    drawings = [*charts(made.records, made.begin), *histograms(made)]
    assert len(drawings) == 5 and {drawn.mark is None for drawn in drawings} == {True, False}
    assert (LEFT, RIGHT, TOP, BOTTOM) == (48, 410, 12, 196), "between these the template draws"
    for figure, drawn in zip(root.all("figure"), drawings, strict=True):
        svg, *samples = figure.all("svg")
        assert figure.all("figcaption")[0].text == drawn.title and svg["aria-label"] == f"{drawn.title}. {drawn.words}"
        if hasattr(drawn, "lines"):
            legend = [(colour, name) for colour, name, _ in drawn.lines]
            assert [(line["class"], line["points"]) for line in svg.all("polyline")] == [
                (f"line-{colour}", points) for colour, _, points in drawn.lines]
        else:
            legend = drawn.legend
            assert [[bar[key] for key in ("class", "x", "y", "width", "height")] for bar in svg.all("rect")] == [
                [f"bar-{colour}", *map(str, place)] for colour, *place in drawn.bars]
        shown = [(sample.all("path") + sample.all("rect"))[0]["class"].removeprefix("line-").removeprefix("bar-")
                 for sample in samples]
        words = {"mark": "labels first updated" if hasattr(drawn, "lines") else "confidence threshold"}
        expected = [*((str(colour), name) for colour, name in legend), *words.items()]
        entries = [li.text for li in figure.all("ul")[0].all("li")]
        assert list(zip(shown, entries, strict=True)) == expected[:len(legend) + (drawn.mark is not None)]
        for sample in samples:
            assert 0 < float(sample.all("rect")[0]["width"] if sample.all("rect") else 28) <= 28
        marks = svg.all("path", **{"class": "mark"})
        assert [path["d"] for path in marks] == [f"M{drawn.mark} 12V196"] * (drawn.mark is not None)
        assert [path["d"] for path in svg.all("path", **{"class": "grid"})] == [
            *(f"M48 {y}H410" for y, _ in drawn.y_ticks), *(f"M{x} 196v5" for x, _ in drawn.x_ticks)]
        ticks = [(tick["x"], tick["y"], tick.text) for tick in svg.all("text")[:-1]]
        assert ticks == [*(("42", str(y + 4), text.replace("\u00a0", " ")) for y, text in drawn.y_ticks),
                         *((str(x), "214", text) for x, text in drawn.x_ticks)]
        table = [texts(row.all("th") + row.all("td")) for row in figure.all("table")[0].all("tr")]
        assert table == [[text.replace("\u00a0", " ") for text in row] for row in drawn.table]
