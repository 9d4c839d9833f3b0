"""With only the core installed everything works, or says in one line which extra to install."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from optional_features import PUBLIC
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from labkit.extras import BROUGHT_BY

TESTS = Path(__file__).parent
PROJECT = tomllib.loads((TESTS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[Requirement]] = {
    name: [Requirement(line) for line in lines] for name, lines in PROJECT["optional-dependencies"].items()
}


def brings(extra: str) -> set[str]:
    """Give the distributions that an extra asks for, with those of the extras it stands on."""
    found = set()
    for wanted in EXTRAS[extra]:
        if wanted.name == PROJECT["name"]:
            found |= set().union(*(brings(inner) for inner in wanted.extras))
        else:
            found.add(str(canonicalize_name(wanted.name)))
    return found


def imported_as(distribution: str) -> set[str]:
    """Give the names under which an installed distribution is imported."""
    return {
        name
        for name, owners in importlib.metadata.packages_distributions().items()
        if distribution in {str(canonicalize_name(owner)) for owner in owners}
    }


OPTIONAL = sorted(set().union(*(brings(name) for name in EXTRAS if name != "dev")))


@functools.cache
def tried(hidden: frozenset[str], folder: Path) -> dict[str, Any]:
    """What becomes of every feature while the import packages *hidden* cannot be found."""
    folder.mkdir()
    ran = subprocess.run(
        [sys.executable, str(TESTS / "optional_features.py"), str(folder), *sorted(hidden)],
        capture_output=True, text=True, check=False, cwd=folder, timeout=240,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same with nothing hidden: some features fail for want of a server or a verdict, and say so."""
    return tried(frozenset(), tmp_path_factory.mktemp("whole") / "f")


def faults(found: dict[str, Any], whole: dict[str, Any], hidden: set[str]) -> list[str]:
    """Say which features neither work as they do in a whole install nor name what to install for one of *hidden*."""
    said = []
    for name, what in found.items():
        as_ever = what["is"] == whole[name]["is"] and what.get("kind") == whole[name].get("kind")
        if what["is"] == "ok" or (as_ever and "pip install" not in what["said"]):
            continue
        mend = re.search(r"needs (\S+), which is not installed: pip install 'labkit-llm\[(\w+)\]'", what["said"])
        if mend is None or mend[2] not in EXTRAS or str(canonicalize_name(mend[1])) not in brings(mend[2]):
            said.append(f"{name}: {what}")
        elif what["is"] == "command" and (what["code"] == 0 or len(what["said"].strip().splitlines()) > 1):
            said.append(f"{name}: not one line, or a good end: {what}")
        elif what["is"] == "error" and "MissingDependency" not in what["kind"]:
            said.append(f"{name}: {what}")
        elif not hidden & imported_as(str(canonicalize_name(mend[1]))):
            said.append(f"{name}: names {mend[1]}, which is there: {what}")
    return said


def test_with_only_the_core_each_part_works_or_names_its_extra(tmp_path: Path, whole: dict[str, Any]):
    """Nothing optional is there: no bare ImportError anywhere, and what needs no extra works."""
    hidden = set().union(*(imported_as(name) for name in OPTIONAL))

    found = tried(frozenset(hidden), tmp_path / "f")

    assert not faults(found, whole, hidden)
    works = {name for name, what in found.items() if what["is"] == "ok"}
    assert works >= {f"import {name}" for name in PUBLIC} | {
        "a call", "the embedded model", "a cache in a file", "records as lines", "records in SQLite", "cases of lines",
        "cases of a table", "an exact match", "labkit --help", "junit", "the validation view",
    }  # fmt: skip
    assert found["records in PostgreSQL"]["extra"] == "postgres" == found["runs in PostgreSQL"]["extra"]
    assert "labkit-llm[evals]" in found["labkit runs"]["said"] and found["labkit runs"]["code"] == 1
    assert "labkit-llm[lab]" in found["labkit run"]["said"] and found["labkit run"]["code"] == 1


@pytest.mark.parametrize("distribution", OPTIONAL)
def test_a_package_that_is_missing_is_named_with_its_extra(tmp_path: Path, whole: dict[str, Any], distribution: str):
    """Each in turn: everything that does without it goes on working."""
    hidden = imported_as(distribution)
    if not hidden:
        pytest.skip(f"{distribution} is not installed here, so that nothing is hidden")

    found = tried(frozenset(hidden), tmp_path / "f")

    assert not faults(found, whole, hidden)


def test_each_extra_that_is_named_brings_the_package():
    """The table of names and pyproject.toml agree; ipykernel and others come along with what an extra asks for."""
    along = {"IPython", "traitlets", "cloudpickle"}  # with jupyterlab, anywidget and distributed
    wrong = {
        module: (distribution, extra)
        for module, (distribution, extra) in BROUGHT_BY.items()
        if module not in along and str(canonicalize_name(distribution)) not in brings(extra)
    }
    assert not wrong
    assert all(module in BROUGHT_BY for name in OPTIONAL for module in _guarded(name))


def _guarded(distribution: str) -> set[str]:
    """Those of its import names that labkit imports somewhere."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (TESTS.parent / "labkit").rglob("*.py"))
    return {
        name
        for name in imported_as(distribution)
        if re.search(rf"^ +(?:import|from) {re.escape(name)}\b", text, re.MULTILINE)
    }
