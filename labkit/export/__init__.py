"""Notebook -> package: the code that a guarded call was made from, found, checked, written and verified.

    cells.py         which cells were executed, and how they ended
    statements.py    what one statement does to names
    timeline.py      which statement gave a name its value, at any moment
    closure.py       everything a call was made from
    refusals.py      what cannot leave the notebook, with the mend
    embed.py         values that go along as data
    imports.py       what an import means and what it needs installed
    rendering.py     the kept statements as a module; project.py has the files around it
    verify.py        the written package against the live objects, by likeness.py
    packaging.py     package(): all of it in order

May import ``labkit.call``, ``labkit.models`` and ``labkit.errors``. IPython is looked at only where it is running.
"""

from labkit.export.cells import watch
from labkit.export.embed import embed
from labkit.export.packaging import package

__all__ = ["embed", "package"]

watch()
