"""The package on disk: where it goes, what it replaces, what it says, and that it installs."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

import labkit
from labkit.errors import ExportRefused
from labkit.export.exported import Exported


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
    assert project["dependencies"][0] == f"labkit=={labkit.__version__}"
    assert [r.partition("==")[0].lower() for r in project["dependencies"][1:]] == ["jinja2", "pydantic"]
    assert call.fingerprint in readme and all(version in readme for version in call.versions.values())
    assert "triage(text=...)" in readme
    assert marker["versions"] == dict(call.versions)


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

    environment = tmp_path / "service"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)}))
    here = [sysconfig.get_path("purelib"), str(Path(labkit.__file__).parents[1])]
    (site / "shared.pth").write_text("".join(f"{path}\n" for path in here))
    python = environment / "bin" / "python"
    install = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        exported.directory,
    ]
    subprocess.run(install, check=True, cwd=tmp_path)
    script = (
        "import json, sys, triage_feature as t; "
        "print(json.dumps([t.FINGERPRINT, t.triage.fingerprint, t.__file__, "
        "[t.triage(text=x).data() for x in json.loads(sys.argv[1])]]))"
    )
    done = subprocess.run(
        [python, "-c", script, json.dumps(asked)], check=True, cwd=tmp_path, capture_output=True, text=True
    )
    stated, fingerprint, file, answers = json.loads(done.stdout)

    assert Path(file).is_relative_to(site)
    assert stated == fingerprint == notebook["triage"].fingerprint
    assert answers == [notebook["triage"](text=text).data() for text in asked]


def test_a_call_that_needs_litellm_asks_for_it(notebook):
    """A service that installs the package can reach the provider."""
    exported = notebook.call("fallbacks=['anthropic/claude-3-5-haiku-latest']").package()

    project = tomllib.loads((exported.directory / "pyproject.toml").read_text())["project"]
    assert project["dependencies"][0] == f"labkit[litellm]=={labkit.__version__}"
