"""One place for runs: found from wherever somebody works, said when it is made, never a stranger's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.cli import main
from labkit.errors import StoreError
from labkit.store.places import default_url, place_of
from labkit.store.runs import RunStore

EVALUATE = """
import labkit as lk
from labkit import evals
from pydantic import BaseModel

class In(BaseModel):
    text: str

class Out(BaseModel):
    intent: str

call = lk.GuardedCall("t", input=In, output=Out, prompt=lk.Prompt(user="{{ input.text }}"),
                      model=lk.ScriptedModel('{"intent": "card"}'))
cases = evals.Dataset([evals.Case(id="a", input={"text": "x"}, expected={"intent": "card"})])
run = evals.evaluate(call, cases, scorers=[evals.ExactMatch("intent")], progress=False)
print(run.run_id)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a folder of notebooks, in a home of its own."""
    monkeypatch.delenv("LABKIT_STORE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    found = tmp_path / "home" / "work" / "project"
    (found / "notebooks" / "deep").mkdir(parents=True)
    (found / "pyproject.toml").touch()
    return found


def in_python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True)


def test_notebooks_scripts_and_the_command_line_see_the_same_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Nothing is set; a run in notebooks/ and a baseline blessed at the root are each other's."""
    first = in_python(EVALUATE, project / "notebooks" / "deep").stdout.strip()
    monkeypatch.chdir(project)
    assert main(["bless", first]) == 0
    second = in_python(EVALUATE, project).stdout.strip()
    monkeypatch.chdir(project / "notebooks")
    capsys.readouterr()

    assert main(["runs"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [second, first] and lines[2].endswith("baseline")
    assert [str(path.relative_to(project)) for path in project.rglob("labkit.db")] == ["labkit.db"]


def test_the_place_is_said_once_when_it_is_made(project: Path):
    """On stderr: a notebook shows it, a pipe stays clean. Not where somebody chose the place."""
    first, second = (in_python(EVALUATE, project / "notebooks") for _ in range(2))
    chosen = in_python(EVALUATE.replace("progress=False", "progress=False, store='mine.db'"), project)

    assert first.stderr == f"labkit: runs are kept in {project}/labkit.db\n"
    assert second.stderr == chosen.stderr == ""
    assert len(first.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("marks", "start", "found"),
    [
        (("a/pyproject.toml",), "a/b/c", "a"),
        (("a/.git/",), "a/b/c", "a"),
        (("a/.git",), "a/b/c", "a"),  # a worktree has a file
        (("a/pyproject.toml", "a/b/labkit.db"), "a/b/c", "a/b"),
        (("a/.git/", "a/b/pyproject.toml"), "a/b/c", "a/b"),
        ((), "a/b/c", "a/b/c"),
        ((".git/", "labkit.db"), "a/b", "a/b"),  # a home keeps somebody's settings
        ((".git/",), ".", "."),  # unless one works there
    ],
    ids=["pyproject", "git", "worktree", "store", "nearest", "nowhere", "home", "in-home"],
)
def test_the_store_is_in_the_nearest_folder_that_is_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marks: tuple[str, ...], start: str, found: str
):
    """From the working directory upwards, below the home directory."""
    monkeypatch.delenv("LABKIT_STORE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a/b/c").mkdir(parents=True)
    for mark in marks:
        path = tmp_path / mark
        path.mkdir() if mark.endswith("/") else path.touch()

    assert default_url(tmp_path / start) == f"sqlite:///{(tmp_path / found).absolute()}/labkit.db"


def test_a_folder_that_anybody_may_write_is_nobodys_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A .git in /tmp may be a stranger's."""
    monkeypatch.delenv("LABKIT_STORE", raising=False)
    shared, mine = tmp_path / "shared", tmp_path / "shared" / "mine"
    mine.mkdir(parents=True)
    (shared / ".git").mkdir()
    (tmp_path / "pyproject.toml").touch()
    shared.chmod(0o1777)

    assert default_url(mine) == f"sqlite:///{mine}/labkit.db"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give a folder away")
def test_a_folder_of_somebody_else_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Another user's project above one's own folder is theirs."""
    monkeypatch.delenv("LABKIT_STORE", raising=False)
    theirs, mine = tmp_path / "theirs", tmp_path / "theirs" / "mine"
    mine.mkdir(parents=True)
    (theirs / "pyproject.toml").touch()
    os.chown(theirs, 12345, 12345)

    assert default_url(mine) == f"sqlite:///{mine}/labkit.db"


def test_a_name_given_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """store= over LABKIT_STORE over what is found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABKIT_STORE", "sqlite:///env.db")

    assert place_of(None).file is not None and place_of(None).url == f"sqlite:///{tmp_path}/env.db"
    assert place_of("").url == place_of(None).url
    assert place_of("sqlite:///own.db").url == f"sqlite:///{tmp_path}/own.db"


@pytest.mark.parametrize(
    "given",
    ["runs/probe.db", "sqlite:///runs/probe.db", "SQLITE:///runs/probe.db", Path("runs/probe.db"), "{}/runs/probe.db",
     "sqlite:///{}/runs/probe.db"],
    ids=str,
)  # fmt: skip
def test_a_path_and_a_url_are_the_same_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | Path):
    """Relative or absolute, text or path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    where = given.format(tmp_path) if isinstance(given, str) else given

    with RunStore(where) as store:
        assert store.url == f"sqlite:///{tmp_path}/runs/probe.db"
    assert (tmp_path / "runs" / "probe.db").is_file()


def test_a_store_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """os.chdir in a notebook does not take the runs along."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with RunStore("runs.db") as store:
        monkeypatch.chdir(tmp_path / "elsewhere")
        store.close()  # the next look opens it again
        assert store.headings() == []

    assert [path.name for path in tmp_path.rglob("*.db")] == ["runs.db"]


def test_three_slashes_too_few_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """sqlite:///srv/runs.db is a folder srv below this one; the message gives the address that was meant."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    slashed = f"{tmp_path}/there/runs.db"

    with pytest.raises(StoreError, match=r"an absolute path has four slashes: sqlite:///" + slashed):
        RunStore(f"sqlite://{slashed}")
    with pytest.raises(StoreError, match=r"the folder .*/nowhere is not there.*make it, or give another"):
        RunStore("nowhere/runs.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there"]
