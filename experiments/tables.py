"""Tables of runs as rows of cells: the first row is the head. A cell of several seeds is mean ± standard deviation."""
from core.report.numbers import percent
from core.run import sweep
from experiments import papers_numbers
from experiments.catalogue import short
from experiments.runs import at_best, at_last, groups

OURS = (                               # title of a row or column, step, which epoch, what is measured
    ("correct labels, best", "joint", at_best, "recovery"), ("correct labels, last", "joint", at_last, "recovery"),
    ("step 1, best", "joint", at_best, "test"), ("step 1, last", "joint", at_last, "test"),
    ("step 2, best", "retrain", at_best, "test"), ("step 2, last", "retrain", at_last, "test"),
    ("cross-entropy, best", "cross-entropy", at_best, "test"),
    ("cross-entropy, last", "cross-entropy", at_last, "test"),
)
SCORED = ("corrections, precision", "corrections, recall")
METHODS = {"cross-entropy": "cross-entropy", "joint optimization": "retrain"}        # of the paper: whose step


def table(experiment, name, runs, all_lines):
    """The rows of an experiment's table."""
    return by_rate(name, runs) if experiment.shape == "rates" else by_line(experiment, runs, all_lines)


def by_rate(name, runs):
    """As in the paper: a column for each noise rate, ours and the paper's rows under each other."""
    papers = papers_numbers.ROWS[name]
    rates = list(papers[0].values)
    of_rate = {rate: [run for run in runs if run.config.rate == rate] for rate in rates}
    rows = [("%", *(f"r = {100 * rate:g} %" for rate in rates), "how sure")]

    def measured(title, value_of):
        rows.append((title, *(cell([value_of(run) for run in of_rate[rate]], "") for rate in rates), "measured"))

    measured("correct labels, given", lambda run: run.summary["initial"])
    for title, step, which, field in OURS[:2]:
        measured(title, lambda run, step=step, which=which, field=field: which(run, step, field))
    for paper in papers:
        which = at_best if paper.which == "best" else at_last
        title, step = f"{paper.method}, {paper.which}", METHODS[paper.method]
        measured(title, lambda run, step=step, which=which: which(run, step, "test"))
        rows.append((f"the paper's {title}", *(f"{paper.values[rate]:.1f}" for rate in rates), paper.sure))
    return rows


def by_line(experiment, runs, all_lines):
    """One row for each line; the columns that are known."""
    columns = [column for column in OURS if experiment.both_steps or column[1] == "joint"]
    if not any(run.config.recipe.begin < run.config.recipe.epochs for run in runs):       # no epoch sees other labels
        columns = [column for column in columns if column[3] != "recovery"]
    rows = [("run", "correct labels, given", *(title for title, *_ in columns), *SCORED * experiment.scored)]
    for line, same in groups(runs).items():
        cells = [cell([run.summary["initial"] for run in same])]
        cells += [cell([which(run, step, field) for run in same]) for _, step, which, field in columns]
        cells += [cell([run.scores.get("0", (None, None))[k] for run in same])
                  for k in range(len(SCORED) * experiment.scored)]
        seeds = f", {len(same)} seeds" * (len(same) > 1)
        rows.append((f"{short(line, all_lines)}{seeds}", *cells))
    keep = [c for c, (_, *cells) in enumerate(zip(*rows)) if c == 0 or any(text != percent(None) for text in cells)]
    return [tuple(row[c] for c in keep) for row in rows]


def cell(fractions, unit=" %"):
    """One value, or mean ± standard deviation of several; a dash for what is not known."""
    if not fractions or None in fractions:
        return percent(None)
    if len(fractions) > 1:
        return sweep.mean_and_deviation(fractions).removesuffix(" %") + unit
    return percent(fractions[0]).removesuffix(" %") + unit


def markdown(rows):
    """The rows as a table of a page."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return [head, "|---" * len(rows[0]) + "|", *body]
