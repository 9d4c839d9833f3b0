"""Whether the written package makes the same objects: imported by a clean interpreter, compared part by part."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labkit.call.guarded import GuardedCall
from labkit.errors import ExportRefused
from labkit.export.cells import Session
from labkit.export.closure import Closure
from labkit.export.likeness import Likeness, first_difference
from labkit.export.rendering import Rendered
from labkit.export.timeline import Timeline

__all__ = ["describe_module", "verify"]

_IMPORT_TIMEOUT_S = 120.0
_RUN = """
import sys
src, module, report, labkit, *installed = sys.argv[1:]
sys.path += [path for path in installed if path not in sys.path]
sys.path[:0] = [src] if labkit in sys.path else [src, labkit]
from labkit.export.verify import describe_module
describe_module(module, report)
"""


def verify(
    src: Path, module: str, *, closure: Closure, timeline: Timeline, session: Session, written: Rendered
) -> None:
    """Import *module* from *src* in a subprocess and compare every name that it shares with the live session.

    The interpreter is isolated: no environment variables of Python, no user site, an empty working directory; the
    installed packages and labkit stay visible. Names whose session value came later than the exported one are left out.

    Raises:
        ExportRefused: It does not import, or something differs; names the first such part and its cell.
    """
    described = _describe_in_subprocess(src, module)
    if (error := described.get("error")) is not None:
        statement = written.origins.get(error["line"] or 0)
        where = f" at {statement.place}" if statement is not None else ""
        raise ExportRefused(
            f"{closure.name}: the package was written and does not import: {error['message']}{where}. "
            "In the session this worked with something that no statement it needs has made: an object that a function "
            "changed, a patched module, an earlier file. Make it in one statement that says all of it."
        )
    likeness = Likeness(session.module)
    kept = set(closure.kept)
    for statement in closure.kept:
        for name in sorted(closure.wanted[statement]):
            latest = timeline.latest(name)
            if name not in session.namespace or latest is None or timeline.first_like(latest) not in kept:
                continue
            live = json.loads(json.dumps(likeness.of(session.namespace[name])))
            difference = first_difference(live, described["names"].get(name, _MISSING))
            if difference is None:
                continue
            if isinstance(session.namespace[name], GuardedCall):
                _refuse_call(session.namespace[name], described["names"].get(name, _MISSING), statement.place)
            path, here, there = difference
            raise ExportRefused(
                f"{statement.place}: `{name}` is not the same in the package" + (f", at {path}" if path else "") + ": "
                f"{_short(here)} here, {_short(there)} there. Something else changed it, or it comes out differently "
                "each time. Make it in one statement, with fixed values: a literal, a seed, "
                f"or {name} = export.embed(...) for data."
            )


def describe_module(module: str, report: str) -> None:
    """Import *module* and write a description of its names, or its error, to the file *report*.

    Runs in the subprocess.
    """
    try:
        loaded = importlib.import_module(module)
    except BaseException as error:  # also SystemExit: a module that exits on import is no package
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename.endswith(_file_of(module))]
        message = f"{type(error).__name__}: {error}"
        result: dict[str, Any] = {"error": {"message": message, "line": lines[-1] if lines else None}}
    else:
        likeness = Likeness(module)
        names = {name: value for name, value in vars(loaded).items() if not name.startswith("__")}
        result = {"names": {name: likeness.of(value) for name, value in names.items()}}
    Path(report).write_text(json.dumps(result), encoding="utf-8")


_MISSING = {"missing": True}


def _describe_in_subprocess(src: Path, module: str) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as reports:
        report = Path(reports) / "report.json"
        # records are for real calls: a sink that is opened on import would make files and connections
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LABKIT_"))}
        # -I keeps the current directory, PYTHONPATH and the user's site away; -B leaves no bytecode in the package
        command = [sys.executable, "-I", "-B", "-c", _RUN, str(src), module, str(report), *_installed()]
        try:
            done = subprocess.run(
                command, cwd=empty, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=_IMPORT_TIMEOUT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            message = f"the import took longer than {_IMPORT_TIMEOUT_S:.0f} s"
            return {"error": {"message": message, "line": None}}
        if not report.exists():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return {"error": {"message": f"Python ended with code {done.returncode}: {last}", "line": None}}
        described: Mapping[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return described


def _installed() -> list[str]:
    """Where this labkit is, which must be the one that is compared with, and this interpreter's packages."""
    places = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    return [str(Path(__file__).resolve().parents[2]), *places]


def _file_of(module: str) -> str:
    return os.path.join(*module.split(".")) + ".py"


def _refuse_call(call: GuardedCall[Any], there: Mapping[str, Any], place: str) -> None:
    versions = there.get("versions", {})
    parts = [part for part, version in call.versions.items() if versions.get(part) != version]
    raise ExportRefused(
        f"{place}: {call.name!r} is not the same call in the package: its {', '.join(parts) or 'name'} differs. "
        f"Something that {parts[0] if parts else 'it'} is made of has changed since the call was made, or comes out "
        "differently each time. Run the cell that makes the call again, and measure it again; if it still differs, "
        "give it fixed values."
    )


def _short(thing: Any) -> str:
    text = json.dumps(thing, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
