"""Three facts about the whole: the names it exports, which package imports which, and what importing it loads."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import labkit

PACKAGE = Path(labkit.__file__).parent

PUBLIC = {
    "Apology", "Attempt", "Breaker", "Cache", "CallFailed", "CallInvalid", "CallRecord", "Confidence", "File",
    "Final", "GuardedCall", "Hedge", "Image", "LabkitError", "MediaLimits", "Model", "Normalization", "Partial",
    "Policy", "Price", "Prompt", "Reason", "RedisCacheStore", "Reject", "ReplayMissed", "Result", "Retract",
    "Retry", "RetryBudget", "RulesBased", "SafeDefault", "ScriptedModel", "Sensitive", "Source", "Spend", "Stale",
    "flush", "guards", "no_pii", "no_refusal", "no_secrets",
}  # fmt: skip

# A package may import those that stand below it.
ORDER = [
    ["cli"],
    ["scheduled"],
    ["export", "views"],
    ["evals"],
    ["store"],
    ["call"],
    ["models"],
    ["extras"],
    ["options"],
    ["errors"],
    # written by everybody: what may be shown
    ["terminal"],
    ["addresses"],
]
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}

FORBIDDEN_AT_IMPORT = {
    "litellm",
    "aiohttp",
    "pandas",
    "matplotlib",
    "IPython",
    "sqlalchemy",
    "scipy",
    "numpy",
    "anywidget",
    "openfeature",
    "opentelemetry",
    "redis",
}


def test_the_root_exports_the_production_runtime_and_no_more():
    """Some thirty names: enough to make, run and read a guarded call."""
    assert set(labkit.__all__) == PUBLIC
    assert all(hasattr(labkit, name) for name in PUBLIC)


def _imports(path: Path) -> set[str]:
    """Labkit packages that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module] if node.module != "labkit" else [f"labkit.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("labkit.")}
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path):
    """cli -> scheduled -> export, views -> evals -> store -> call -> models -> extras -> errors; none points up."""
    home = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if home == "__init__":
        assert _imports(path) <= {"call", "models", "errors", "terminal"}
        return
    upward = {name for name in _imports(path) - {home} if name in LEVEL and LEVEL[name] <= LEVEL[home]}
    assert not upward, f"{path} imports {upward}, which stand above or beside it"
    assert not (_imports(path) - LEVEL.keys()), f"{path} imports a package that has no place in ORDER"


@pytest.mark.parametrize(
    "statement", ["import labkit", "import labkit.models, labkit.evals, labkit.views, labkit.export, labkit.cli"]
)
def test_importing_labkit_loads_nothing_heavy(statement: str):
    """A service pays for pydantic and jinja2 and nothing else; views and export wait until they are used."""
    loaded = subprocess.run(
        [sys.executable, "-c", f"{statement}; import sys, json; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    top = {name.partition(".")[0] for name in json.loads(loaded)}

    assert not top & FORBIDDEN_AT_IMPORT


def test_every_package_says_what_lives_there():
    """A newcomer finds the room from the docstring of its package."""
    for package in sorted(PACKAGE.rglob("__init__.py")):
        assert ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))), f"{package} has no docstring"
