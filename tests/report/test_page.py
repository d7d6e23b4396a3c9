"""core/report/page.py without a browser: what the file holds, that names stay text,
that nothing is loaded from anywhere."""
import base64
import hashlib
import re

import numpy as np
import pytest

from core.data.listing import Finding
from core.report import page, palette
from core.report.about import About
from tests.lib.document import Document, Tree
from tests.lib.pages import NASTY, page_of, records
from tests.report.test_palette import contrast


@pytest.fixture(scope="module")
def made():
    return page_of(records=records(), begin=4, noise_rate=.25, facts=[("<i>fact</i>", "1 & 2", "<b>")])


@pytest.fixture(scope="module")
def document(made):
    return Document(page.render(made))


def test_names_are_text_wherever_they_come(document):
    assert {attrs["src"].split(",")[0] for attrs in document.all("img") if "src" in attrs} == {"data:image/jpeg;base64"}
    assert len(document.all("script")) == 2 and not document.all("i")
    assert Tree(page.render(page_of(20))).root.all("h1")[0].inside == ["run <b>of</b> tests"]
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
    used = [attrs["href"][1:] for attrs in document.all("a") if "href" in attrs]
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
                 "test accuracy 76.9 %"):
        assert text in document.text
    low, high = page.interval(.25, N)
    text = document.text.replace("\u00a0", " ")
    assert f"By the number of images alone it is {100 * low:.1f} to {100 * high:.1f} %" in text
    bare = Document(page.render(page_of(truth=False))).text
    assert not [word for word in ("correct labels", "estimated noise", "test accuracy", "Curves") if word in bare]


def test_the_summary_says_what_the_network_saw_and_who_estimates_the_noise():
    pixels, seen = (Document(page.render(page_of(20, noise_rate=.25, **more))).text for more in (
        {}, {"seen": "224 × 224 pixels as a network saw them", "posterior": True}))
    wide = page_of(20)._replace(images=np.zeros((20, 6, 9, 3), np.uint8))
    assert "9 × 6 pixels as the network saw them" in Document(page.render(wide)).text
    assert "8 × 8 pixels as the network saw them" in pixels and "classes that it confuses count as noise" in pixels
    assert "224 × 224 pixels as a network saw them, " in seen and "wrong, by the noise posterior" in seen
    assert "8 × 8" not in seen and "confuses" not in seen


def test_the_run_says_how_to_repeat_it_and_what_its_data_were(tmp_path):
    findings = [Finding("unreadable", f"cat/{i}.png", "cut <off>") for i in range(7)] + [Finding("hidden", ".DS_Store")]
    about = About("python demo.py --data 'my photos'", (("seed", "3"), ("step 1", "9 epochs")), ("a <note>",), findings,
                  {"date": "2026-11-28 10:00+00:00", "python": "3.11.2", "machine": "mine", "commit": None})
    document = Document(page.render(page_of(20, about=about)))
    assert "python demo.py --data 'my photos'" in document.words
    for text in ("seed 3", "step 1 9 epochs", "begun 2026-11-28 10:00+00:00", "python 3.11.2", "a <note>",
                 "7 × images that cannot be read, left out cat/0.png: cut <off>", "cat/4.png: cut <off> and 2 more",
                 "1 × hidden files and folders, and those of the system, ignored .DS_Store"):
        assert text in document.text, text
    assert not [word for word in ("cat/5.png", "commit", "mine", "no findings") if word in document.text]


def test_a_run_without_findings_says_so_only_of_own_images():
    assert "Reading the data gave no findings." in Document(page.render(page_of(20))).text
    assert "findings" not in Document(page.render(page_of(20, paths=False))).text


def test_the_classes_stand_by_label_quality_with_their_numbers_and_the_tail_is_folded():
    made = page_of(600, [f"class {c}" for c in range(20)], wrong=.3)
    html = page.render(made)
    document = Document(html)
    cells = {int(a["data-given"]): a["aria-label"] for a in document.all("a") if a.get("data-suggested") == ""}
    for c in range(20):
        number = int(((made.given == c) & (made.suggested != c)).sum())
        assert cells.get(c) == (f"suspicious images given class {c}: {number}" if number else None)
    joined = {int(a["data-suggested"]): a["aria-label"] for a in document.all("a") if a.get("data-given") == ""}
    assert {c: int(text.rsplit(" ", 1)[1]) for c, text in joined.items()} == {
        c: int(((made.given != c) & (made.suggested == c)).sum()) for c in joined}
    table = re.findall(r'<tr><th scope="row">(class \d+)</th><td>\d+</td><td>([\d,]+)</td>', html)
    assert sorted(table) == sorted((f"class {c}", str((made.given == c).sum())) for c in range(20))
    assert "8 more classes" in document.text


def test_where_the_truth_is_known_of_some_images_they_count_alone():
    made = page_of(100, wrong=.5)
    made.truth[10:] = -1
    text = Document(page.render(made)).text
    before = f"{100 * (made.given == made.truth)[:10].mean():.1f}"
    assert f"{before} → 100.0 % given → suggested, of the 10 whose true label" in text
    made.truth[:], made.truth[3] = -1, 0
    assert "of the 1 whose true label" in Document(page.render(made)).text
    made.truth[:] = -1
    assert "correct labels" not in Document(page.render(made)).text


def test_a_file_whose_name_is_no_text_does_not_stop_the_page(tmp_path):
    made = page_of(20, wrong=.5)
    made.paths[:] = "a\udc80.png"
    page.write(tmp_path / "report.html", made)
    assert "a\\udc80.png" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_without_a_suspicious_label_there_is_a_page_all_the_same():
    document = Document(page.render(page_of(wrong=0)))
    assert "No label is suspicious" in document.text
    assert document.data["suggested"] == [] and len(document.data["index"]) == 200, "any image may be reviewed"


TEXT = [("ink", "paper"), ("ink", "card"), ("soft", "paper"), ("soft", "card"), ("link", "paper"), ("on-link", "link"),
        *((kind, "card") for kind in ("accept", "keep", "change", "remove")),
        *(("on-light", f"shade-{i}") for i in (1, 2, 3)), ("on-deep", "shade-4"), ("on-deep", "shade-5")]
DRAWN = [("control", "paper"), ("control", "card"), *((f"line-{i}", "paper") for i in range(4)), ("mark", "paper")]


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_colours_have_the_contrast_that_reading_needs(mode):
    light, dark = {}, {}
    for css in (palette.css(), page.text_of("page.css")):
        for colors, part in zip((light, dark), css.split("@media (prefers-color-scheme: dark)")):
            colors |= dict(re.findall(r"--([\w-]+): (#\w{6})", part))
    colors = {"light": light, "dark": dark}[mode]
    assert set(light) == set(dark)
    for colors_of, enough in ((TEXT, 4.5), (DRAWN, 3)):
        for front, back in colors_of:
            assert contrast(colors[front], colors[back]) >= enough, f"{front} on {back}"
