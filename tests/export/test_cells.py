"""Which cells count as executed, however late labkit is imported."""

from __future__ import annotations

from labkit.export import cells


def labels(notebook, name: str = "Ticket") -> list[tuple[str, bool]]:
    session, _ = next(cells.sessions_holding(notebook[name]))
    return [(cell.label, cell.failed) for cell in session.cells]


def test_cells_from_before_are_found_in_the_history(notebook):
    """Nobody has to import labkit.export in the first cell."""
    notebook.run("1 / 0", fails=True).run("a = 1")

    assert labels(notebook) == [("In[1]", False), ("In[2]", True), ("In[3]", False)]


def test_watched_cells_say_themselves_how_they_ended(notebook):
    """What ran without history is seen too, and nothing is counted twice."""
    notebook.run("a = 1")
    cells.watch()
    cells.watch()
    notebook.run("b = 1").run("1 / 0", fails=True)
    notebook.shell.run_cell("c = 1", store_history=False)
    notebook.run("d = 1")

    assert labels(notebook) == [
        ("In[1]", False),
        ("In[2]", False),
        ("In[3]", False),
        ("In[4]", True),
        ("a cell run without history", False),
        ("In[5]", False),
    ]


def test_ipythons_own_names_for_a_value_are_no_names(notebook):
    """``_`` and ``_2`` are gone after the next cell."""
    notebook.run("Ticket", "Other = Ticket")

    _, names = next(cells.sessions_holding(notebook["Ticket"]))

    assert names == ["Ticket", "Other"]
