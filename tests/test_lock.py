"""An install that cannot rot: what is locked is what is installed, whatever has come out since."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from empty_wheels import wheel
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


# --- the lock and pyproject.toml --------------------------------------------------------------------------------------


def pins_of(lock: str) -> dict[str, Version]:
    """Give what *lock* holds for this machine, by canonical name."""
    lines = [line.rstrip(" \\") for line in lock.splitlines() if line and not line.startswith((" ", "#"))]
    found = [Requirement(line) for line in lines]
    here = [pin for pin in found if pin.marker is None or pin.marker.evaluate()]
    return {canonicalize_name(pin.name): Version(str(pin.specifier).removeprefix("==")) for pin in here}


def drift(project: Mapping[str, object], lock: str) -> list[str]:
    """Say where *lock* is not what *project* asks for, with all that follows from it on this machine."""
    pins = pins_of(lock)
    extras: Mapping[str, list[str]] = project["optional-dependencies"]  # type: ignore[assignment]
    direct: list[str] = project["dependencies"]  # type: ignore[assignment]
    wanted = [Requirement(line) for line in [*direct, *(line for lines in extras.values() for line in lines)]]
    reached: set[tuple[str, str]] = set()
    faults: list[str] = []
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name == project["name"]:
            continue
        if name not in pins:
            faults.append(f"{requirement} is asked for and not in the lock")
            continue
        if not requirement.specifier.contains(pins[name], prereleases=True):
            faults.append(f"{requirement} is asked for and the lock has {pins[name]}")
        for extra in ["", *requirement.extras]:
            if (name, extra) not in reached:
                reached.add((name, extra))
                wanted += _required_by(name, extra)
    unused = pins.keys() - {name for name, _ in reached}
    return faults + [f"{name} is in the lock and nothing asks for it" for name in sorted(unused)]


def _required_by(name: str, extra: str) -> Iterator[Requirement]:
    for line in importlib.metadata.requires(name) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def test_the_lock_is_what_pyproject_asks_for():
    """Complete, with every dependency of a dependency, and no package that nobody needs."""
    assert drift(PROJECT, LOCK) == []


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda p: p | {"dependencies": [*p["dependencies"], "left-pad>=1"]}, "left-pad>=1 is asked for and not in"),
        (lambda p: p | {"dependencies": ["pydantic>=99"]}, "pydantic>=99 is asked for and the lock has "),
        (lambda p: p | {"optional-dependencies": {}}, "papermill is in the lock and nothing asks for it"),
    ],
    ids=["a new dependency", "a higher floor", "a dropped extra"],
)
def test_a_change_of_pyproject_without_the_lock_is_found(edit, said: str):
    """The check names the package and what is wrong with it."""
    assert any(fault.startswith(said) for fault in drift(edit(PROJECT), LOCK))


def test_a_pin_that_went_missing_is_found():
    """Also one that only a dependency's dependency needs."""
    without = re.sub(r"(?m)^markupsafe==.*\n(    .*\n)+", "", LOCK)

    faults = drift(PROJECT, without)

    assert faults and all(fault.lower().startswith("markupsafe") and "not in the lock" in fault for fault in faults)


@pytest.mark.parametrize("path", sorted(ROOT.glob("requirements*.lock")), ids=lambda path: path.name)
def test_locks_hold_names_versions_and_hashes_only(path: Path):
    """No address of an index, no folder, no option: where packages come from is the machine's own business."""
    lines = path.read_text(encoding="utf-8").splitlines()

    pin = re.compile(r"[a-z0-9][a-z0-9._-]*(\[[a-z0-9,_-]+\])?==[\w.!+]+( ; [\w .'<>=!()]+)? \\")
    hashes = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert [line for line in lines if line and not pin.fullmatch(line) and not hashes.fullmatch(line)] == []
    assert any(pin.fullmatch(line) for line in lines)


def test_what_is_installed_is_what_is_locked():
    """The environment that runs these tests is the lock's."""
    installed = {name: Version(importlib.metadata.version(name)) for name in pins_of(LOCK)}

    assert installed == pins_of(LOCK)


# --- make setup -------------------------------------------------------------------------------------------------------


BACKEND = """
import pathlib, sys
sys.path.insert(0, {tests!r})
import empty_wheels
def build_editable(directory, config_settings=None, metadata_directory=None):
    empty_wheels.wheel(pathlib.Path(directory), "product", "1.0", ["beta[fast]>=1"])
    return "product-1.0-py3-none-any.whl"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project with this Makefile: it needs beta, which has an extra that needs alpha."""
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    (tmp_path / "backend.py").write_text(BACKEND.format(tests=str(ROOT / "tests")))
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "product"\nversion = "1.0"\n'
    )
    return tmp_path


def setup(project: Path, lock: Iterable[str]) -> subprocess.CompletedProcess[str]:
    (project / "requirements.lock").write_text("".join(lock))
    of_make = ("MAKE", "MFLAGS", "PIP_", "PYTHON", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(of_make)}
    return subprocess.run(
        ["make", "setup"],
        cwd=project,
        env=environment
        | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(project / "wheels"), "PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )


def installed_in(project: Path) -> dict[str, str]:
    [packages] = (project / ".venv/lib").glob("python*/site-packages")
    found = importlib.metadata.distributions(path=[str(packages)])
    return {each.name: each.version for each in found if each.name not in ("pip", "setuptools", "wheel")}


def test_newer_releases_change_nothing(project: Path):
    """A day after the lock was written a newer alpha, and a beta that needs something else, are offered too."""
    wheels = project / "wheels"
    lock = [wheel(wheels, "alpha", "1.0"), wheel(wheels, "beta", "1.0", ["alpha>=1; extra == 'fast'"])]
    wheel(wheels, "alpha", "2.0")
    wheel(wheels, "beta", "1.1", ["gamma"])

    done = setup(project, lock)

    assert done.returncode == 0, done.stdout + done.stderr
    assert installed_in(project) == {"alpha": "1.0", "beta": "1.0", "product": "1.0"}


def test_a_wheel_that_is_not_the_locked_one_is_refused(project: Path):
    """Same name and version, other contents: somebody replaced it."""
    lock = [wheel(project / "wheels", "beta", "1.0")]
    wheel(project / "wheels", "beta", "1.0", ["gamma"])

    done = setup(project, lock)

    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr


def test_a_lock_that_lacks_something_fails_the_setup_by_its_name(project: Path):
    """Instead of failing whoever imports it first."""
    done = setup(project, [wheel(project / "wheels", "beta", "1.0", ["gamma>=3"])])

    assert done.returncode != 0
    assert "beta 1.0 requires gamma, which is not installed" in done.stdout


def test_another_python_makes_the_environment_anew(project: Path):
    """What was installed for one version is no environment of another."""
    (project / ".venv").mkdir()
    (project / ".venv/pyvenv.cfg").write_text("version = 3.1\n")
    (project / ".venv/left-over").touch()
    (project / ".venv/ready-3.1").touch()

    done = setup(project, [wheel(project / "wheels", "beta", "1.0")])

    assert done.returncode == 0, done.stdout + done.stderr
    assert not (project / ".venv/left-over").exists()
