"""Errors planted in what a run shows: tables, numbers, pictures, the page and its script."""

TESTS = {
}

PLANTED = {
}

EQUIVALENT = {
}
