"""Cells of CSV files that no spreadsheet takes for a formula.

Spreadsheets run a cell that begins with = + - @ or a tab, and names of files and classes come from anywhere. Such a
cell is written with an apostrophe before it, which spreadsheets take for "this is text", and read without it;
every text comes back as it was. All text is quoted: where spreadsheets divide cells at semicolons, `x;=1+1` would be
two cells.
"""
import csv
import io
import re

FORMULA = re.compile("'*[=+\\-@\uff0b\uff0d\uff1d\uff20\t\r\n]")        # with their wide forms of East Asian keyboards


def guarded(text):
    """The text as it is written into a cell."""
    return "'" + text if FORMULA.match(text) else text


def plain(cell):
    """The text that guarded() was given."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def csv_text(rows):
    """Rows of texts and numbers as a CSV file, every text in quotation marks; numbers are no formulas."""
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([guarded(c) if isinstance(c, str) else c for c in row] for row in rows)
    return file.getvalue()
