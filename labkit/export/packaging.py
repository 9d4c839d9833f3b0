"""``export.package``: from a live call to a verified package on disk, or a refusal that leaves nothing behind."""

from __future__ import annotations

import ast
import hashlib
import json
import keyword
import platform
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labkit.call.guarded import GuardedCall
from labkit.errors import ExportRefused
from labkit.export.cells import Session, sessions_holding, watch
from labkit.export.closure import Closure, close_over
from labkit.export.credentials import secret_in_data
from labkit.export.embed import check_json, embedded_name
from labkit.export.exported import Exported
from labkit.export.imports import distributions_of, imported_modules
from labkit.export.project import Project, files_of
from labkit.export.refusals import refusals
from labkit.export.rendering import LOAD, render
from labkit.export.requirements import requirements_of
from labkit.export.statements import Statement, statements_of
from labkit.export.timeline import Timeline
from labkit.export.verify import verify
from labkit.export.wheel import runtime_wheel

__all__ = ["package"]

_MARKER = "labkit-export.json"


def package(call: GuardedCall[Any], directory: str | Path) -> Exported:
    """Write *call* and the code it was made from as an installable package.

    The code is that of the notebook's executed cells, or of the module or script that holds the call: only the
    statements that the call needs. The package is then imported by a clean interpreter and compared with the live
    objects, before it is moved to its place.

    Args:
        call: Bound to a top-level name.
        directory: Its last part names the package: "dist/triage_feature" is imported as ``triage_feature``. May hold
            an earlier export, which is replaced, and nothing else.

    Raises:
        ExportRefused: With the cell, the line and the mend; *directory* is then as it was before.
    """
    watch()
    if not isinstance(call, GuardedCall):
        raise ExportRefused(f"package() takes a GuardedCall, and was given a {type(call).__name__}")
    target = Path(directory).resolve()
    module = _module_name(target)
    _check_target(target)
    session, timeline, name = _find(call)
    closure = close_over(name, timeline, is_given=lambda statement: embedded_name(statement, timeline) is not None)
    if closure is None:
        raise ExportRefused(_nameless(call))
    if found := refusals(closure, timeline, session.namespace):
        raise ExportRefused(f"`{name}` cannot leave the notebook yet:" + "".join(f"\n  {refusal}" for refusal in found))
    modules = _modules(closure, timeline)
    if module in {used.partition(".")[0] for used in modules}:
        raise ExportRefused(
            f"the package would be called {module}, which its own code imports: name {target} differently"
        )
    data = _data(closure, timeline, session.namespace)

    def data_of(statement: Statement) -> str | None:
        embedded = embedded_name(statement, timeline)
        return f'{embedded} = {LOAD}("{embedded}")' if embedded else None

    head = (
        f'"""The guarded call {call.name}, as its notebook made it. Written by labkit: change the notebook instead."""'
    )
    written = render(closure, head=head, futures=_futures(timeline), data_of=data_of)
    project = Project(
        module=module,
        name=name,
        call=call,
        public=_public(call, closure, session.namespace),
        code=written.text,
        data=data,
        requirements=requirements_of(call, distributions_of(modules)),
    )
    wheel, content = runtime_wheel()
    files = {path: text.encode("utf-8") for path, text in files_of(project).items()} | {f"wheels/{wheel}": content}
    files[_MARKER] = _marker(project, files)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as beside:
        fresh = Path(beside) / "fresh"
        _write(files, fresh)
        verify(fresh / "src", f"{module}.feature", closure=closure, timeline=timeline, session=session, written=written)
        _replace(target, fresh, aside=Path(beside) / "replaced")
    return Exported(
        directory=target, module=module, name=name, fingerprint=call.fingerprint, files=tuple(sorted(files))
    )


def _find(call: GuardedCall[Any]) -> tuple[Session, Timeline, str]:
    """The session that made *call*, and the name it gave it first."""
    imported = False
    for session, names in sessions_holding(call):
        timeline = Timeline(statements_of(session.cells))
        binders = [(binder.order, name) for name in names if (binder := timeline.latest(name)) and not binder.is_import]
        if binders:
            return session, timeline, min(binders)[1]
        imported = True
    if imported:
        raise ExportRefused(
            f"{_nameless(call)} Its name here is bound by no statement that was executed: exec or a magic made it."
        )
    raise ExportRefused(_nameless(call))


def _nameless(call: GuardedCall[Any]) -> str:
    return (
        f"no cell, module or script has the call {call.name!r} under a top-level name. "
        f"Write {re.sub(r'[^a-z0-9]', '_', call.name.lower())} = GuardedCall(...) in a cell, and run it."
    )


def _module_name(target: Path) -> str:
    module = re.sub(r"[^a-z0-9]+", "_", target.name.lower()).strip("_")
    if (
        not module.isidentifier()
        or keyword.iskeyword(module)
        or module in {*sys.stdlib_module_names, "labkit", "tests"}
    ):
        raise ExportRefused(
            f"{target.name!r} cannot be the name of a package: end the directory with one like triage_feature"
        )
    return module


def _check_target(target: Path) -> None:
    """Refuse to replace what somebody else wrote, or changed since.

    Raises:
        ExportRefused: Naming the first such file.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    marker = target / _MARKER
    try:
        written: dict[str, str] = json.loads(marker.read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ExportRefused(
            f"{target} exists and is no export of labkit's (it has no {_MARKER}): "
            "choose another directory, or move it away"
        ) from None
    for path in sorted(path for path in target.rglob("*") if path.is_file() and path != marker):
        inside = path.relative_to(target)
        if _BUILT & set(inside.parts) or any(part.endswith(".egg-info") for part in inside.parts):
            continue
        if written.get(inside.as_posix()) != hashlib.sha256(path.read_bytes()).hexdigest():
            raise ExportRefused(
                f"{path} was added or edited since labkit wrote {target}, and would be lost: move it away, "
                "make the change in the notebook, or choose another directory"
            )


_BUILT = frozenset({"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", "build", "dist"})


def _data(closure: Closure, timeline: Timeline, namespace: Mapping[str, Any]) -> dict[str, str]:
    data = {}
    for statement in closure.kept:
        name = embedded_name(statement, timeline)
        if name is None:
            continue
        if name not in namespace:
            raise ExportRefused(f"{statement.place}: `{name}` was embedded and then deleted: run the cell again")
        check_json(namespace[name], name)
        data[name] = json.dumps(namespace[name], ensure_ascii=False, indent=1) + "\n"
        if (what := secret_in_data(namespace[name])) is not None:
            raise ExportRefused(
                f"{statement.place}: `{name}` holds what looks like a secret ({what}), which would be published "
                "with the package: leave it out of what is embedded"
            )
    return data


def _modules(closure: Closure, timeline: Timeline) -> list[str]:
    used = (s for s in closure.kept if embedded_name(s, timeline) is None)
    return sorted({module for statement in used for module in imported_modules(statement.node)})


def _futures(timeline: Timeline) -> list[str]:
    imported = (
        s.node for s in timeline.statements if isinstance(s.node, ast.ImportFrom) and s.node.module == "__future__"
    )
    return sorted({alias.name for node in imported for alias in node.names})


def _public(call: GuardedCall[Any], closure: Closure, namespace: Mapping[str, Any]) -> list[str]:
    bound = {name for names in closure.wanted.values() for name in names}
    return sorted(name for name in bound if any(namespace.get(name) is thing for thing in (call.input, call.output)))


def _marker(project: Project, files: Mapping[str, bytes]) -> bytes:
    marker = {
        "call": project.call.name,
        "module": project.module,
        "fingerprint": project.call.fingerprint,
        "versions": dict(project.call.versions),
        "measured with": {"python": platform.python_version(), **{r.name: r.version for r in project.requirements}},
        "files": {path: hashlib.sha256(content).hexdigest() for path, content in files.items()},
    }
    return (json.dumps(marker, indent=2) + "\n").encode("utf-8")


def _replace(target: Path, fresh: Path, *, aside: Path) -> None:
    if not target.exists():
        fresh.rename(target)
        return
    target.rename(aside)
    try:
        fresh.rename(target)
    except OSError:
        aside.rename(target)
        raise


def _write(files: Mapping[str, bytes], directory: Path) -> None:
    for path, content in files.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
