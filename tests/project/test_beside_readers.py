"""docs/beside.html for its readers: by mouse and key, without a script, on a phone, in the dark, on paper."""
import re

import numpy as np
import pytest

from docs.beside import page
from tests.lib.browser import chromium, tab

pytestmark = pytest.mark.thorough         # half a minute: of one page, which few changes touch


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


# ---- symbols -------------------------------------------------------------------------------------------------------

def lit(view, row):
    """What is marked in a row, outside of the buttons: "mi s" in an equation, "span log_s" in the code."""
    return set(view.eval_on_selector_all(
        f"#{row} .v:not(button)", """all => all.filter(e => getComputedStyle(e).backgroundColor === "rgb(255, 216, 77)")
                                                .map(e => `${e.tagName.toLowerCase()} ${e.textContent}`)"""))


def test_a_symbol_marks_its_names_and_a_name_its_symbol(browser):
    with tab(browser, page.PAGE, viewport={"width": 1440, "height": 900}) as view:
        assert lit(view, "L_p") == set()
        view.hover("#L_p .formula .s5")                              # r_ij
        assert lit(view, "L_p") == {"mi r", "span r"} and lit(view, "L_c") == set()
        view.hover("#L_p .code .s3")                                 # log_s_bar
        assert lit(view, "L_p") == {"span log_s_bar", "span log_mean_exp", "mover s\u00af"}
        view.hover("h1")
        assert lit(view, "L_p") == set()


def test_a_symbol_is_marked_from_the_keyboard_and_without_a_script(browser):
    with tab(browser, page.PAGE, java_script_enabled=False) as view:
        view.focus("#L_c .more a")
        view.keyboard.press("Shift+Tab")                             # the last symbol: the gradient
        marked = lit(view, "L_c")
        assert "span kl_backward" in marked and {name.split()[0] for name in marked} == {"span", "mfrac"}
        view.keyboard.press("Shift+Tab")
        assert lit(view, "L_c") == {"span len", "mi N"}


# ---- readers -------------------------------------------------------------------------------------------------------

def test_without_a_script_everything_but_the_controls_is_there(browser):
    with tab(browser, page.PAGE, java_script_enabled=False) as view:
        assert view.locator(".needs-script:visible").count() == 0
        assert view.locator(".stills svg:visible").count() == 8
        assert view.locator(".columns:visible").count() == 17 and view.locator(".drawing:visible").count() == 3
        assert view.locator("#triangle-picture .arrow:visible").count() == 16
        drawn = view.inner_html("#triangle-picture")
    with tab(browser, page.PAGE) as view:
        paths = re.compile(r'<(?:path|g|text) class="(?:arrow|own|sample)[^>]*?(?: d| transform)="([^"]*)"')
        without, found = paths.findall(drawn), paths.findall(view.inner_html("#triangle-picture"))
        assert len(without) == 28 and without == found, "the script draws what is there"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out(browser, scheme):
    with tab(browser, page.PAGE, color_scheme=scheme) as view:
        for width in (360, 390, 899, 900, 1299, 1300, 1440):
            view.set_viewport_size({"width": width, "height": 800})
            assert view.evaluate("document.documentElement.scrollWidth") <= width
            columns = view.evaluate("getComputedStyle(document.querySelector('#L_c .columns')).gridTemplateColumns")
            assert len(columns.split()) == (1 if width < 900 else 2 if width < 1300 else 3)
        dark = view.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
        assert dark == (scheme == "dark")


def contrast(a, b):
    """Of two colours like rgb(1, 2, 3), as WCAG defines it."""
    def luminance(colour):
        part = np.array([int(x) for x in re.findall(r"\d+", colour)[:3]]) / 255
        return np.where(part <= .03928, part / 12.92, ((part + .055) / 1.055) ** 2.4) @ [.2126, .7152, .0722]
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + .05) / (dark + .05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(browser, scheme):
    """Contrast of at least 4.5 on paper and on cards, marked symbols included."""
    with tab(browser, page.PAGE, color_scheme=scheme) as view:
        colour = view.evaluate("""names => {
            const probe = document.body.appendChild(document.createElement("i"));
            return Object.fromEntries(names.map(name => {
                probe.style.color = `var(--${name})`;
                return [name, getComputedStyle(probe).color];
            }));
        }""", ["ink", "soft", "link", "code-string", "code-comment", "code-word", "code-number", "paper", "card",
               "mark", "on-mark"])
        words = set(colour) - {"paper", "card", "mark", "on-mark"}
        assert {(word, under) for word in words for under in ("paper", "card")
                if contrast(colour[word], colour[under]) < 4.5} == set()
        assert contrast(colour["on-mark"], colour["mark"]) > 7


def test_all_controls_are_reached_by_the_tab_key_and_one_sees_where_one_is(browser):
    with tab(browser, page.PAGE) as view:
        seen, outlines = [], set()
        while len(seen) < 400:
            view.keyboard.press("Tab")
            name, outline, last = view.evaluate("""(() => {
                const at = document.activeElement, finger = at.querySelector(":scope > .finger");
                return [at.id || at.getAttribute("class"),
                        finger ? getComputedStyle(finger).stroke : getComputedStyle(at).outlineStyle,
                        at === document.body];
            })()""")
            if last:
                break
            seen.append(name)
            outlines.add(outline)
        assert seen[0] == "skip" and seen.count("sample") == 4
        assert {"descend", "relabel", "reset", "steps-h", "steps-term", "steps-plant", "epoch", "play"} <= set(seen)
        assert "none" not in outlines


def test_everything_that_is_operated_has_a_name(browser):
    with tab(browser, page.PAGE) as view:
        nameless = view.eval_on_selector_all(
            "button, input, select, [role=slider]", """all => all.filter(e => !(e.ariaLabel || e.textContent.trim()
                || (e.labels && [...e.labels].some(label => label.textContent.trim())))).map(e => e.outerHTML)""")
        assert nameless == []


def test_on_paper_the_pictures_stand_in_for_the_controls(browser):
    with tab(browser, page.PAGE) as view:
        view.emulate_media(media="print")
        assert view.locator(".needs-script:visible").count() == 0 and view.locator(".stills svg:visible").count() == 8
        assert len(view.pdf(format="A4")) > 10_000
