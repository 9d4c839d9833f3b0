"""Values that go along as data, so that the package need not read what the notebook read."""

from __future__ import annotations

import json
import math

import pytest

from labkit import export
from labkit.errors import ExportRefused


@pytest.mark.parametrize("value", [[{"text": "a", "n": 1}], "ü\ud800", 1.5, True, None, {}])
def test_json_data_is_given_back_as_it_is(value):
    """In the notebook ``embed`` does nothing but check."""
    assert export.embed(value) is value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([{"pair": (1, 2)}], "value[0]['pair'] is a builtins.tuple"),
        ({"a": {1: "b"}}, "a key of value['a'] is 1, a int"),
        ([math.nan], "value[0] is nan"),
        ([{1, 2}], "value[0] is a builtins.set"),
    ],
)
def test_what_json_would_change_is_refused_by_its_path(value, said):
    """A tuple would come back as a list, a key as a string."""
    with pytest.raises(ExportRefused) as refused:
        export.embed(value)
    assert said in str(refused.value)


def test_a_value_that_contains_itself_is_refused():
    """It would never end."""
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(ExportRefused, match="contains itself"):
        export.embed(loop)


@pytest.mark.parametrize(
    ("imported", "written"),
    [
        ("from labkit import export", "export.embed"),
        ("import labkit.export as ex", "ex.embed"),
        ("from labkit.export import embed as keep", "keep"),
        ("import labkit.export", "labkit.export.embed"),
    ],
)
def test_an_embedded_value_becomes_a_file_of_the_package(notebook, tmp_path, imported, written):
    """The file that it was read from, and the code that read it, stay behind."""
    file = tmp_path / "rows.json"
    file.write_text(json.dumps([{"text": "wo ist die Karte — ü?", "intent": "card"}]))
    notebook.run(
        imported,
        f"from pathlib import Path\nimport json\npath = Path({str(file)!r})",
        f"examples = {written}(\n    json.loads(path.read_text())\n)",
    )
    notebook.call(prompt="'{% for e in examples %}{{ e.text }} {% endfor %}', values={'examples': examples}")

    exported = notebook.package()

    code = (exported.directory / "src/triage_feature/feature.py").read_text()
    data = exported.directory / "src/triage_feature/data/examples.json"
    assert json.loads(data.read_text(encoding="utf-8")) == notebook["examples"]
    assert "path" not in code and "import json" not in code and "embed(" not in code
    assert "src/triage_feature/data/examples.json" in exported.files


def test_an_awaited_value_can_be_embedded(notebook):
    """The mend that the refusal of a top-level await names is one that works."""
    notebook.run("import asyncio\nfloor = export.embed(await asyncio.sleep(0, 3))")
    notebook.call("rules=[lambda value, ticket: value if floor else None]")

    assert "await" not in notebook.code()


def test_an_embedded_value_that_changes_afterwards_is_refused(notebook):
    """The file would hold the change, and the module would make it a second time."""
    notebook.run("words = export.embed(['lost'])", "words.append('stolen')")
    notebook.call("rules=[lambda value, ticket: value if words else None]")

    message = notebook.refusal()

    assert "`words` is embedded as data, and In[3], line 1 changes it afterwards" in message


def test_an_embedded_value_that_is_no_json_any_more_is_refused(notebook):
    """An alias put something else into it."""
    notebook.run("words = export.embed(['lost'])\nalias = words", "alias.append({1})")
    notebook.call("rules=[lambda value, ticket: value if words else None]")

    assert "words[1] is a builtins.set" in notebook.refusal()


def test_a_secret_in_embedded_data_is_refused(notebook):
    """Data is published with the package as code is."""
    notebook.run("rows = export.embed([{'text': 'key is ' + 'sk-' + 'a1b2c3d4e5' * 3}])")
    notebook.call("rules=[lambda value, ticket: value if rows else None]")

    message = notebook.refusal()
    assert "`rows` holds what looks like a secret (api-key)" in message and "a1b2" not in message
