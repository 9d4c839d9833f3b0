"""Run what depends on the version of Python on every other supported Python of this machine.

    python tests/other_pythons.py

The tests of the export, of fingerprints and of imports, in an environment of its own for each (``.venv-3.12``), which
is kept until requirements-compat.lock or pyproject.toml changes. Ends with 1 when a test fails, 0 when there is no
other Python to try.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements-compat.lock"
MINORS = range(11, 15)
TESTS = ["tests/export", "tests/call/test_fingerprint.py", "tests/test_architecture.py"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Python:
    """An interpreter that starts.

    Args:
        version: (3, 12, 1).
    """

    version: tuple[int, int, int]
    path: Path

    @property
    def minor(self) -> str:
        return f"3.{self.version[1]}"

    @property
    def environment(self) -> Path:
        return ROOT / f".venv-{self.minor}"

    def __str__(self) -> str:
        return f"Python {'.'.join(map(str, self.version))} ({self.path})"


def main() -> int:
    found = others(pythons())
    if not found:
        tried = ", ".join(f"3.{minor}" for minor in MINORS if minor != sys.version_info.minor)
        print(f"No other Python found ({tried} were looked for on the PATH and under pyenv): nothing else was tested.")
        return 0
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        failed = 0
        for python, (ok, said) in zip(found, pool.map(tested, found), strict=True):
            print(f"{python}: {said}", flush=True)
            failed += not ok
    return 1 if failed else 0


def others(found: Sequence[Python]) -> list[Python]:
    """The newest of each minor version but the one that runs this."""
    newest = {python.minor: python for python in sorted(found)}
    newest.pop(f"3.{sys.version_info.minor}", None)
    return list(newest.values())


def pythons() -> list[Python]:
    """Whatever starts: a shim of pyenv does not, unless its version is switched on."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = []
    for minor in MINORS:
        on_path = (Path(place) / f"python3.{minor}" for place in os.environ.get("PATH", "").split(os.pathsep) if place)
        candidates += [*on_path, *versions.glob(f"3.{minor}.*/bin/python3.{minor}")]
    return [python for path in dict.fromkeys(candidates) for python in started(path)]


def started(path: Path) -> Iterator[Python]:
    code = "import sys, venv, ensurepip; print(*sys.version_info[:3])"
    if not os.access(path, os.X_OK):
        return
    done = subprocess.run([path, "-I", "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode == 0:
        major, minor, patch = map(int, done.stdout.split())
        yield Python(version=(major, minor, patch), path=path)
    elif "ensurepip" in done.stderr or "venv" in done.stderr:
        print(f"{path}: left out, it cannot make environments ({done.stderr.strip().splitlines()[-1]})", flush=True)


def tested(python: Python) -> tuple[bool, str]:
    """Make the environment where it is not there, and run the tests; whether they passed, and what to print."""
    if (fault := made(python)) is not None:
        return False, f"no environment\n{fault}"
    command = [python.environment / "bin" / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    ok, said = ran(command)
    summary = re.sub(r"^=+ | =+$", "", said.strip().splitlines()[-1])
    return ok, summary if ok else f"failed\n{said}"


def made(python: Python) -> str | None:
    """Make the environment as the lock wants it; what went wrong, None when nothing did."""
    ready = python.environment / "ready"
    wanted = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes() + str(python).encode())
    if ready.is_file() and ready.read_text(encoding="utf-8") == wanted.hexdigest():
        return None
    shutil.rmtree(python.environment, ignore_errors=True)
    install = [python.environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps"]
    steps: list[list[str | Path]] = [
        [python.path, "-m", "venv", python.environment],
        [*install, "--require-hashes", "-r", LOCK],
        [*install, "--no-build-isolation", "--editable", ROOT],
    ]
    for step in steps:
        ok, said = ran(step)
        if not ok:
            return said
    ready.write_text(wanted.hexdigest(), encoding="utf-8")
    return None


def ran(command: Sequence[str | Path]) -> tuple[bool, str]:
    """Run *command* in the project; what this Python was told by its own environment does not concern another."""
    own = ("PYTHON", "PYENV_VERSION", "VIRTUAL_ENV", "COV_", "PYTEST_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    return done.returncode == 0, done.stdout


if __name__ == "__main__":
    sys.exit(main())
