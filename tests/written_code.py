"""Source text run as a module that Python's own tools can read again, as they can a notebook's cell."""

from __future__ import annotations

import itertools
import linecache
from types import ModuleType
from typing import Any

_numbers = itertools.count(1)


def names_of(source: str, module: str = "written") -> dict[str, Any]:
    """Run *source* as *module* and give its names."""
    file = f"<written-{next(_numbers)}>"
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    made = ModuleType(module)
    exec(compile(source, file, "exec", dont_inherit=True), vars(made))
    return vars(made)
