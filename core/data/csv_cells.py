"""Cells of CSV files that no spreadsheet takes for a formula.

Spreadsheets run a cell that begins with = + - @ or a tab, and names of files and classes come from anywhere. Such a
text is written with an apostrophe before it, which spreadsheets take for "this is text", and read without it; every
text comes back as it was. A spreadsheet that divides cells at semicolons or tabs makes two cells of `x;=1+1`,
quotation marks or not: the apostrophe stands wherever a cell may begin.
"""
import csv
import io
import re

# The apostrophes between a possible beginning of a cell and what spreadsheets run; the last four of = + - @ are their
# wide forms of East Asian keyboards.
FORMULA = re.compile("(?<![^;\t\r\n])'*(?=[=+\\-@\uff0b\uff0d\uff1d\uff20\t\r\n])")


def guarded(text):
    """The text as it is written into a cell."""
    return FORMULA.sub(lambda apostrophes: "'" + apostrophes[0], text)


def plain(cell):
    """The text that guarded() was given."""
    return FORMULA.sub(lambda apostrophes: apostrophes[0][1:], cell)


def csv_text(rows):
    """Rows of texts and numbers as a CSV file, every text in quotation marks; numbers are no formulas."""
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([guarded(c) if isinstance(c, str) else c for c in row] for row in rows)
    return file.getvalue()
