"""The script of report.html against a model of it: the same keys, clicks, filters and files for both, and after each of
them the same list, labels, verdicts, counts and words.

The model is plain Python on the arrays of the run. It knows neither the page nor the columns that the page was given.
"""
import base64
import csv
import io
import json
import math
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from core.data.csv_cells import csv_text
from core.data.originals import Files
from core.report import page
from core.report.issues import run_identity
from tests.lib.browser import chromium, tab
from tests.lib.pages import page_of

CLASSES = ("cat", "=2+2", "dog; \"wolf\"", "<b>bird</b>", "ant, red", "Ähre")
N, PART = 90, 60
DONE = {"accept": "accepted: ", "reject": "rejected, stays ", "change": "changed to ", "remove": "removed"}
START = {"kind": "", "find": "", "given": "", "suggested": "", "state": "", "low": "0", "high": "1", "order": "score"}
HEAD = ["index", "path", "decision", "label", "run"]

TOOLS = """() => {
  const $ = query => document.querySelector(query);
  const shows = element => !element.hidden;
  const text = (element, query) => element.querySelector(query).textContent;
  const key = (key, more = {}) => !document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true, ...more}));
  const cards = () => [...$("#list").children].map(card => ({
    name: text(card, ".name a"), link: card.querySelector(".name a").getAttribute("href"),
    given: text(card, ".given"), score: text(card, ".score"), truth: text(card, ".true"),
    verdict: text(card, ".verdict"),
    suggested: shows(card.querySelector(".suggestion")) ? text(card, ".suggested") + text(card, ".probability") : null,
    decision: card.dataset.decision || null, words: card.getAttribute("aria-label"),
    pressed: [...card.querySelectorAll("[aria-pressed=true]")].map(button => button.textContent),
    offered: [...card.querySelectorAll("[data-do]")].filter(shows).map(button => button.textContent),
    stops: [card, ...card.querySelectorAll("button, a")].map(element => element.tabIndex).join("") }));
  const seen = () => JSON.stringify({
    cards: cards(),
    status: $("#status").textContent, progress: $("#progress").textContent,
    off: ["#undo", "#clear", "#export", "[data-bulk=accept]", "[data-bulk=reject]"].map(query => $(query).disabled),
    bulk: [...document.querySelectorAll("[data-bulk]")].map(button => button.textContent), more: shows($("#more")),
    focus: [...$("#list").children].indexOf(document.activeElement),
    filters: Object.fromEntries(new FormData($("#filters"))),
    chooser: $("#chooser").open ? [...document.querySelectorAll("#chooser [data-class]")].filter(shows)
      .map(button => button.textContent) : null,
    viewer: $("#viewer").open ? [$("#viewer-name").textContent, $("#viewer-labels").textContent,
      shows($("#viewer-link")) ? $("#viewer-link").href : null, [...document.querySelectorAll("#viewer [data-key]")]
        .filter(shows).map(button => button.dataset.key).join(" ")] : null });
  const act = (kind, query, value) => {
    const element = kind !== "key" && (typeof query === "number" ? $("#list").children[query] : $(query));
    if (kind === "click") element.click();
    if (kind === "part") element.querySelector(value).click();
    if (kind === "focus") element.focus();
    if (kind === "type") { element.value = value; element.dispatchEvent(new Event("input", {bubbles: true})); }
    const prevented = kind === "key" ? key(query, value || {}) : null;
    return [prevented, seen()];
  };
  const close = query => new Promise(done => {
    $("#viewer").addEventListener("close", () => setTimeout(() => done(seen())), {once: true});
    $(query).click();
  });
  const columns = () => new Set([...$("#list").children].map(card => card.offsetLeft)).size;
  const give = async (name, text) => {
    const files = new DataTransfer();
    files.items.add(new File([text], name));
    $("#import").files = files.files;
    $("#import").dispatchEvent(new Event("change"));
    for (let i = 0; i < 100 && $("#import").value; i++) await new Promise(done => setTimeout(done, 5));
    return [$("#import").value, seen()];
  };
  window.tools = {act, give, seen, close, columns};
}"""


# ---- the model -------------------------------------------------------------------------------------------------------

def percent(value):
    return f"{math.floor(100 * value + .5)}\u00a0%"


def counted(number, one, many):
    return f"{number:,} {one if number == 1 else many}"


class Model:
    """What a person sees of a Page, by its definition."""

    def __init__(self, made):
        self.made, score = made, made.probs[np.arange(N), made.given]
        certainty = made.probs[np.arange(N), made.suggested]
        self.score, self.certainty = ([round(float(p), 4) for p in values] for values in (score, certainty))
        doubted = made.given != made.suggested
        self.doubted = set(np.flatnonzero(doubted).tolist())
        self.list = [row for chosen in (doubted, ~doubted) for row in
                     np.flatnonzero(chosen)[np.argsort(score[chosen], kind="stable")].tolist()]
        self.decisions, self.undone, self.words = {}, [], ""
        self.filters, self.viewer, self.chooser, self.focus = dict(START), None, None, -1
        self.select()

    def label(self, labels, row):
        return self.made.classes[labels[row]]

    def given(self, row):
        return self.label(self.made.given, row)

    def suggested(self, row):
        return self.label(self.made.suggested, row)

    def truth(self, row):
        return f"true label: {self.label(self.made.truth, row)}" if self.made.truth[row] >= 0 else ""

    def verdict(self, row):
        kind, label = self.decisions.get(row, (None, ""))
        return DONE[kind] + label if kind else ""

    # -- what one does

    def select(self):
        f, decided = self.filters, self.decisions

        def fits(row):
            state = {"": True, "open": row not in decided, "decided": row in decided}.get(
                f["state"], decided.get(row, ("",))[0] == f["state"])
            return (f["kind"] == "all" or (row in self.doubted) == (f["kind"] == "")) and state and (
                f["given"] in ("", str(self.made.given[row]))) and (
                f["suggested"] in ("", str(self.made.suggested[row]))) and (
                float(f["low"] or 0) <= self.score[row] <= float(f["high"] or 1)) and (
                f["find"].lower() in self.made.paths[row].lower())
        values = {"score": self.score, "probability": self.certainty, "index": self.made.index}[f["order"].strip("-")]
        sign = -1 if f["order"].startswith("-") else 1
        self.fits = fits
        self.shown = sorted(filter(fits, self.list), key=lambda row: sign * values[row])
        self.active, self.focus, self.words, self.drawn = 0, -1, "", min(PART, len(self.shown))

    def filter(self, **values):
        self.filters.update(values)
        self.select()

    def put(self, entries, words):
        for row, decision in entries:
            self.decisions.pop(row, None)
            if decision:
                self.decisions[row] = decision
        self.words = words

    def record(self, entries, words):
        self.undone.append([(row, self.decisions.get(row)) for row, _ in entries])
        self.put(entries, words)

    def decide(self, row, kind, label=None):
        if kind == "change" and label in (self.suggested(row), self.given(row)):
            kind = "accept" if label == self.suggested(row) else "reject"
        if kind == "reject" and row not in self.doubted:
            kind = "accept"
        label = {"accept": self.suggested(row), "reject": self.given(row), "change": label, "remove": ""}[kind]
        self.record([(row, (kind, label))], f"{self.made.paths[row]}: {DONE[kind]}{label}")

    def undo(self):
        if self.undone:
            entries = self.undone.pop()
            self.put(entries, f"image {self.made.index[entries[0][0]]}: decision undone" if len(entries) == 1
                     else f"{len(entries)} decisions undone")
            if len(entries) == 1 and entries[0][0] in self.shown[:self.drawn]:
                self.go(self.shown.index(entries[0][0]))

    def go(self, place):
        if self.shown:
            if place >= self.drawn:
                self.drawn = min(self.drawn + PART, len(self.shown))
            self.active = self.focus = max(0, min(place, self.drawn - 1))

    def all_open(self, kind):
        rows = [row for row in self.shown if row not in self.decisions]
        self.record([(row, (kind, self.suggested(row) if kind == "accept" else self.given(row))) for row in rows],
                    f"{counted(len(rows), 'image', 'images')} {kind}ed")

    def press(self, key, columns, place=None):
        """Whether the key means something to the card at that place."""
        row = self.shown[self.active if place is None else place]
        steps = {"ArrowRight": 1, "ArrowLeft": -1, "ArrowDown": columns, "ArrowUp": -columns, "Home": -self.drawn,
                 "End": self.drawn}.get(key)
        kind = {"a": "accept", "r": "reject", "x": "remove", "Delete": "remove"}.get(key)
        if steps:
            self.go(self.active + steps)
        elif key == "u":
            self.undo()
        elif key == "z":
            self.viewer = row, True
        elif key == "c":
            self.chooser, self.narrowed = row, ""
        elif kind or key.isdecimal() and int(key) < len(CLASSES):
            self.decide(row, kind or "change", None if kind else CLASSES[int(key)])
            self.go(self.active + 1)
        else:
            return False
        if self.viewer and key != "c":
            self.viewer = self.shown[self.active], True
        return True

    def choose(self, label):
        """In the dialog; None: cancel."""
        row, self.chooser = self.chooser, None
        if label is not None:
            self.decide(row, "change", label)
        if self.viewer:
            self.viewer = row, True
        if row in self.shown[:self.drawn]:
            self.go(self.shown.index(row))

    # -- what one sees

    def card(self, place):
        row = self.shown[place]
        name, doubted, kind = self.made.paths[row], row in self.doubted, self.decisions.get(row, (None,))[0]
        suggestion = f", suggested {self.suggested(row)}, probability {percent(self.certainty[row])}" if doubted else ""
        button = {"accept": "accept", "reject": "reject", "change": "class…", "remove": "remove"}
        return {"name": name.split("/")[-1], "link": self.link(row), "given": self.given(row),
                "score": percent(self.score[row]),
                "truth": self.truth(row), "verdict": self.verdict(row), "decision": kind,
                "suggested": self.suggested(row) + percent(self.certainty[row]) if doubted else None,
                "words": f"{name}, given {self.given(row)}{suggestion}, {self.verdict(row) or 'undecided'}",
                "pressed": [button[kind]] if kind else [],
                "offered": [text for name, text in button.items() if doubted or name != "reject"],
                "stops": ("0" if place == self.active else "-1") * 7}

    def link(self, row):
        path = self.made.paths[row]
        return "file://" + quote(path if path.startswith("/") else f"{self.made.root}/{path}")

    def large(self):
        row, decides = self.viewer
        keys = ["ArrowLeft", "ArrowRight", "a", *["r"] * (row in self.doubted), "c", "x"] if decides else []
        words = [f"given: {self.given(row)} ({percent(self.score[row])})",
                 f"suggested: {self.suggested(row)} ({percent(self.certainty[row])})" if row in self.doubted else "",
                 self.truth(row), self.verdict(row)]
        return [self.made.paths[row], ", ".join(filter(None, words)), self.link(row), " ".join(keys)]

    def snapshot(self):
        """Everything but the number of cards that are drawn."""
        open_ = sum(row not in self.decisions for row in self.shown)
        others = sum(row not in self.doubted for row in self.decisions)
        words = "the one undecided" if open_ == 1 else f"all {open_:,} undecided"
        still = sum(map(self.fits, self.shown))
        found = counted(still, "image matches", "images match") if still == len(self.shown) else (
            f"{counted(len(self.shown), 'image', 'images')} shown, {still:,} still "
            f"{'matches' if still == 1 else 'match'}")
        return {"cards": [self.card(place) for place in range(self.drawn)],
                "status": (f"{self.words}. " if self.words else "") + found + ".",
                "progress": f"{len(self.decisions) - others} of {len(self.doubted)} decided"
                            + (f", and {counted(others, 'other', 'others')}" if others else ""),
                "off": [not self.undone, not self.decisions, not self.decisions, not open_, not open_],
                "bulk": [f"Accept {words}", f"Reject {words}"], "more": self.drawn < len(self.shown),
                "filters": self.filters,
                "chooser": None if self.chooser is None else [c for c in CLASSES if self.narrowed.lower() in c.lower()],
                "viewer": self.large() if self.viewer else None}

    def exported(self):
        run = run_identity(CLASSES, self.made.index, self.made.given, self.made.suggested)
        rows = sorted(self.decisions, key=lambda row: self.made.index[row])
        return csv_text([HEAD, *([int(self.made.index[row]), str(self.made.paths[row]), *self.decisions[row], run]
                                 for row in rows)])


# ---- the page and the model together ---------------------------------------------------------------------------------

class Both:
    """The same for the page and for the model; whatever is done, they have to agree afterwards."""

    def __init__(self, view, made):
        self.view, self.model = view, Model(made)
        self.loaded()

    def loaded(self):
        self.view.evaluate(TOOLS)
        self.agree(self.view.evaluate("tools.seen()"))
        self.columns = self.view.evaluate("tools.columns()")

    def agree(self, seen):
        seen, model = json.loads(seen), self.model
        drawn = len(seen["cards"])
        assert model.drawn <= drawn <= len(model.shown) and (drawn % PART == 0 or drawn == len(model.shown))
        model.drawn = drawn                                          # the page draws ahead of what one sees
        for name, expected in model.snapshot().items():
            if name == "cards":
                for card, of_model in zip(seen["cards"], expected):
                    assert card == of_model
            assert seen[name] == expected, name
        if not model.viewer and model.chooser is None and model.focus >= 0:
            assert seen["focus"] == model.focus

    def act(self, *what):
        prevented, seen = self.view.evaluate("what => tools.act(...what)", what)
        self.agree(seen)
        return prevented

    def close(self, query):
        """The image in large: one is back at its card."""
        row, self.model.viewer = self.model.viewer[0], None
        self.model.go(self.model.shown.index(row))
        self.agree(self.view.evaluate("tools.close", query))

    def press(self, key, **more):
        known = not more and self.model.press(key, self.columns)
        assert self.act("key", key, more) == known, key

    def look_up(self, **filters):
        """Filters, one after the other."""
        for name, value in filters.items():
            self.model.filter(**{name: value})
            self.act("type", f"#filters [name={name}]", value)

    def click(self, query, change):
        change(self.model)
        self.act("click", query)

    def part(self, place, query, change):
        """A click on a part of a card."""
        change(self.model, self.model.shown[place])
        self.act("part", place or ".card", query)

    def focus(self, place):
        self.model.go(place)
        self.act("focus", place or ".card")

    def narrow(self, text):
        self.model.narrowed = text
        self.act("type", "#chooser input", text)

    def sees(self):
        """Whether the image in large is the photo itself, with the square that the network saw."""
        name = quote(Path(self.model.made.paths[self.model.viewer[0]]).name)
        for _ in range(100):
            source, width, mark = self.view.evaluate("""() => { const image = document.querySelector("#viewer img");
                const rect = document.querySelector("#viewer rect");
                return [image.src, image.naturalWidth, rect.checkVisibility() && ["x", "y", "width", "height"].map(
                    name => Number(rect.getAttribute(name)))]; }""")
            if source.endswith("/" + name) and width == 40 and mark == [5, 0, 30, 30]:
                return True
            self.view.wait_for_timeout(20)
        return False

    def give(self, text, words, entries=None):
        """Import a file."""
        if entries is not None:
            self.model.record(entries, "")
        self.model.words = words
        value, seen = self.view.evaluate("text => tools.give('my.csv', text)", text)
        assert value == "", "the same file can be read again"
        self.agree(seen)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run on files of 40 x 30 pixels, each of one colour; some have absolute paths, of some no truth is known."""
    root = tmp_path_factory.mktemp("photos, ä #1")
    made = page_of(N, CLASSES, wrong=.6, size=4)
    rng = np.random.default_rng(5)
    colours = rng.integers(40, 216, (N, 3), dtype=np.uint8)
    paths = [f"{'ABC'[i % 3]} {i % 2}/deep/#{i} 100%?.png" if i % 4 else f"{i} Straße.png" for i in range(N)]
    for i, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.broadcast_to(colours[i], (30, 40, 3))).save(root / path)
    paths = [str(root / path) if i % 7 == 5 else path for i, path in enumerate(paths)]
    made.truth[::3] = -1
    made.truth[1::3] = rng.integers(6, size=len(made.truth[1::3]))
    images = np.broadcast_to(colours[:, None, None], (N, 4, 4, 3)).copy()
    return made._replace(images=images, paths=np.array(paths), root=str(root), originals=Files(str(root), paths))


@pytest.fixture(scope="module")
def html(made):
    path = Path(made.root) / "report.html"
    page.write(path, made)
    page.write(path, made, limit=path.stat().st_size - 10_000)         # so that it lacks some pictures
    return path


@pytest.fixture(scope="module")
def view(html):
    with chromium() as browser, tab(browser, html) as opened:
        yield opened


@pytest.fixture
def both(view, made):
    """The page as it is when it is opened for the first time."""
    view.evaluate("localStorage.clear()")
    view.reload()
    return Both(view, made)


def test_the_list_is_filtered_and_ordered(both):
    both.look_up(kind="all")
    both.look_up(order="-probability")
    both.look_up(order="probability", given="2", kind="")
    both.look_up(suggested="4")
    both.look_up(given="", order="index", kind="others", suggested="2")
    both.look_up(order="-score", suggested="", low="0.2", high="0.6")
    both.look_up(low="", high="")
    both.look_up(find="STRASSE"), both.look_up(find="straße", kind="all"), both.look_up(find="no such name")
    both.click("#all", lambda model: (model.filters.update(START), model.select()))


def test_what_is_decided_is_found_by_its_decision(both):
    both.focus(0)
    for key in (*"arx4a2", "Delete"):
        both.press(key)
    for state in ("open", "decided", "accept", "reject", "change", "remove"):
        both.look_up(state=state)
        both.look_up(kind="all"), both.look_up(kind="others"), both.look_up(kind="")
    both.look_up(state="decided")


def test_all_at_once_takes_what_matches_and_is_undecided_and_clear_takes_everything(both):
    both.look_up(given="1")
    both.focus(0)
    both.press("x"), both.press("r")
    both.click("[data-bulk=accept]", lambda model: model.all_open("accept"))
    both.look_up(given="", kind="all", state="open")
    both.click("[data-bulk=reject]", lambda model: model.all_open("reject"))
    both.click("#undo", Model.undo)
    both.click("#clear", lambda model: model.record(
        [(row, None) for row in sorted(model.decisions, key=lambda row: model.made.index[row])],
        f"{counted(len(model.decisions), 'decision', 'decisions')} cleared, undo brings them back"))
    for _ in range(4):
        both.click("#undo", Model.undo)
    assert both.model.decisions == {}


def test_keys_that_are_the_browsers_stay_the_browsers(both):
    both.focus(0)
    both.press("u")                                             # nothing to be undone
    for more in ({"ctrlKey": True}, {"metaKey": True}, {"altKey": True}):
        both.press("a", **more)
    for key in ("6", "9", "q", "Tab"):
        both.press(key)
    both.press("z")
    for more in ({"ctrlKey": True}, {"metaKey": True}, {"altKey": True}):
        both.press("a", **more)
    assert both.model.decisions == {}
    both.model.viewer = None
    assert both.act("key", "z"), "the key that opens the image in large closes it"


def test_letters_are_keys_with_caps_lock_and_in_any_alphabet(both):
    both.focus(0)
    for key, place, plain in (("A", "KeyA", "a"), ("\u0444", "KeyA", "a"), ("\u0447", "KeyX", "x"),
                              ("\u0661", "Digit1", "1"), ("q", "KeyA", "q"), ("\u0444", "", "q")):
        known = both.model.press(plain, both.columns)
        assert both.act("key", key, {"code": place}) == known == (plain != "q")


def test_enter_shows_the_image_in_large_and_leaves_buttons_alone(both):
    both.focus(3)
    assert not both.view.evaluate("tools.act('part', 3, '.name'), document.querySelector('[data-do]').focus(), "
                                  "tools.act('key', 'Enter')[0]")
    both.focus(3)
    both.model.viewer = both.model.shown[3], True
    assert both.act("key", "Enter")
    assert both.view.evaluate("document.activeElement.id") == "viewer", "Enter once more must not open the file"


def test_what_was_cleared_can_be_undone_after_the_window_was_closed(both, made):
    both.focus(0)
    for key in "arx":
        both.press(key)
    before = dict(both.model.decisions)
    both.click("#clear", lambda model: model.record([(row, None) for row in before], "3 decisions cleared, undo brings "
                                                                                     "them back"))
    both.view.reload()
    entries, both.model = list(before.items()), Model(made)
    both.model.undone = [entries]
    both.loaded()
    both.click("#undo", lambda model: model.undo())
    assert both.model.decisions == before

def test_of_more_than_ten_classes_a_digit_is_none(view, html, tmp_path):
    for C, known in ((10, True), (11, False)):
        page.write(tmp_path / "other.html", page_of(30, [f"c{c}" for c in range(C)], wrong=.9))
        view.goto((tmp_path / "other.html").as_uri())
        view.evaluate(TOOLS)
        view.evaluate("tools.act('focus', '.card')")
        assert view.evaluate("tools.act('key', '1')")[0] == known
    view.goto(html.as_uri())


def test_the_chooser_finds_a_class_by_a_part_of_its_name(both):
    both.focus(2)
    both.press("c")
    for text in ("A", "ähr", "", "wolf"):
        both.narrow(text)
    both.act("focus", "#chooser input")
    both.model.choose(CLASSES[2])
    both.act("key", "Enter")
    both.press("c")
    both.narrow("no class")
    both.act("focus", "#chooser input")
    both.act("key", "Enter")                                    # nothing to choose: it stays open
    both.click("#chooser > button", lambda model: model.choose(None))


def test_an_image_in_large_is_decided_on_and_the_next_one_comes(both):
    model = both.model
    both.look_up(kind="all", order="index")
    both.focus(3)
    both.part(3, "[data-zoom]", lambda model, row: vars(model).update(viewer=(row, True)))
    assert both.sees(), "the photo itself, and the square"
    for key in ("a", "r", "ArrowLeft", "x", "4", "q", "ArrowLeft", "u", "End", "Home", "ArrowRight"):
        both.press(key)
    for key in ("ArrowRight", "a", "r", "ArrowLeft", "x"):
        both.click(f"#viewer [data-key={key}]", lambda model, key=key: model.press(key, both.columns))
    assert both.sees()
    both.click("#viewer [data-key=c]", lambda model: model.press("c", both.columns))
    both.narrow("ähr")
    both.click("#chooser [data-class='5']", lambda model: model.choose(CLASSES[5]))
    both.click("#viewer img", lambda model: None)
    both.close("#viewer button:not([data-key])")
    both.part(7, "[data-zoom]", lambda model, row: vars(model).update(viewer=(row, True)))
    both.close("#viewer")                                       # beside the image
    assert len(model.decisions) > 2


def test_a_photo_that_is_read_late_is_not_shown_for_another_image(both):
    both.view.evaluate("""() => { window.late = [];
        window.Image = class { addEventListener(kind, call) { late.push([this, call]); } }; }""")
    both.look_up(kind="all", order="index")
    both.focus(3)
    both.part(3, "[data-zoom]", lambda model, row: vars(model).update(viewer=(row, True)))
    both.press("ArrowRight")
    before, first, second, own = both.view.evaluate("""() => { const image = document.querySelector("#viewer img");
        return [image.src, ...late.map(([photo, call]) => { call(); return image.src; }), late[1][0].src]; }""")
    assert before == first and second == own == both.model.link(both.model.shown[4])


def test_where_there_is_no_picture_that_of_the_image_before_goes(both):
    """The files are not there either."""
    both.view.evaluate("() => { window.Image = class { addEventListener() {} }; }")
    both.look_up(kind="all", order="index")
    there = both.view.eval_on_selector_all("#list > .card img", "all => all.map(image => image.hasAttribute('src'))")
    both.focus(k := next(k for k, (here, after) in enumerate(zip(there, there[1:])) if here and not after))
    both.part(k, "[data-zoom]", lambda model, row: vars(model).update(viewer=(row, True)))
    shown = "() => document.querySelector('#viewer img').hasAttribute('src')"
    before = both.view.evaluate(shown)
    both.press("ArrowRight")
    assert before and not both.view.evaluate(shown)


def test_a_picture_of_a_pair_is_shown_in_large_without_decisions(both, made):
    numbers = both.view.eval_on_selector_all("#pairs [data-index]", "all => all.map(e => Number(e.dataset.index))")
    for i in numbers[:7:3]:
        row = made.index.tolist().index(i)
        both.click(f"#pairs [data-index='{i}'] img", lambda model, row=row: vars(model).update(viewer=(row, False)))
        assert both.sees()
        both.act("focus", "#viewer button:not([data-key])")
        assert not both.act("key", "a")
        both.click("#viewer button:not([data-key])", lambda model: vars(model).update(viewer=None))


def test_numbers_of_matrix_classes_and_pairs_lead_to_their_images(both):
    both.look_up(state="decided", find="x")
    links = both.view.eval_on_selector_all("a[data-given]",
                                           "all => all.map(a => [a.dataset.given, a.dataset.suggested])")
    for place in {given + suggested: k for k, (given, suggested) in enumerate(links)}.values():
        both.view.evaluate("k => { document.querySelectorAll('a[data-given]')[k].click(); }", place)
        both.model.filters = {**START, "given": links[place][0], "suggested": links[place][1]}
        both.model.select()
        both.model.focus = 0
        both.agree(both.view.evaluate("tools.seen()"))


def test_a_decision_outlives_the_window_and_reaches_the_others(both, made):
    both.focus(0)
    for key in "ar0x":
        both.press(key)
    model = both.model
    kept = both.view.evaluate("Object.entries(localStorage)")
    (name, text), = kept
    run = run_identity(CLASSES, made.index, made.given, made.suggested)
    assert run in name and {int(i): tuple(d[:2]) for i, d in json.loads(text).items()} == {
        int(made.index[row]): decision for row, decision in model.decisions.items()}
    both.view.reload()
    decisions, both.model = model.decisions, Model(made)
    both.model.decisions = decisions
    both.loaded()
    row = model.list[9]                                         # another window decides
    entries = {**json.loads(text), str(made.index[row]): ["remove", "", str(made.paths[row])]}
    for key in ("something else", name):
        both.view.evaluate("([name, text]) => localStorage.setItem(name, text)", [name, json.dumps(entries)])
        if key == name:
            both.model.decisions[row] = ("remove", "")
        both.view.evaluate("key => { dispatchEvent(new StorageEvent('storage', {key})); }", key)
        both.agree(both.view.evaluate("tools.seen()"))


def test_the_export_is_what_was_decided_and_an_import_brings_it_back(both, made, tmp_path):
    rng, model = np.random.default_rng(2), both.model
    both.look_up(kind="all")
    rows = rng.permutation(N)[:50].tolist()
    kinds = [str(kind) for kind in rng.choice(["accept", "reject", "change", "remove"], size=50)]
    other = [next(c for c in rng.permutation(CLASSES) if c not in (model.given(row), model.suggested(row)))
             for row in rows]
    entries = [(row, (kind, {"accept": model.suggested(row), "reject": model.given(row), "change": str(label),
                             "remove": ""}[kind])) for row, kind, label in zip(rows, kinds, other)]
    text = csv_text([HEAD[:4], *([int(made.index[row]), str(made.paths[row]), kind, label]
                                 for row, (kind, label) in entries)])
    both.give("\ufeff" + text, "50 decisions imported from my.csv", entries)
    with both.view.expect_download() as download:
        both.view.click("#export")
    download.value.save_as(tmp_path / "decisions.csv")
    written = (tmp_path / "decisions.csv").read_bytes().decode("utf-8")
    assert list(csv.reader(io.StringIO(written))) == list(csv.reader(io.StringIO(model.exported())))
    both.click("#undo", Model.undo)
    both.give(written.replace("\r\n", "\n"), "50 decisions imported from my.csv", entries)


@pytest.mark.parametrize("divider, head", [(";", "index,path,decision,label"), ("\t", "Index,Path,Decision,Label"),
                                           (",", "index,path,decision,label,run")])
def test_decisions_written_by_hand_or_saved_by_a_spreadsheet_are_imported(both, made, divider, head):
    """As `apply` takes them: a label is needed only for a change."""
    model, rows = both.model, both.model.shown[:4]
    lines = [f"{made.index[row]},,{kind},{label}" for row, kind, label in zip(
        rows, ("Reject", " accept", "remove", "change"), ("", "", "", CLASSES[3]))]
    entries = [(rows[0], ("reject", model.given(rows[0]))), (rows[1], ("accept", model.suggested(rows[1]))),
               (rows[2], ("remove", "")), (rows[3], ("change", CLASSES[3]))]
    both.give("\n".join([head, *lines, ""]).replace(",", divider), "4 decisions imported from my.csv", entries)


def test_decisions_on_images_that_the_page_does_not_list_are_kept(both, made, tmp_path):
    lines = [[int(max(made.index)) + k, f"{k}.png", "change", CLASSES[k]] for k in (2, 3, 4)]
    both.view.evaluate("text => tools.give('my.csv', text)", csv_text([HEAD[:4], *lines]))
    with both.view.expect_download() as download:
        both.view.click("#export")
    download.value.save_as(tmp_path / "decisions.csv")
    found = list(csv.reader(io.StringIO((tmp_path / "decisions.csv").read_bytes().decode("utf-8"))))[1:]
    assert [line[:4] for line in found] == [[str(cell) for cell in line] for line in lines]


FAULTS = [("", "its first line is not index,path,decision,label"),
          ("path,index,decision,label\n", "its first line is not index,path,decision,label"),
          ("index,path,decision\n", "its first line is not index,path,decision,label"),
          ("{head},run\n{i},,accept,cat,0123\n", "row 1 belongs to another run"),
          ("{head}\n{i},,accept,cat\n-1,,accept,cat\n", "row 2 has no known decision"),
          ("{head}\n{i}x,,accept,cat\n", "row 1 has no known decision"),
          ("{head}\n{i},,toString,cat\n", "row 1 has no known decision"),
          ("{head}\n{i},,change,\n", "row 1:  is no class of this run"),
          ("{head}\n{i},,change,ghost\n", "row 1: ghost is no class of this run"),
          ("{head}\n{i},other.png,remove,\n", "row 1: other.png is not image {i} of this run")]


def test_a_file_that_is_not_of_this_run_changes_nothing_and_is_told_why(both, made):
    both.focus(0)
    both.press("a")
    for text, fault in FAULTS:
        values = {"head": "index,path,decision,label", "i": made.index[7]}
        both.give(text.format(**values), f"Nothing imported from my.csv: {fault.format(**values)}")


def test_every_card_has_the_picture_of_its_image_or_says_that_there_is_none(both, made):
    both.look_up(kind="all", order="index")
    both.view.evaluate("document.querySelector('#more').scrollIntoView()")
    for _ in range(100):                                        # the rest is drawn when one comes near it
        if both.view.locator("#list > .card").count() == N:
            break
        both.view.wait_for_timeout(20)
    both.agree(both.view.evaluate("tools.seen()"))              # and where one is stays where it is
    assert both.model.drawn == N
    found = both.view.eval_on_selector_all("#list > .card", """cards => cards.map(card => {
        const image = card.querySelector("img");
        return [image.getAttribute("src"), image.hidden, card.querySelector(".missing").hidden]; })""")
    without = [row for row, (source, hidden, _) in enumerate(found) if source is None]
    assert 9 < len(without) < N - 40 and all(hidden != missing for _, hidden, missing in found)
    for row, (source, hidden, _) in enumerate(found):
        assert hidden == (source is None)
        if source:
            pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))), float)
            assert abs(pixels.mean(axis=(0, 1)) - made.images[row, 0, 0]).max() < 8


def test_keys_clicks_and_undo_in_any_order(both):
    """A walk of 70 steps that come as they come."""
    rng, model, kinds = np.random.default_rng(1), both.model, set()
    both.focus(0)
    for step in range(70):
        kinds |= {kind for kind, _ in model.decisions.values()}
        place = int(rng.integers(min(model.drawn, len(model.shown)))) if model.shown else None
        kind = rng.choice(["key", "key", "key", "button", "undo", "filter", "choose", "bulk", "card"])
        if kind == "filter" or place is None:
            name = rng.choice(["given", "suggested", "state", "kind", "order"])
            values = {"kind": ["", "others", "all"], "state": ["", "", "open", "decided", "accept", "change"],
                      "order": ["score", "-score", "index", "-probability", "probability"]}
            both.look_up(**{str(name): str(rng.choice(values.get(name, ["", "", "0", "3"])))})
            if model.shown:
                both.focus(0)
        elif kind == "key":
            if model.focus < 0:
                both.focus(place)
            keys = [*"arxu0356q", "ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown", "Delete"]
            keys += ["Home", "End"] * (model.drawn == len(model.shown))
            both.press(str(rng.choice(keys)))
        elif kind == "button":
            what = str(rng.choice(["accept", "reject", "remove"]))
            both.part(place, f"[data-do={what}]", lambda model, row, what=what: model.decide(row, what))
        elif kind == "undo" and model.undone:
            both.click("#undo", Model.undo)
        elif kind == "choose":
            both.part(place, "[data-do=change]", lambda model, row: vars(model).update(chooser=row, narrowed=""))
            label = rng.choice([None, *CLASSES])
            if label is None:
                both.click("#chooser > button", lambda model: model.choose(None))
            else:
                both.click(f"#chooser [data-class='{CLASSES.index(label)}']", lambda model: model.choose(str(label)))
        elif kind == "bulk" and step % 3 == 0 and any(row not in model.decisions for row in model.shown):
            what = str(rng.choice(["accept", "reject"]))
            both.click(f"[data-bulk={what}]", lambda model: model.all_open(what))
        elif kind == "card":
            model.go(place)
            both.act("click", place or ".card")
    assert len(model.undone) > 10 and len(kinds) == 4
