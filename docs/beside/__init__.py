"""docs/beside.html: the equations of the paper, the code that computes them, and the numbers that prove it.

    python -m docs.beside             writes the page, from docs/paper.md, core/, docs/evidence.md and recorded.json
    python -m docs.beside --record    trains the small networks anew first, and writes recorded.json (two minutes)

    lesson.html, row.html   the text in the order of reading; one row of three columns
    rows.py                 what stands side by side: equations, functions, symbols, numbers, evidence
    formulas.py             LaTeX of docs/paper.md -> MathML, with its symbols marked
    typesetting.py          formulas in lines that fit their column
    listings.py             source -> highlighted lines
    derivatives.py          a number with its name; a gradient beside its two measurements
    objective_numbers.py, layer_numbers.py     the small batches of the third column
    evidence.py             rows of docs/evidence.md
    drawings.py, plots.py   block, ring, im2col; triangle, plane, curves
    recording.py, steps.py  what is recorded: trainings in the plane, errors over the step h
    page.py                 all of it as one file
    beside.css, beside.js   how it looks, with the marks of symbols; the interactive parts

The page is a function of these sources: the same text on every machine. Training is not, in its last bits, nor is the
rounding error of a small step. So both are stored, rounded.
"""
