"""core/report/pairs.py: the matrix and the pairs of the page, and that a long tail of pairs is folded."""
import numpy as np
import pytest

from core.report import page, pairs
from tests.lib.document import Document
from tests.lib.pages import page_of, records


@pytest.fixture(scope="module")
def made():
    return page_of(records=records(), begin=4)


@pytest.fixture(scope="module")
def document(made):
    return Document(page.render(made))


def test_the_matrix_counts_and_leads_to_the_pairs(made, document):
    cells = {(int(a["data-given"]), int(a["data-suggested"])): a for a in document.all("a")
             if "aria-label" in a and a.get("data-given") and a.get("data-suggested")}
    for (i, j), attrs in cells.items():
        number = ((made.given == i) & (made.suggested == j)).sum()
        assert attrs["aria-label"].endswith(f": {number}") and attrs["href"] == f"#pair-{i}-{j}"
    assert set(cells) == set(zip(*(c[made.given != made.suggested].tolist() for c in (made.given, made.suggested))))


def test_of_many_classes_the_matrix_shows_those_that_move_most():
    made = page_of(3000, [f"class {c}" for c in range(100)], wrong=0)
    made.suggested[made.given == 77] = 5
    found = pairs.matrix(made, [])
    assert len(found["classes"]) == pairs.CLASSES and {5, 77} <= set(found["classes"])
    row = next(cells for i, _, cells in found["rows"] if i == 77)
    assert next((count, shade) for j, count, shade, _ in row if j == 5) == ((made.given == 77).sum(), pairs.SHADES - 1)
    assert f"Shown are the {pairs.CLASSES} of 100 classes" in Document(page.render(made)).text


def test_pairs_show_their_most_and_least_certain_images():
    made = page_of(800, list("ab"), wrong=.5)
    rows = np.flatnonzero(made.given != made.suggested)
    given, suggested, number, most, least = pairs.samples_of_pairs(made, rows)[0][0]
    own = rows[(made.given[rows] == given) & (made.suggested[rows] == suggested)]
    certainty = np.sort(made.probs[own, suggested])[::-1]
    assert number == len(own) == max(np.bincount(made.given[rows]))
    assert made.probs[most, suggested].tolist() == certainty[:pairs.SAMPLES].tolist()
    assert made.probs[least, suggested].tolist() == certainty[-pairs.SAMPLES:].tolist()


def test_a_small_pair_shows_no_image_twice():
    made = page_of(12, list("ab"), wrong=.9)
    for *_, number, most, least in pairs.samples_of_pairs(made, np.flatnonzero(made.given != made.suggested))[0]:
        assert len(set(most) | set(least)) == len(most) + len(least) == min(number, 2 * pairs.SAMPLES)


def test_every_pair_is_in_the_list_once_and_all_their_numbers_add_up():
    made = page_of(3000, [f"c{c}" for c in range(60)], wrong=.4)
    moved = np.flatnonzero(made.given != made.suggested)
    found, tail = pairs.samples_of_pairs(made, moved)
    numbers = {(given, suggested): number for given, suggested, number, *_ in [*found, *tail]}
    assert len(numbers) == len(found) + len(tail) and len(found) == pairs.PAIRS
    for (given, suggested), number in numbers.items():
        assert number == ((made.given == given) & (made.suggested == suggested)).sum()
    assert sum(numbers.values()) == len(moved)
    assert [number for _, _, number, *_ in [*found, *tail]] == sorted(numbers.values(), reverse=True)
    text = Document(page.render(made)).text
    folded = [number for _, _, number, *_ in [*found[10:], *tail]]
    assert f"{len(folded)} more pairs, {sum(folded):,} images" in text
    assert f"and {len(tail) - 400:,} pairs with {sum(n for *_, n in tail[400:]):,} images" in text


@pytest.mark.parametrize("names, turned", [
    (["cat", "dog"], False), (["cat", "horse"], False), (["cat", "automobiles"], True), ([*"abcdefghi", "horse"], True),
    ([*"abcdefghij"], False)])
def test_all_heads_of_the_matrix_are_turned_or_none(names, turned):
    made = page_of(400, names)
    assert pairs.matrix(made, [])["turned"] == turned
    heads = page.render(made).count('class="turned"')
    assert heads == (len(names) if turned else 0)


def test_a_name_that_is_cut_in_the_matrix_is_whole_in_its_title():
    names = [f"Tomato, leaf number {c} of a long row of names" for c in range(3)]
    made = page_of(100, names)
    titles = [attrs["title"] for attrs in Document(page.render(made)).all("th") if "title" in attrs]
    assert titles == names + names


def test_one_image_is_one_image():
    made = page_of(30, ["a", "b"], wrong=0)
    made.suggested[0] = 1 - made.given[0]
    text = Document(page.render(made)).text
    assert " 1 image " in text and " 1 images" not in text
