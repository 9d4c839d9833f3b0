"""The files of a package around one exported call. Nothing here touches the disk."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.call.guarded import GuardedCall
from labkit.export.requirements import Requirement

__all__ = ["Project", "files_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What a package is made of.

    Args:
        module: Its import name.
        name: The call's name in it.
        public: Names that the package offers beside the call: its input and output models.
        code: The text of ``feature.py``.
        data: JSON text by the name that was embedded.
        requirements: labkit's own first.
    """

    module: str
    name: str
    call: GuardedCall[Any]
    public: Sequence[str]
    code: str
    data: Mapping[str, str]
    requirements: Sequence[Requirement]


def files_of(project: Project) -> dict[str, str]:
    """Give every file's text by its path below the package's directory."""
    src = f"src/{project.module}"
    files = {
        "pyproject.toml": _pyproject(project),
        "README.md": _readme(project),
        f"{src}/__init__.py": _init(project),
        f"{src}/feature.py": project.code,
        f"{src}/py.typed": "",
        f"tests/test_{project.module}.py": _smoke_test(project),
    }
    if project.data:
        files[f"{src}/data/__init__.py"] = _DATA
        files |= {f"{src}/data/{name}.json": text for name, text in project.data.items()}
    return dict(sorted(files.items()))


def _pyproject(project: Project) -> str:
    requirements = "".join(f"    {json.dumps(str(requirement))},\n" for requirement in project.requirements)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    # a version of its own for every fingerprint, so that an installed package can be told from its predecessor
    return f"""\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "{project.module.replace("_", "-")}"
version = "0.1.0+fp{project.call.fingerprint[:12]}"
description = "The guarded call {project.call.name}, exported by labkit"
readme = "README.md"
requires-python = ">={python}"
dependencies = [
{requirements}]

[tool.hatch.build.targets.wheel]
packages = ["src/{project.module}"]
"""


def _readme(project: Project) -> str:
    call = project.call
    fields = ", ".join(f"{name}=..." for name in call.input.model_fields)
    versions = "\n".join(f"| {part} | `{version}` |" for part, version in call.versions.items())
    measured = "\n".join(f"| {r.name} | {r.version} | `{r}` |" for r in project.requirements)
    return f"""\
# {project.module}

The guarded call `{call.name}`, exported from a notebook by labkit and verified against the live object.

    pip install --find-links wheels .

    from {project.module} import {project.name}

    result = {project.name}({fields})           # or: await {project.name}.acall(...)
    result.value, result.source, result.degraded

A call never raises for what a provider or a network did: look at `result.reason`, or use `result.unwrap()`.
Model: `{call.model}`; its key comes from the provider's environment variable. Records go where `LABKIT_RECORDS` says.

`wheels/` holds the labkit that the call was measured with; everything else comes from your package index.

## What it is

Fingerprint `{call.fingerprint}`

| part | SHA-256 |
|---|---|
{versions}

| measured with | version | declared |
|---|---|---|
| Python | {platform.python_version()} | `>={sys.version_info.major}.{sys.version_info.minor}` |
{measured}

`pytest` checks that the installed package still has this fingerprint. To change the call, change the notebook and
export it again: an edited file is not overwritten.
"""


def _init(project: Project) -> str:
    names = sorted({project.name, *project.public})
    return f'''\
"""The guarded call {project.call.name}, exported by labkit."""

from {project.module}.feature import {", ".join(names)}

__all__ = {json.dumps(sorted(["FINGERPRINT", *names]))}

FINGERPRINT = "{project.call.fingerprint}"
"""Of the call as it was measured; ``{project.name}.fingerprint`` is that of the call as it is installed."""
'''


def _smoke_test(project: Project) -> str:
    return f'''\
"""Run with pytest once the package is installed."""

from {project.module} import FINGERPRINT, {project.name}


def test_the_installed_call_is_the_one_that_was_measured():
    """Another version of labkit, pydantic or Python must not change what was evaluated."""
    assert {project.name}.fingerprint == FINGERPRINT
'''


_DATA = '''\
"""Values that were embedded as data when the call was exported."""

import json
from importlib import resources
from typing import Any

__all__ = ["load"]


def load(name: str) -> Any:
    """Read *name*.json."""
    return json.loads(resources.files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
'''
