"""core/report/names.py: no boxes and no warning for names in any script; names of great length keep both ends."""
import warnings

import pytest

from core.report import names
from core.report.curve_pictures import sheet

SCRIPTS = ["cat", "собака", "γάτα", "猫", "ประเทศไทย", "🦉 owl", "كلب", "鳥(とり)"]


def drawn(families, texts):
    """Draws the texts; a letter that no font has is a UserWarning, and here an error."""
    figure = sheet(4, 4)
    axes = figure.subplots()
    axes.set_yticks(range(len(texts)), texts, fontfamily=families)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.draw_without_rendering()


def test_every_letter_that_is_drawn_is_in_a_font_that_has_no_boxes():
    families, texts, remark = names.drawable(SCRIPTS, range(8))
    drawn(families, texts)
    fonts = names.regular_fonts()
    letters = set().union(*(names.letters_of(fonts[family]) for family in families))
    assert not [family for family in families if "last resort" in family.lower()]
    for c, (name, text) in enumerate(zip(SCRIPTS, texts)):
        assert text == (name if set(name.replace(" ", "")) <= letters else str(c))
    assert bool(remark) == any(text.isdecimal() for text in texts)


def test_names_that_the_usual_font_has_need_no_other_and_keep_their_text(monkeypatch):
    monkeypatch.setattr(names, "PREFERRED", None)              # the other fonts are not looked at
    assert names.drawable(["cat", "Übermut", "γάτα"], [0, 1, 2]) == ([names.OWN], ["cat", "Übermut", "γάτα"], "")


def test_where_no_font_has_a_letter_the_number_of_the_class_stands_for_it(monkeypatch):
    own = names.regular_fonts()[names.OWN]
    monkeypatch.setattr(names, "regular_fonts", lambda: {names.OWN: own})
    families, texts, remark = names.drawable(["猫", "cat"], [30, 31])
    assert (families, texts) == ([names.OWN], ["30", "cat"]) and "classes.txt" in remark


def test_a_letter_is_taken_from_another_font_of_the_computer(monkeypatch):
    own = names.regular_fonts()[names.OWN]
    others = {"other.ttf": frozenset("猫"), "useless.ttf": frozenset("z"), own: names.letters_of(own)}
    monkeypatch.setattr(names, "regular_fonts",
                        lambda: {names.OWN: own, "Other": "other.ttf", "Useless": "useless.ttf"})
    monkeypatch.setattr(names, "letters_of", others.get)
    assert names.drawable(["猫", "cat"], [0, 1]) == ([names.OWN, "Other"], ["猫", "cat"], "")


def test_a_file_that_is_no_font_has_no_letters(tmp_path):
    (tmp_path / "a.ttf").write_bytes(b"no font")
    assert names.letters_of(str(tmp_path / "a.ttf")) == frozenset()


@pytest.mark.parametrize("name, text", [("a\n b", "a b"), ("$x^2$", r"\$x^2\$"), ("short", "short")])
def test_a_name_is_one_line_and_no_formula(name, text):
    assert names.escaped(name) == text


def test_a_long_name_keeps_both_ends():
    name = "Tomato___Tomato_Yellow_Leaf_Curl_Virus"
    text = names.shortened(name, 18)
    assert len(text) == 18 and name.startswith(text.split("…")[0]) and name.endswith(text.split("…")[1])
    assert names.shortened("x" * 18, 18) == "x" * 18
