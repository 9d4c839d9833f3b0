"""The package on disk: where it goes, what it replaces, what it says, and that it installs."""

from __future__ import annotations

import ast
import base64
import csv
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pydantic
import pytest

import labkit
from labkit.errors import ExportRefused
from labkit.export.exported import Exported
from labkit.export.imports import imported_modules
from labkit.export.requirements import Requirement
from labkit.export.wheel import runtime_wheel

LARGE = "another Python is tested without litellm, which is 200 MB"


def test_a_new_export_replaces_the_one_before(notebook):
    """What the old one had and the new one does not is gone."""
    notebook.run("words = export.embed(['lost'])")
    notebook.call("rules=[lambda value, ticket: value if words else None]")
    first = notebook.package()
    notebook.call()
    second = notebook.package()

    assert first.fingerprint != second.fingerprint
    assert not (second.directory / "src/triage_feature/data").exists()
    assert sorted(str(p.relative_to(second.directory)) for p in second.directory.rglob("*") if p.is_file()) == list(
        second.files
    )
    assert list(second.directory.parent.iterdir()) == [second.directory]


def test_a_refused_export_leaves_the_one_before_alone(notebook):
    """Nothing half-written ever stands at the target."""
    first = notebook.call().package()
    before = {path: (first.directory / path).read_bytes() for path in first.files}
    notebook.run("import random\nsalt = random.random()")
    notebook.call("rules=[lambda value, ticket: value if salt else None]")

    with pytest.raises(ExportRefused, match="salt"):
        notebook.package()

    assert {path: (first.directory / path).read_bytes() for path in first.files} == before
    assert list(first.directory.parent.iterdir()) == [first.directory]


def test_a_directory_of_somebody_else_is_not_touched(notebook):
    """A typing mistake in the path must not cost a folder."""
    notebook.directory.mkdir()
    (notebook.directory / "thesis.txt").write_text("years of work")

    with pytest.raises(ExportRefused, match=r"is no export of labkit's"):
        notebook.call().package()

    assert (notebook.directory / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("file", ["README.md", "src/triage_feature/notes.md"])
def test_a_file_that_was_edited_or_added_is_not_lost(notebook, file):
    """An export on top of an edited one says so instead of replacing it."""
    exported = notebook.call().package()
    (exported.directory / file).write_text("by hand")

    with pytest.raises(ExportRefused, match="was added or edited since"):
        notebook.package()

    assert (exported.directory / file).read_text() == "by hand"


@pytest.mark.parametrize("name", ["json", "labkit", "class", "1st", "pydantic"])
def test_a_directory_that_cannot_name_a_package_is_refused(notebook, name):
    """It could not be imported, or something else could not any more."""
    notebook.directory = notebook.directory.with_name(name)

    assert "triage_feature" in notebook.call().refusal() or "name" in notebook.call().refusal()


def test_the_package_says_what_it_is(notebook):
    """Fingerprint, versions and requirements can be read without running anything."""
    notebook.run("import jinja2").call("rules=[lambda value, ticket: value if jinja2 else None]")
    exported = notebook.package()
    call = notebook["triage"]

    project = tomllib.loads((exported.directory / "pyproject.toml").read_text())["project"]
    readme = (exported.directory / "README.md").read_text()
    marker = json.loads((exported.directory / "labkit-export.json").read_text())
    assert project["name"] == "triage-feature"
    assert project["version"] == f"0.1.0+fp{call.fingerprint[:12]}"
    assert call.fingerprint in readme and all(version in readme for version in call.versions.values())
    assert "triage(text=...)" in readme
    assert marker["versions"] == dict(call.versions)


def test_the_package_takes_what_was_measured_up_to_what_may_break_it(notebook):
    """Two packages of different days fit into one service, and take its security updates; what was measured is told."""
    notebook.run("import jinja2").call("rules=[lambda value, ticket: value if jinja2 else None]")
    exported = notebook.package()

    project = tomllib.loads((exported.directory / "pyproject.toml").read_text())["project"]
    readme = (exported.directory / "README.md").read_text()
    measured = json.loads((exported.directory / "labkit-export.json").read_text())["measured with"]
    assert project["dependencies"] == ["labkit-llm>=0.1,<0.2", "Jinja2>=3.1,<4", "pydantic>=2.14,<3"]
    assert measured["python"] == platform.python_version()
    assert measured["labkit-llm"] == labkit.__version__ and measured["pydantic"] == pydantic.VERSION
    assert f"| pydantic | {pydantic.VERSION} | `pydantic>=2.14,<3` |" in readme


@pytest.mark.parametrize(
    ("version", "requirement"),
    [
        ("2.14.3", "x>=2.14,<3"),
        ("0.29.1", "x>=0.29,<0.30"),
        ("3", "x>=3.0,<4"),
        ("2.1.0+cpu", "x>=2.1,<3"),
        ("2.0.0rc1", "x>=2.0.0rc1,<3"),
        ("2026.4.1", "x>=2026.4"),
        ("1!2.0", "x==1!2.0"),
    ],
)
def test_a_range_begins_with_what_was_measured(version, requirement):
    """A release candidate is older than its release, and a year promises nothing about the next one."""
    assert str(Requirement(name="x", version=version)) == requirement


def test_no_word_of_the_package_leads_to_somebody_elses_labkit(notebook):
    """The distribution is labkit-llm; the name labkit on the index belongs to a stranger."""
    exported = notebook.call().package()

    told = [repr(exported), exported._repr_html_(), exported.install_command]
    told += [(exported.directory / path).read_text() for path in exported.files if not path.endswith(".whl")]
    assert not any(re.search(r"(install|==|>=|\")\s*labkit(?!-llm|\.|-export|_)", text) for text in told)
    assert "pip install --find-links wheels ." in (exported.directory / "README.md").read_text()


def test_the_report_shows_untrusted_names_as_text():
    """A directory may be called anything."""
    exported = Exported(directory=Path("/tmp/<script>"), module="m", name="triage", fingerprint="f" * 64, files=("a",))

    assert "<script>" not in exported._repr_html_()
    assert "&lt;script&gt;" in exported._repr_html_()
    assert "from m import triage" in repr(exported)


def test_the_package_installs_and_answers_like_the_live_call(notebook, tmp_path):
    """pip builds it, a service imports it, and the answers are those of the notebook."""
    notebook.run(
        "examples = export.embed([{'text': 'my card', 'intent': 'card'}, {'text': 'nice day', 'intent': 'other'}])",
        "def stolen_is_urgent(value: Triage, ticket: Ticket) -> Triage | lk.Reject:\n"
        "    return value.model_copy(update={'urgency': 5}) if 'stolen' in ticket.text else value",
        "triage = lk.GuardedCall('triage', input=Ticket, output=Triage, model='offline/nearest',\n"
        "    rules=[stolen_is_urgent],\n"
        "    prompt=lk.Prompt(system='{% for e in examples %}\"{{ e.text }}\" -> {{ e.intent }}\\n{% endfor %}',\n"
        "                     user='Message: {{ input.text }}', values={'examples': examples}))",
    )
    exported = notebook.package()
    asked = ["where did my card go", "my card was stolen", "such a nice day", " \u00a0", "{{ 7*7 }}"]

    service = Service(tmp_path / "service")
    service.pip("install", "--find-links", exported.directory / "wheels", exported.directory)
    script = (
        "import json, sys, triage_feature as t; "
        "print(json.dumps([t.FINGERPRINT, t.triage.fingerprint, t.__file__, sys.modules['labkit'].__file__, "
        "[t.triage(text=x).data() for x in json.loads(sys.argv[1])]]))"
    )
    done = service.python("-c", script, json.dumps(asked))
    stated, fingerprint, file, runtime, answers = json.loads(done)

    assert Path(file).is_relative_to(service.site) and Path(runtime).is_relative_to(service.site)
    assert stated == fingerprint == notebook["triage"].fingerprint
    assert answers == [notebook["triage"](text=text).data() for text in asked]


def test_a_call_that_needs_litellm_asks_for_it(notebook):
    """A service that installs the package can reach the provider."""
    pytest.importorskip("litellm", reason=LARGE)
    exported = notebook.call("fallbacks=['anthropic/claude-3-5-haiku-latest']").package()

    assert requirements(exported)[0] == "labkit-llm[litellm]>=0.1,<0.2"


def test_a_variant_asks_for_what_it_needs(notebook):
    """The flag may choose it on the first day."""
    pytest.importorskip("litellm", reason=LARGE)
    notebook.call("flags={'model': {'ours': {}, 'theirs': {'model': 'anthropic/claude-3-5-haiku-latest'}}}")

    assert requirements(notebook.package())[0] == "labkit-llm[flags,litellm]>=0.1,<0.2"


@pytest.mark.parametrize(
    "source", ["from pydantic import BaseModel, EmailStr", "class A(pydantic.BaseModel): a: pydantic.EmailStr"]
)
def test_an_address_as_a_field_asks_for_its_validator(source):
    """pydantic imports it only when such a field is defined, and does not require it."""
    assert "email_validator" in imported_modules(ast.parse(source))


def requirements(exported: Exported) -> list[str]:
    project = tomllib.loads((exported.directory / "pyproject.toml").read_text())["project"]
    found: list[str] = project["dependencies"]
    return found


# --- the wheel --------------------------------------------------------------------------------------------------------


def test_the_wheel_is_complete_and_always_the_same():
    """Every file of it stands in its record with its hash, as an installer checks."""
    name, content = runtime_wheel()

    assert (name, content) == runtime_wheel()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        record = f"labkit_llm-{labkit.__version__}.dist-info/RECORD"
        rows = list(csv.reader(archive.read(record).decode().splitlines()))
        assert [row[0] for row in rows] == archive.namelist()
        for path, digest, size in rows:
            held = archive.read(path)
            told = "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(held).digest()).rstrip(b"=").decode()
            assert path == record or (digest, size) == (told, str(len(held)))
        assert "labkit/views/static/view.js" in archive.namelist()
        assert not any(".pyc" in path or "direct_url" in path for path in archive.namelist())
        assert "Name: labkit-llm\n" in archive.read(record.replace("RECORD", "METADATA")).decode()


SCRIPT = """
import sys
import labkit as lk
from labkit import export
from pydantic import BaseModel

class Ticket(BaseModel):
    text: str

triage = lk.GuardedCall("triage", input=Ticket, output=str, model="offline/nearest",
    prompt=lk.Prompt(user="{{ input.text }}"))
export.package(triage, sys.argv[1])
"""


def test_a_labkit_that_came_from_the_wheel_gives_the_same_wheel(tmp_path):
    """Exporting where labkit was installed from a package is exporting like everywhere else."""
    name, content = runtime_wheel()
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / name).write_bytes(content)
    service = Service(tmp_path / "service")
    service.pip("install", tmp_path / name)

    service.python(tmp_path / "script.py", tmp_path / "dist" / "triage_feature")

    assert (tmp_path / "dist/triage_feature/wheels" / name).read_bytes() == content


class Service:
    """A virtual environment that has all of this one's distributions but labkit, and no index to ask for others."""

    def __init__(self, directory: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
        self.directory = directory
        self.site = Path(sysconfig.get_path("purelib", vars={"base": str(directory), "platbase": str(directory)}))
        shared = directory / "shared"
        shared.mkdir()
        for entry in Path(sysconfig.get_path("purelib")).iterdir():
            if "labkit" not in entry.name and entry.suffix != ".pth":
                (shared / entry.name).symlink_to(entry)
        (self.site / "shared.pth").write_text(f"{shared}\n")

    def python(self, *arguments: str | Path) -> str:
        command = [self.directory / "bin" / "python", *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
        done = subprocess.run(command, cwd=self.directory.parent, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pip(self, verb: str, *arguments: str | Path) -> None:
        offline = ["--quiet", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
        self.python("-m", "pip", "--isolated", verb, *offline, *arguments)
