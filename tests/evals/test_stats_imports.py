"""What the statistics load, and when."""

from __future__ import annotations

import json
import subprocess
import sys

LOOK = "import sys, json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
HEAVY = {"numpy", "scipy", "statsmodels", "pandas"}


def loaded(statement: str) -> set[str]:
    printed = subprocess.run(
        [sys.executable, "-c", f"{statement}; {LOOK}"], capture_output=True, text=True, check=True
    ).stdout
    return set(json.loads(printed))


def test_the_tests_of_every_comparison_need_the_standard_library_only():
    """Comparing two runs does not wait for scipy."""
    use = "from labkit.evals.stats import *; wilson(7, 9); mcnemar_exact(1, 7); tango(7, 1, 20); holm([.1, .2])"

    assert not loaded(use) & HEAVY


def test_what_needs_scipy_loads_it_itself():
    """The check above can fail: the same look finds scipy once it was needed."""
    assert "scipy" in loaded("from labkit.evals.stats import paired_t; paired_t([0, 0, 0], [1, 2, 4])")
