"""The page of a sweep."""


def sweep_page(study, plan, rows):
    return "x"
