"""What the README says is so: its example runs, its links lead somewhere, its commands and extras are there."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(text: str, language: str) -> list[str]:
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    return [block for tongue, block in fences if tongue == language]


def test_its_example_runs_as_it_stands_and_prints_what_it_says(tmp_path: Path):
    """From one file, with nothing added; the answers and the verdict are the ones that are shown."""
    [example] = blocks(README, "python")
    [said] = [block for block in blocks(README, "") if "is better than" in block]
    (tmp_path / "example.py").write_text(example, encoding="utf-8")
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")

    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stderr
    shown = [line.removesuffix("...") for line in said.splitlines()]
    assert [line[: len(shown[n])] for n, line in enumerate(done.stdout.splitlines()[: len(shown)])] == shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    """No page of another is missing."""
    linked = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))

    assert [link for link in linked if "://" not in link and not (page.parent / link).exists()] == []


def test_its_commands_are_the_makefiles():
    """Every ``make NAME`` that a page names."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))

    named = {name for page in PAGES for name in re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), re.MULTILINE)}

    assert {"demo", "lab", "test", "lm"} <= named <= targets


def test_it_installs_by_the_projects_own_name():
    """A stranger owns ``labkit`` on the index; every extra that is named exists."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sources = [*PAGES, *(ROOT / "labkit").rglob("*.py")]

    for page in sources:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"pip install\W+labkit\b(?![-_])", text), page
        assert not re.search(r"(?<![-\w])labkit\[", text), page
        named = {extra for extras in re.findall(r"labkit-llm\[([a-z,]+)\]", text) for extra in extras.split(",")}
        assert named <= project["optional-dependencies"].keys(), page
