"""core/report/page.py without a browser: what the file holds, that names stay text,
that nothing is loaded from anywhere."""
import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from core.report import page
from tests.lib.pages import NASTY, page_of, records


class Document(HTMLParser):
    """Tags with their attributes, the texts between them, and the contents of scripts and styles."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.raw, self.open = [], [], [], None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.open = tag

    def handle_endtag(self, tag):
        self.open = None if tag == self.open else self.open

    def handle_data(self, data):
        (self.raw if self.open else self.words).append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    @property
    def data(self):
        return json.loads(next(text for text in self.raw if text.startswith('{"')))


@pytest.fixture(scope="module")
def made():
    return page_of(records=records(), begin=4, noise_rate=.25, facts=[("<i>fact</i>", "1 & 2", "<b>")])


@pytest.fixture(scope="module")
def document(made):
    return Document(page.render(made))


def test_names_are_text_wherever_they_come(document):
    assert {attrs["src"].split(",")[0] for attrs in document.all("img") if "src" in attrs} == {"data:image/jpeg;base64"}
    assert len(document.all("script")) == 2 and not document.all("i")
    assert "<i>fact</i>" in document.text and "run <b>of</b> tests" in document.text
    assert not [attrs for _, attrs in document.tags if any(name.startswith("on") for name in attrs)]
    assert all(name in document.text for name in NASTY), "as they are: neither run nor escaped twice"
    assert "49" not in {word for word in document.words}


def test_the_data_of_the_script_cannot_end_it(made):
    html = page.render(made)
    start = html.index('id="data">') + len('id="data">')
    data = html[start:html.index("</script>", start)]
    assert "<" not in data and ">" not in data and "&" not in data
    assert tuple(Document(html).data["classes"]) == NASTY


def test_nothing_is_loaded_and_nothing_but_its_own_script_and_style_is_allowed(document):
    policy = next(attrs["content"] for attrs in document.all("meta")
                  if attrs.get("http-equiv") == "Content-Security-Policy")
    style, _, script = document.raw
    for kind, text in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy
    loading = ("href", "src", "action", "data", "srcset")
    links = [value for _, attrs in document.tags for name, value in attrs.items() if name in loading]
    assert all(link.startswith(("#", "data:image/jpeg;base64,")) for link in links)
    assert not [attrs for _, attrs in document.tags if "style" in attrs], "the policy would forbid them"
    for text in (style, script):
        assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttp|innerHTML|eval\(", text)


def test_links_within_the_page_lead_somewhere_and_ids_are_unique(document):
    ids = [attrs["id"] for _, attrs in document.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    used = [attrs["href"][1:] for attrs in document.all("a")]
    used += [i for _, attrs in document.tags for name in ("aria-labelledby", "aria-describedby")
             for i in attrs.get(name, "").split()]
    assert set(used) <= set(ids)


def test_every_picture_and_every_control_has_a_name(document):
    assert all(attrs.get("alt") or "src" not in attrs for attrs in document.all("img"))
    assert all(attrs.get("aria-label") or attrs.get("aria-hidden") for attrs in document.all("svg"))
    html = page.render(page_of(20))
    assert len(re.findall(r"<(?:select|input)\b", html)) == len(re.findall(r"<label[^>]*>[^<]*<(?:select|input)\b",
                                                                           html))
    assert [attrs.get("scope") for attrs in document.all("th")].count(None) == 0
    assert document.all("html") == [{"lang": "en"}] and len(document.all("main")) == len(document.all("h1")) == 1


def test_the_summary_says_what_is_known_and_nothing_else(made, document):
    moved, N = (made.suggested != made.given).sum(), len(made.given)
    before = 100 * (made.given == made.truth).mean()
    for text in (f"images {N}", f"suspicious labels {moved}", f"{before:.1f} → 100.0 %", "estimated noise 25.0 %",
                 "test accuracy 83.3 %"):
        assert text in document.text
    bare = Document(page.render(page_of(truth=False))).text
    assert not [word for word in ("correct labels", "estimated noise", "test accuracy", "Curves") if word in bare]


def test_where_the_truth_is_known_of_some_images_they_count_alone():
    made = page_of(100, wrong=.5)
    made.truth[10:] = -1
    text = Document(page.render(made)).text
    before = f"{100 * (made.given == made.truth)[:10].mean():.1f}"
    assert f"{before} → 100.0 % given → suggested, of the 10 whose true label" in text
    made.truth[:] = -1
    assert "correct labels" not in Document(page.render(made)).text


def test_a_file_whose_name_is_no_text_does_not_stop_the_page(tmp_path):
    made = page_of(20, wrong=.5)
    made.paths[:] = "a\udc80.png"
    page.write(tmp_path / "report.html", made)
    assert "a\\udc80.png" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_list_has_the_suspicious_images_the_most_suspicious_first(made, document):
    data, score = document.data, made.probs[np.arange(len(made.given)), made.given]
    rows = np.flatnonzero(made.given != made.suggested)
    rows = rows[np.argsort(score[rows], kind="stable")]
    assert data["index"] == made.index[rows].tolist()
    assert data["given"] == made.given[rows].tolist() and data["suggested"] == made.suggested[rows].tolist()
    assert data["score"] == pytest.approx(score[rows], abs=1e-4) and data["path"] == made.paths[rows].tolist()
    in_pairs = {int(attrs["data-index"]) for attrs in document.all("li") if "data-index" in attrs}
    assert [not image for image in data["image"]] == [i in in_pairs
                                                      for i in data["index"]], "every image is in the page once"


@pytest.mark.parametrize("limit, megabytes", [(30, 24), (3000, .02), (0, 24), (3000, 0)])
def test_the_page_is_limited_and_says_so(limit, megabytes):
    made = page_of(600, list("abc"), truth=False)
    document, total = Document(page.render(made, limit, megabytes)), (made.given != made.suggested).sum()
    shown = len(document.data["index"])
    assert shown < total and f"{shown} of {total} suspicious images: the most suspicious" in document.text
    uris = [attrs["src"] for attrs in document.all("img") if "src" in attrs] + document.data["image"]
    assert sum(map(len, uris)) <= megabytes * 1e6


def test_the_matrix_counts_and_leads_to_the_pairs(made, document):
    cells = {(int(a["data-given"]), int(a["data-suggested"])): a for a in document.all("a") if "aria-label" in a}
    for (i, j), attrs in cells.items():
        number = ((made.given == i) & (made.suggested == j)).sum()
        assert attrs["aria-label"].endswith(f": {number}") and attrs["href"] == f"#pair-{i}-{j}"
    assert set(cells) == set(zip(*(c[made.given != made.suggested].tolist() for c in (made.given, made.suggested))))


def test_of_many_classes_the_matrix_shows_those_that_move_most():
    made = page_of(3000, [f"class {c}" for c in range(100)], wrong=0)
    made.suggested[made.given == 77] = 5
    found = page.matrix(made, [])
    assert len(found["classes"]) == page.CLASSES and {5, 77} <= set(found["classes"])
    row = next(cells for i, _, cells in found["rows"] if i == 77)
    assert next((count, shade) for j, count, shade, _ in row if j == 5) == ((made.given == 77).sum(), page.SHADES - 1)
    assert f"Shown are the {page.CLASSES} of 100 classes" in Document(page.render(made)).text


def test_pairs_show_their_most_and_least_certain_images():
    made = page_of(800, list("ab"), wrong=.5)
    rows = np.flatnonzero(made.given != made.suggested)
    given, suggested, number, most, least = page.pair_samples(made, rows)[0]
    own = rows[(made.given[rows] == given) & (made.suggested[rows] == suggested)]
    certainty = np.sort(made.probs[own, suggested])[::-1]
    assert number == len(own) == max(np.bincount(made.given[rows]))
    assert made.probs[most, suggested].tolist() == certainty[:page.SAMPLES].tolist()
    assert made.probs[least, suggested].tolist() == certainty[-page.SAMPLES:].tolist()


def test_a_small_pair_shows_no_image_twice():
    made = page_of(12, list("ab"), wrong=.9)
    for *_, number, most, least in page.pair_samples(made, np.flatnonzero(made.given != made.suggested)):
        assert len(set(most) | set(least)) == len(most) + len(least) == min(number, 2 * page.SAMPLES)


def test_without_a_suspicious_label_there_is_a_page_all_the_same():
    document = Document(page.render(page_of(wrong=0)))
    assert "No label is suspicious" in document.text and document.data["index"] == []


def luminance(color):
    parts = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    return np.dot([.2126, .7152, .0722], [c / 12.92 if c <= .04045 else ((c + .055) / 1.055) ** 2.4 for c in parts])


TEXT = [("ink", "paper"), ("ink", "card"), ("soft", "paper"), ("soft", "card"), ("link", "paper"), ("on-link", "link"),
        *((kind, "card") for kind in ("accept", "keep", "change", "remove")),
        *(("on-light", f"shade-{i}") for i in (1, 2, 3)), ("on-deep", "shade-4"), ("on-deep", "shade-5")]
DRAWN = [("control", "paper"), ("control", "card"), *((f"line-{i}", "paper") for i in range(4)), ("mark", "paper")]


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_colours_have_the_contrast_that_reading_needs(mode):
    css = (page.TEMPLATES / "page.css").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6})", part))
                   for part in css.split("@media (prefers-color-scheme: dark)"))
    colors = {"light": light, "dark": dark}[mode]
    assert set(light) == set(dark)
    for pairs, enough in ((TEXT, 4.5), (DRAWN, 3)):
        for front, back in pairs:
            a, b = sorted((luminance(colors[front]), luminance(colors[back])))
            assert (b + .05) / (a + .05) >= enough, f"{front} on {back}"
