"""report.html in a browser: drawn, decided on by hand, kept, exported; photos, phones and browsers without scripts.

What its script does, test_script_browser.py compares with a model.
"""
import re
import shlex
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from core.data.originals import Files
from core.report import page
from core.report.issues import run_identity
from core.use.apply import read_decisions, read_run
from tests.lib.browser import chromium, tab
from tests.lib.pages import NASTY, page_of, records, save_run

REMOVED = -1


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def made():
    return page_of(600, wrong=.5, records=records(), begin=4)


@pytest.fixture(scope="module")
def html(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    page.write(path, made)
    return path


def ranked(made):
    """Rows in the order of the list."""
    rows, score = np.flatnonzero(made.given != made.suggested), made.probs[np.arange(len(made.given)), made.given]
    return rows[np.argsort(score[rows], kind="stable")].tolist()


def cards(view):
    """The texts of the cards that are drawn."""
    return view.eval_on_selector_all("#list > .card", "cards => cards.map(card => card.textContent)")


def press(view, keys):
    for key in keys.split():
        view.keyboard.press(key)


def until(view, condition):
    """Wait for what a script does a moment later. (Playwright's own way needs eval, which the page forbids.)"""
    for _ in range(100):
        if view.evaluate(condition):
            return
        view.wait_for_timeout(50)
    raise AssertionError(condition)


def exported(view, tmp_path):
    with view.expect_download() as download:
        view.click("#export")
    path = tmp_path / "decisions.csv"
    download.value.save_as(path)
    return path


def test_the_page_is_drawn_with_all_names_as_text(browser, html, made):
    with tab(browser, html) as view:
        rows, count = ranked(made), view.locator("#list > .card").count()
        assert 60 <= count < len(rows), "a part of the list at first"
        for row, text in zip(rows[:5], cards(view)):
            assert made.paths[row].split("/")[-1] in text and NASTY[made.suggested[row]] in text
        titles = view.eval_on_selector_all("#list .name", "all => all.map(name => name.title)")
        assert titles[:5] == [made.paths[row] for row in rows[:5]]
        assert view.inner_text("#status") == f"{len(rows)} images match."
        assert view.locator("#desk").is_visible()
        assert view.locator("#list img").first.evaluate("image => image.naturalWidth") == 8
        view.locator("#more").scroll_into_view_if_needed()
        until(view, f"document.querySelectorAll('#list > .card').length > {count}")


def test_decisions_by_key_are_kept_exported_and_understood(browser, html, made, tmp_path):
    rows = ranked(made)
    with tab(browser, html) as view:
        view.focus(".card")
        press(view, "a r x 4 ArrowLeft ArrowRight a u ArrowRight x")           # the fifth: accepted, then undone
        before = cards(view)[:6]
        view.reload()
        assert cards(view)[:6] == before and view.inner_text("#progress") == f"5 of {len(rows)} decided"
        path = exported(view, tmp_path)
        view.select_option("[name=state]", "decided")
        assert view.locator("#list > .card").count() == 5
    expected = {rows[0]: made.suggested[rows[0]], rows[1]: made.given[rows[1]], rows[2]: REMOVED, rows[3]: 4,
                rows[5]: REMOVED}
    assert read_decisions(path, read_run(save_run(tmp_path / "run", made._replace(classes=made.classes)))) == expected


def test_decisions_by_click_and_by_the_chooser(browser, html, made, tmp_path):
    with tab(browser, html) as view:
        card = view.locator(".card").first
        card.get_by_text("accept", exact=True).click()
        assert card.get_attribute("data-decision") == "accept"
        assert card.locator("[data-do=accept]").get_attribute("aria-pressed") == "true"
        card.get_by_text("class…", exact=True).click()
        other = next(c for c in range(len(NASTY))
                     if c not in (made.given[ranked(made)[0]], made.suggested[ranked(made)[0]]))
        view.fill("#chooser input", NASTY[other][:4].upper())
        view.keyboard.press("Enter")
        assert not view.locator("#chooser").is_visible() and f"changed to {NASTY[other]}" in card.inner_text()
        view.keyboard.press("c")
        view.keyboard.press("Escape")
        assert card.get_attribute("data-decision") == "change"
        assert view.evaluate("document.activeElement.className") == "card"
        view.click("#undo")
        view.click("#undo")
        assert card.get_attribute("data-decision") is None and view.locator("#undo").is_disabled()


def test_an_export_names_its_run_in_every_line_and_quotes_every_text(browser, html, made, tmp_path):
    with tab(browser, html) as view:
        view.focus(".card")
        press(view, "a r x 3")
        text = exported(view, tmp_path).read_bytes().decode("utf-8")
    run = run_identity(made.classes, made.index, made.given, made.suggested)
    head, *lines = text.split("\r\n")[:-1]
    assert head == "index,path,decision,label,run" and len(lines) == 4
    assert all(re.fullmatch(r'\d+(,"([^"]|"")*"){4}', line) and line.endswith(f',"{run}"') for line in lines)


def test_no_part_of_a_class_name_is_a_formula_where_cells_are_divided(browser, tmp_path):
    made = page_of(40, ["x;=1+1", "=2+2", 'a"b', "c,d"], wrong=.9)
    page.write(tmp_path / "report.html", made)
    with tab(browser, tmp_path / "report.html") as view:
        view.click("[data-bulk=accept]")
        path = exported(view, tmp_path)
        text = path.read_text(encoding="utf-8")
        at_commas = re.findall(r'(?:^|,)("(?:[^"]|"")*"|[^,\r\n]*)', text, re.MULTILINE)
        for divided in (at_commas, re.split("[;\t\n]", text)):
            assert not [cell for cell in divided if cell.strip('"')[:1] in set("=+-@")]
        view.click("#clear")
        view.set_input_files("#import", path)
        until(view, f"document.querySelector('#progress').innerText.startsWith('{len(ranked(made))} of')")
    found = read_decisions(path, read_run(save_run(tmp_path / "run", made)))
    assert found == {row: made.suggested[row] for row in ranked(made)}


def test_without_doubt_there_are_no_filters_until_one_asks_for_all_images(browser, tmp_path):
    made = page_of(30, wrong=0)
    page.write(tmp_path / "report.html", made)
    with tab(browser, tmp_path / "report.html") as view:
        assert not [name for name in ("#filters", "#bar", ".bulk", ".card") if view.locator(name).first.is_visible()]
        view.click("#anyway")
        assert view.locator("#filters").is_visible() and view.locator(".card").count() == 30
        view.focus(".card")
        press(view, "a r")
        assert view.inner_text("#progress") == "2 others"
        decisions = view.eval_on_selector_all(".card[data-decision]", "cards => cards.map(c => c.dataset.decision)")
        assert decisions == ["accept", "accept"], "there is nothing to reject"
        view.reload()
        assert view.locator("#bar").is_visible() and view.locator(".card[data-decision]").count() == 2


def test_two_sets_of_images_keep_their_decisions_apart(browser, tmp_path):
    """As many images of the same classes and nothing suspicious: their run_identity is the same."""
    for name in "abcd":
        made = page_of(30, wrong=0, paths=name in "ab")
        page.write(tmp_path / f"{name}.html", made._replace(paths=np.char.add(name, made.paths)) if name in "ab" else
                   made._replace(images=made.images + np.uint8(ord(name))))
    with tab(browser, tmp_path / "a.html") as view:
        for name in "abcd":
            view.goto((tmp_path / f"{name}.html").as_uri())
            view.click("#anyway")
            view.focus(".card")
            press(view, "x")
            assert view.inner_text("#progress") == "1 other"


def test_the_command_names_the_folder_that_the_page_lies_in(browser, html, tmp_path):
    """Not the folder where it was made: runs are moved, and two runs alike have the same page."""
    for name in ("run", "her 1st run's", "a%20b $HOME `x`"):
        (tmp_path / name).mkdir()
        with tab(browser, shutil.copy(html, tmp_path / name / "page.html")) as view:
            command = view.locator("#review pre").text_content()
            assert shlex.split(command)[2:] == ["apply", "decisions.csv", "--from", str(tmp_path / name)]
            assert view.evaluate("folderOf('file:///C:/my%20runs/1/report.html')") == '"C:/my runs/1"'
            assert view.evaluate("folderOf('file:///runs/%ff/report.html')") is None
            assert view.evaluate("folderOf('file://server/runs/1/report.html')") is None


def test_a_page_from_a_server_has_no_links_to_files(browser, photos):
    """The browser would not follow them."""
    html, _ = photos
    handler = partial(SimpleHTTPRequestHandler, directory=html.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        view = browser.new_page()
        view.goto(f"http://127.0.0.1:{server.server_port}/{html.name}")
        assert view.locator(".card").count() == 12 and view.locator("a[href^=file]").count() == 0
        assert view.locator("#folder").text_content() == "RUN"
        view.locator("[data-zoom]").first.click()
        assert not view.locator("#viewer-link").is_visible() and view.locator("#viewer img").is_visible()
        view.close()
        server.shutdown()


def test_on_its_side_a_phone_shows_the_buttons_below_an_image_in_large(browser, photos):
    with tab(browser, photos[0], viewport={"width": 667, "height": 375}) as view:
        view.locator("[data-zoom]").first.click()
        box = view.locator("#viewer [data-key=a]").bounding_box()
        assert box["y"] + box["height"] <= 375


# ---- an image in large ---------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A page of 12 photos of 800 x 600; that of row 0, the last of the list, is no longer there."""
    root = tmp_path_factory.mktemp("photos ä")
    made = page_of(12, ["cat", "dog"], size=32, wrong=0)
    rng, images = np.random.default_rng(0), made.images.copy()
    for i in range(12):
        photo = Image.fromarray(rng.integers(0, 256, (3, 4, 3), np.uint8)).resize((800, 600), 3)
        images[i] = np.asarray(photo.crop((100, 0, 700, 600)).resize((32, 32), 1))
        if i:
            photo.save(root / f"#{i} 100%.jpg")
    made.suggested[:] = 1 - made.given
    made.probs[0] = np.eye(2)[made.given[0]]
    paths = np.array([f"#{i} 100%.jpg" for i in range(12)])
    made = made._replace(images=images, paths=paths, root=str(root), originals=Files(str(root), paths))
    page.write(root / "report.html", made)
    return root / "report.html", made


def large(view):
    """(source, width, name, whether the square is marked) of the image in large."""
    return view.evaluate("""() => { const image = document.querySelector("#viewer img");
        return [image.src.slice(0, 5), image.naturalWidth, document.querySelector("#viewer-name").textContent,
                document.querySelector("#viewer svg").checkVisibility()]; }""")


def test_a_click_shows_the_photo_itself_and_keys_decide_there(browser, photos):
    html, made = photos
    rows = [row for row in ranked(made) if row != 0]
    with tab(browser, html) as view:
        view.fill("[name=find]", "#")
        card = view.locator(".card").nth(ranked(made).index(rows[0]))
        box = card.locator("svg.seen rect").bounding_box()
        whole = card.locator("svg.seen").bounding_box()
        assert box["width"] == pytest.approx(box["height"], abs=1) == pytest.approx(.75 * whole["width"], abs=2)
        assert card.locator("img").evaluate("image => [image.naturalWidth, image.naturalHeight]") == [192, 144]
        assert card.locator(".name a").get_attribute("href").endswith(f"%23{rows[0]}%20100%25.jpg")
        card.locator("[data-zoom]").click()
        until(view, "document.querySelector('#viewer img').naturalWidth === 800")
        assert large(view) == ["file:", 800, made.paths[rows[0]], True]
        mark = view.eval_on_selector("#viewer rect", "r => ['x', 'y', 'width', 'height'].map(a => +r.getAttribute(a))")
        assert mark == [100, 0, 600, 600], "what the network saw"
        assert view.get_attribute("#viewer-link", "href").endswith(f"%23{rows[0]}%20100%25.jpg")
        press(view, "a")
        assert view.inner_text("#progress") == "1 of 12 decided" and large(view)[2] != made.paths[rows[0]]
        press(view, "ArrowLeft")
        assert "accepted: " in view.inner_text("#viewer-labels") and large(view)[2] == made.paths[rows[0]]
        press(view, "c Enter")
        assert view.locator("#viewer").is_visible() and not view.locator("#chooser").is_visible()
        view.click("#viewer [data-key=x]")
        press(view, "Escape")
        assert not view.locator("#viewer").is_visible() and card.get_attribute("data-decision") == "remove"


def test_a_photo_that_is_gone_is_shown_as_the_network_saw_it(browser, photos):
    html, made = photos
    context = browser.new_context()
    view = context.new_page()                                  # the browser reports that the file is missing
    view.goto(html.as_uri())
    view.locator(".card").nth(ranked(made).index(0)).locator("[data-zoom]").click()
    until(view, "document.querySelector('#viewer img').naturalWidth === 32")
    view.wait_for_timeout(300)
    assert large(view) == ["data:", 32, "#0 100%.jpg", False]
    context.close()


def test_a_click_on_a_picture_of_a_pair_shows_it_and_a_key_in_the_list_does(browser, photos):
    html, made = photos
    with tab(browser, html) as view:
        picture = view.locator("#pairs a.photo:has(svg)").first
        picture.click()
        until(view, "document.querySelector('#viewer img').naturalWidth === 800")
        assert not view.locator("#viewer [data-key=a]").is_visible()
        press(view, "Escape")
        view.focus(".card:has(svg)")
        press(view, "z")
        until(view, "document.querySelector('#viewer img').naturalWidth === 800")
        assert view.locator("#viewer [data-key=a]").is_visible()


def test_without_scripts_a_picture_of_a_pair_leads_to_its_file(browser, photos):
    html, made = photos
    with tab(browser, html, java_script_enabled=False) as view:
        view.locator("#pairs a.photo:has(svg)").first.click()
        view.wait_for_url("**/*.jpg")


def test_a_browser_that_keeps_nothing_says_so(browser, html):
    with tab(browser, html) as view:
        view.add_init_script("Storage.prototype.getItem = Storage.prototype.setItem = () => { throw Error('no'); }")
        view.reload()
        view.focus(".card")
        view.keyboard.press("a")
        assert "keeps no decisions" in view.inner_text("#status") and view.inner_text("#progress").startswith("1 of")


def test_the_tab_key_goes_through_the_page_and_reaches_its_end(browser, html):
    with tab(browser, html) as view:
        view.click("[data-bulk=reject]")
        view.evaluate("document.activeElement.blur()")
        view.reload()
        seen = []
        while (not seen or seen[-1][0] != "main") and len(seen) < 300:          # the export button is the last of all
            view.keyboard.press("Tab")
            seen.append(view.evaluate("[document.activeElement.className, "
                                      "getComputedStyle(document.activeElement).outlineStyle]"))
        names = [name for name, _ in seen]
        assert names[0] == "skip" and names[-1] == "main" and names.count("card") == 1, "one stop for the whole list"
        assert {outline for _, outline in seen} == {"solid"}, "one sees where one is"


def test_without_scripts_the_summary_and_the_pairs_are_there(browser, html):
    with tab(browser, html, java_script_enabled=False) as view:
        assert view.locator(".facts").is_visible() and view.locator(".pair img").first.is_visible()
        assert view.locator("noscript").is_visible() and not view.locator("#desk").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_sticks_out_and_fingers_find_the_buttons(browser, html, scheme):
    with tab(browser, html, viewport={"width": 360, "height": 740}, has_touch=True, color_scheme=scheme) as view:
        assert view.evaluate("document.documentElement.scrollWidth") <= 360
        sizes = view.eval_on_selector_all("#desk button, #desk select, .button",
                                          "all => all.filter(e => e.offsetParent).map(e => e.offsetHeight)")
        assert min(sizes) >= 44
        assert not view.locator("#filters").is_visible(), "the list begins on the first screen"
        view.click("#filterbox summary")
        assert view.locator("#filters").is_visible()
        assert view.evaluate("document.documentElement.scrollWidth") <= 360
        dark = view.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
        assert dark == (scheme == "dark")
