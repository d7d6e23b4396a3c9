"""The paper's tables and figures, and what the paper does not have: `python demo.py reproduce --list`.

    NAME.txt            the runs of one table or figure, a sweep file
    catalogue.py        every experiment by name, and the scales
    papers_numbers.py   what is known of the paper's own results, and how surely
    runs.py             runs that are there: in a folder of runs, or kept in docs/runs
    tables.py, figures.py        made from such runs
    costs.py            how long the runs take
    reproduce.py        the command
    pseudo_labels.py    the labels of PL-CIFAR
    page.py             the tables and pictures of docs/results.md
"""
