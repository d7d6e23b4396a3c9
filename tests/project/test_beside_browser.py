"""docs/beside.html in a browser: every control is used, and its numbers are NumPy's. No request leaves the page."""
import re

import numpy as np
import pytest

from core.objective import entropy_forward, kl_forward, objective_forward, prior_forward, softmax
from docs.beside import page, plots, recording, steps
from docs.beside.objective_numbers import P, Y, Z
from tests.lib.browser import chromium, tab
from tests.lib.gradcheck import central, complex_step

SAME = 1e-9
pytestmark = pytest.mark.thorough      # half a minute: of one page, which few changes touch


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


def numbers(view, part):
    """{key: array} of a part of the page, with all digits: <data data-key="s.0.1"> is the entry (0, 1) of s."""
    found, arrays = {}, {}
    for name, value in view.eval_on_selector_all(f"{part} data", "all => all.map(e => [e.dataset.key, e.value])"):
        key, *place = re.split(r"\.(?=\d)", name)
        found.setdefault(key, {})[tuple(map(int, place))] = float(value)
    for key, entries in found.items():
        arrays[key] = np.full(np.max(list(entries), axis=0) + 1, np.nan)
        for place, value in entries.items():
            arrays[key][place] = value
    return arrays


def close(a, b, atol=SAME):
    return np.allclose(a, b, rtol=SAME, atol=atol)


# ---- the triangle --------------------------------------------------------------------------------------------------

def losses(z, y, on):
    """(terms, gradient to z) as NumPy has them."""
    terms = {"L_c": kl_forward(z, y)[0], "L_p": prior_forward(z, P)[0], "L_e": entropy_forward(z)[0]}
    gradient = sum((g for name, g in plots.gradients(z, y).items() if name in on), np.zeros(z.shape))
    return terms | {"L": sum(plots.TERMS[name] * terms[name] for name in on)}, gradient


def triangle_is(view, z, y, on):
    """The numbers and the arrows of the triangle are those of z, y and the terms that are on."""
    (terms, gradient), found = losses(z, y, on), numbers(view, "#triangle")
    assert all(close(found[name], [value]) for name, value in terms.items())
    assert close(found["s"], softmax(z)) and close(found["y"], y) and close(found["g"], gradient)
    every = plots.gradients(z, y)
    for name, g in [("L", gradient), *((name, every[name]) for name in on)]:
        drawn = view.eval_on_selector_all(f".arrow.{name}", "all => all.map(e => e.getAttribute('d'))")
        found = [list(map(float, re.findall(r"-?[\d.]+", d))) for d in drawn]
        s = softmax(z)
        assert np.allclose(found, np.hstack([s @ plots.CORNERS, (s + plots.motion(s, g)) @ plots.CORNERS]), atol=2e-3)
    shown = set(view.eval_on_selector_all(".arrow:not(.none)", "all => all.map(e => e.classList[1])"))
    assert shown <= {"L", *on}


def switch(view, on):
    for name in plots.TERMS:
        view.set_checked(f"[data-term={name}]", name in on)


def test_the_triangle(browser):
    z, y, everything = np.log(plots.START), np.eye(3)[plots.LABELS], ["L_c", "L_p", "L_e"]
    with tab(browser, page.PAGE) as view:
        triangle_is(view, z, y, everything)
        for on in (["L_c"], ["L_p"], ["L_e"], [], ["L_c", "L_e"], everything):
            switch(view, on)
            triangle_is(view, z, y, on)
        for _ in range(3):
            view.click("#descend")
            z = z - plots.RATE * 4 * losses(z, y, everything)[1]
            triangle_is(view, z, y, everything)
        view.click("#relabel")
        y = softmax(z)
        triangle_is(view, z, y, everything)
        switch(view, ["L_c"])
        view.click("#descend")
        triangle_is(view, z, y, ["L_c"])                             # a step that moves nothing: L_c is zero
        assert close(numbers(view, "#triangle")["L"], 0) and view.locator(".arrow:not(.none)").count() == 0
        view.click("#reset")
        triangle_is(view, np.log(plots.START), np.eye(3)[plots.LABELS], ["L_c"])


@pytest.mark.parametrize("value, text", [(-1e-9, "0.0000"), (-1.0, "\u22121.0000"), (-0.01, "\u22120.0100")])
def test_zero_has_no_sign(browser, value, text):
    with tab(browser, page.PAGE) as view:
        view.evaluate(f"show($('triangle'), 'L.0', {value})")
        assert view.text_content("#triangle data[data-key='L.0']") == text


def descend(view, times):
    view.evaluate(f"for (let k = 0; k < {times}; k++) document.getElementById('descend').click()")


def test_what_the_lesson_says_one_should_try(browser):
    with tab(browser, page.PAGE) as view:
        switch(view, ["L_c"])
        descend(view, 5)
        assert (numbers(view, "#triangle")["s"][np.arange(4), plots.LABELS] > .9).all(), "memorised"
        view.click("#reset")
        view.click("#relabel")
        switch(view, ["L_c", "L_e"])
        for _ in range(5):
            descend(view, 1)
            view.click("#relabel")
        assert (numbers(view, "#triangle")["y"][np.arange(4), plots.START.argmax(axis=1)] > .9).all(), "committed"
        switch(view, ["L_p"])
        for i in range(4):
            view.focus(f".sample[data-i='{i}']")
            for _ in range(45):
                view.keyboard.press("ArrowRight")
        assert (numbers(view, "#triangle")["s"][:, 1] > .6).all(), "all in one corner"
        descend(view, 5)
        assert np.allclose(numbers(view, "#triangle")["s"].mean(axis=0), 1 / 3, atol=.02), "balanced"


def test_a_prediction_is_dragged_and_moved_by_keys(browser):
    with tab(browser, page.PAGE) as view:
        view.locator("#triangle-picture").scroll_into_view_if_needed()
        circle = view.locator(".sample[data-i='1'] circle").last.bounding_box()
        corner = view.locator("#triangle-picture .edge").bounding_box()
        view.mouse.move(circle["x"] + circle["width"] / 2, circle["y"] + circle["height"] / 2)
        view.mouse.down()
        view.mouse.move(corner["x"] + corner["width"] / 2, corner["y"] + corner["height"] * .98, steps=4)
        view.mouse.up()
        s = numbers(view, "#triangle")["s"][1]
        assert abs(s[0] - .49) < .01 and abs(s[1] - .49) < .01
        others = [0, 2, 3]
        assert close(numbers(view, "#triangle")["s"][others], plots.START[others])
        view.mouse.move(0, 0)
        view.keyboard.press("ArrowUp")
        moved = numbers(view, "#triangle")["s"][1]
        assert moved[2] > s[2] and abs(moved[0] - moved[1]) < .02
        z = np.log(numbers(view, "#triangle")["s"])
        triangle_is(view, z, np.eye(3)[plots.LABELS], ["L_c", "L_p", "L_e"])
        for _ in range(60):
            view.keyboard.press("ArrowLeft")                         # far outside: it stays inside
        s = numbers(view, "#triangle")["s"][1]
        assert (s > 0).all() and abs(s.sum() - 1) < 1e-12
        assert view.get_attribute(".sample[data-i='1']", "aria-valuetext") == ", ".join(f"{x:.2f}" for x in s)


# ---- the gradient check --------------------------------------------------------------------------------------------

def slopes(term, derivative, h):
    def f(z):
        (L, L_c, L_p, L_e), _ = objective_forward(z, Y, P, plots.TERMS["L_p"], plots.TERMS["L_e"])
        return {"L": L, "L_c": L_c, "L_p": L_p, "L_e": L_e}[term], None
    units = np.eye(Z.size).reshape(-1, *Z.shape)
    return np.reshape([derivative(f, [Z], 0, unit, None, h)[0] for unit in units], Z.shape)


def formula(term):
    weights, found = plots.TERMS, plots.gradients(Z, Y)
    return sum(found.values()) if term == "L" else found[term] / weights[term]


def test_the_gradient_check(browser):
    """Equal to 1e-9; central differences of a small step h may differ by what rounding makes of them, 1e-15 / h."""
    with tab(browser, page.PAGE) as view:
        for term, places in {"L": range(31), "L_c": (0, 7, 30), "L_p": (2, 9, 29), "L_e": (4, 8, 20)}.items():
            view.select_option("#steps-term", term)
            for place in places:
                view.fill("#steps-h", str(place))
                the_steps_are(view, term, 10 ** steps.EXPONENTS[place])
        view.fill("#steps-h", "30")
        assert view.inner_text("#steps-value") == "1e-16"


def the_steps_are(view, term, h):
    found = numbers(view, "#steps")
    assert close(found["formula"], formula(term))
    assert close(found["complex"], slopes(term, complex_step, h))
    assert close(found["central"], slopes(term, central, h), atol=SAME + 3e-15 / h)
    heights = view.eval_on_selector_all("#steps circle", "all => all.map(e => Number(e.getAttribute('cy')))")
    for name, height in zip(("central", "complex"), heights):
        error = np.linalg.norm(found[name] - formula(term)) / np.linalg.norm(formula(term))
        assert abs(found[f"error.{name}"][0] - error) <= 1e-9 * error + 1e-15
        assert abs(height - plots.down(np.log10(max(error, 1e-17)))) < 2 or error < 1e-14


def test_a_planted_error_stays_whatever_the_step(browser):
    r = P * softmax(Z) / softmax(Z).mean(axis=0)
    wrong = -(r - softmax(Z)) / len(Z)
    with tab(browser, page.PAGE) as view:
        view.select_option("#steps-term", "L_p")
        view.check("#steps-plant")
        assert close(numbers(view, "#steps")["formula"], wrong)
        for place in (4, 8, 16):
            view.fill("#steps-h", str(place))
            assert numbers(view, "#steps")["error.complex"][0] > .1
        view.select_option("#steps-term", "L_c")
        assert numbers(view, "#steps")["error.complex"][0] < 1e-14, "L_c has no such factor"


# ---- the plane -----------------------------------------------------------------------------------------------------

RECORD = recording.load()


def plane_number(view, key):
    return float(view.get_attribute(f"#plane data[data-key='plane.{key}']", "value"))


def test_the_plane_shows_the_record(browser):
    with tab(browser, page.PAGE) as view:
        for run in recording.RUNS:
            view.check(f"[name=run][value='{run}']")
            assert view.locator("#plane polyline.chosen").count() == 3
            for epoch in (0, 1, 5, 17, 60):
                view.fill("#epoch", str(epoch))
                the_plane_is(view, run, epoch)


def the_plane_is(view, run, epoch):
    labels = RECORD["runs"][run]["labels"][epoch]
    assert close(plane_number(view, "correct"), np.mean([a == b for a, b in zip(labels, RECORD["truth"])]))
    assert close(plane_number(view, "largest"), max(map(labels.count, "012")) / recording.N)
    assert close(plane_number(view, "entropy"), RECORD["runs"][run]["entropy"][epoch - 1] if epoch else 0)
    drawn = view.eval_on_selector_all("#plane-drawn path", "all => all.map(e => e.getAttribute('d'))")
    assert drawn == re.findall(r' d="([^"]*)"', plots.plane(RECORD, run, epoch)), "as the maker draws it"
    x = plots.curve(RECORD["runs"][run]["correct"], 1).split()[max(0, epoch - 1)].split(",")[0]
    for cursor in view.eval_on_selector_all("#plane .cursor", "all => all.map(e => e.getAttribute('transform'))"):
        assert abs(float(re.search(r"[\d.]+", cursor)[0]) - float(x)) < .06, "the line stands at the epoch"


def until(view, condition):
    """Wait for what a script does a moment later. (Playwright's own way needs eval, which the page forbids.)"""
    for _ in range(100):
        if view.evaluate(condition):
            return
        view.wait_for_timeout(50)
    raise AssertionError(condition)


def test_a_training_is_played_and_stopped(browser):
    with tab(browser, page.PAGE) as view:
        view.fill("#epoch", "5")
        view.click("#play")
        assert view.inner_text("#play") == "Stop"
        until(view, "document.querySelector('#epoch').value > 7")
        view.click("#play")
        reached = int(view.input_value("#epoch"))
        view.wait_for_timeout(300)
        assert 7 < reached < 60 and int(view.input_value("#epoch")) == reached
        view.fill("#epoch", "58")
        view.click("#play")
        until(view, "document.querySelector('#play').innerText === 'Play'")
        assert view.input_value("#epoch") == "60"
