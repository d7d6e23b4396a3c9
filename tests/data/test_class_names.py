"""core/data/class_names.py: what a person cannot tell apart, what stands for nothing, what is several labels."""
import time

import pytest

from core.data.class_names import about_names, is_missing, meant, same_numbers
from tests.lib.own_data import kinds


@pytest.mark.parametrize("a, b", [
    ("cat", "Cat"), ("straße", "STRASSE"), ("cat", "ｃａｔ"), ("cat", "c\u0430t"), ("cat", "ca\u200bt"), ("cat",
                                                                                                       "cat\ufeff"),
    ("a b", "a\u00a0b"), ("a b", "a  b"), ("a b", "a_b"), ("a-b", "a\u2013b"), ("it's", "it\u2019s"), ("ﬁn", "fin"),
    ("1", "1.0"), ("1", "01"), ("0.5", ".50".replace(".", "0.")), ("O1", "01"), ("Il", "ll"), ("B", "\u0392"), ("2",
                                                                                                                "２")])
def test_pairs_that_look_or_mean_the_same(a, b):
    found, = about_names([a, b, "something else", "7"])
    assert found.kind == "alike" and found.detail.startswith("and ")


@pytest.mark.parametrize("names", [["cat", "dog"], ["1", "2", "10"], ["a1", "a2"], ["cat", "cats"], ["A", "B", "C"],
                                   ["1", "1.5"], ["cassava, young", "maize, young", "rice, young"], ["red oak", "oak"],
                                   ["C++", "C#"], ["a/b"], ["No. 1; x"]])
def test_names_that_are_plain(names):
    assert about_names(names) == []


def test_letters_that_are_not_seen_are_shown():
    assert about_names(["cat", "ca\u200bt"]) == [("alike", "cat", "and ca\\u200bt")]


def test_groups_are_told_once():
    assert [f.detail for f in about_names(["a", "A", "ａ"])] == ["and a, ａ"]


@pytest.mark.parametrize("word", ["nan", "NaN", "NAN", "NA", "N/A", "n/a", "<NA>", "#N/A", "null", "NULL", "None", "?",
                                  "",
                                  "NaT"])
def test_words_for_a_missing_value(word):
    assert is_missing(word)


@pytest.mark.parametrize("word", ["none", "na", "Nan Bread", "0", "-1", "unknown", "-", "N", "no"])
def test_words_that_may_be_a_class(word):
    assert not is_missing(word)


def test_words_that_may_be_a_class_are_doubted():
    names = ["none", "unknown", "-", "Na", "cat", "null"]
    assert kinds(about_names(names)) == {"doubtful": ["-", "Na", "none", "null", "unknown"]}


def test_numbers_with_a_fraction_of_nought():
    assert same_numbers(["1", "1.0", "2.00", "2", "3.0", "01", "1.5", "x.0"]) == {"1.0": "1", "2.00": "2"}


@pytest.mark.parametrize("names, mark", [
    (["a|b", "b|c"], "|"), (["a;b", "b;c", "d"], ";"), (["a", "a, b", "c,a"], ","), (["a", "a/b", "b/c"], "/"),
    (["scab", "rust", "scab rust", "rust scab"], " "), (["a", "a+b", "c+a"], "+"),
    (["['a', 'b']", "['a']", "['b', 'c']"], ","), (["['a', 'b']", "['a']"], ",")])
def test_several_labels_in_a_cell(names, mark):
    found, = about_names(names)
    assert found.kind == "several" and f"with {mark!r} in their names" in found.detail


def test_many_names_take_no_long_time():
    start = time.process_time()
    assert len(about_names([f"{name}{k}" for k in range(20_000) for name in ("class ", "Class ")])) == 20_000
    assert time.process_time() - start < 5


@pytest.mark.parametrize("text, words", [("Cat", " (did you mean cat?)"), ("dgo", " (did you mean dog?)"),
                                         ("ÄHRE", " (did you mean Ähre?)"), ("airplane", ""), ("", ""), ("7", "")])
def test_what_is_no_name_is_answered_by_the_one_that_is_like_it(text, words):
    assert meant(text, ["cat", "dog", "Ähre"]) == words
