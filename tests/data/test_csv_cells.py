"""core/data/csv_cells.py: no cell is a formula, and every text comes back."""
import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.csv_cells import csv_text, guarded, plain

NASTY = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "'=1", "''=1", "'", "''", "'a", "", "a",
         "a=1", '"=1"', " =1", '=HYPERLINK("http://x","y")',
         "a,b", 'a"b', "a\nb", "x;=1", "x;'=1", "x;;\t=1", "=;=", "x;1", "x\t-1", "a;'b"]


@pytest.mark.parametrize("text", NASTY)
def test_nasty_texts_come_back_and_are_no_formulas(text):
    assert plain(guarded(text)) == text
    assert guarded(text)[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d")


@given(st.text(alphabet="';=+-@\t\r\n\uff0ba,\" ", max_size=6))
def test_every_text_comes_back(text):
    assert plain(guarded(text)) == text


@given(st.text(alphabet="';=-\t\r\nab\" ", max_size=8))
def test_no_formula_begins_where_a_spreadsheet_may_divide(text):
    """At semicolons, tabs or lines, quotation marks or not; a table's first column is a number, unquoted."""
    for cell in re.split("[;\t\r\n]", guarded(text)):
        assert cell[:1] not in ("=", "-"), cell


def test_only_what_needs_it_is_changed():
    assert [guarded(text) for text in ("cat", "a=b", "a;b", "'tis", "2", "")] == ["cat", "a=b", "a;b", "'tis", "2", ""]
    # and files of other programs
    assert [plain(cell) for cell in ("cat", "'tis", "'", "=1")] == ["cat", "'tis", "'", "=1"]


def test_a_table_is_read_back_by_any_reader_of_csv():
    rows = list(csv.reader(io.StringIO(csv_text([["index", "text"], *enumerate(NASTY)]), newline="")))
    assert rows[0] == ["index", "text"] and [int(i) for i, _ in rows[1:]] == list(range(len(NASTY)))
    assert [plain(cell) for _, cell in rows[1:]] == NASTY


@pytest.mark.parametrize("delimiter", ",;\t|")
def test_no_text_makes_a_cell_of_its_own_wherever_cells_are_divided(delimiter):
    """As spreadsheets of many countries do at semicolons."""
    names = ["x;=1+1", "x,=1+1", "x\t=1+1", "x|=1+1", 'x";=1+1;"', "a\n=1"]
    text = csv_text([["label"], *([name] for name in names)])
    cells = [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) for cell in row]
    assert [plain(cell) for cell in cells] == ["label", *names]


def test_negative_numbers_stay_numbers():
    assert csv_text([[-1, -0.5]]) == "-1,-0.5\r\n"
