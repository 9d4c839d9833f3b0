"""What cannot leave a notebook is refused by cell and line, with the mend, and nothing is left behind."""

from __future__ import annotations

import pytest

RULE = "def rule(value, ticket):\n    return value if {} else None"


def test_a_model_that_was_redefined_after_its_use_names_the_cells_to_run_again(notebook):
    """The live call still has the old nested model: exporting the new one would not be what was measured."""
    notebook.run(
        "class Owner(BaseModel):\n    name: str",
        "class Ticket(BaseModel):\n    text: str\n    owner: Owner | None = None",
    ).call()
    notebook.run("class Owner(BaseModel):\n    name: str\n    age: int = 0")

    message = notebook.refusal()

    assert "In[3], line 1 (triage needs Ticket): built from the `Owner` of In[2], which In[5] has replaced" in message
    assert "re-run In[3], then In[4]" in message


def test_a_quoted_model_that_was_redefined_is_stale_too(notebook):
    """pydantic resolved the annotation when the class was made."""
    notebook.run(
        "class Owner(BaseModel):\n    name: str",
        "class Ticket(BaseModel):\n    text: str\n    owner: 'Owner | None' = None",
    ).call()
    notebook.run("class Owner(BaseModel):\n    nick: str")

    assert "built from the `Owner` of In[2], which In[5] has replaced" in notebook.refusal()


def test_a_prompt_formatted_from_an_old_value_is_stale(notebook):
    """An f-string keeps the value that it met."""
    notebook.run("tone = 'kind'", "system = f'Be {tone}. {{{{ input.text }}}}'").call(prompt="system").run(
        "tone = 'brief'"
    )

    message = notebook.refusal()

    assert "In[3], line 1 (triage needs system): built from the `tone` of In[2], which In[5] has replaced" in message
    assert "re-run In[3], then In[4]" in message


def test_a_rule_that_was_redefined_after_the_call_was_made_is_stale(notebook):
    """The call holds the old function; its cell must run again, after which the export goes through."""
    notebook.run(RULE.format("True")).call("rules=[rule]").run(RULE.format("ticket"))

    message = notebook.refusal()
    assert "In[3], line 1 (triage): built from the `rule` of In[2], which In[4] has replaced" in message

    notebook.call("rules=[rule]")
    assert "if ticket" in notebook.code()


def test_what_a_factory_looked_up_when_it_was_called_can_be_stale(notebook):
    """The factory ran with the old value; the name has another one now."""
    notebook.run(
        "floor = 2", "def make():\n    limit = floor\n    return lambda value, ticket: value if limit else None"
    )
    notebook.run("rule = make()").call("rules=[rule]").run("floor = 3")

    assert "In[4], line 1 (triage needs rule): built from the `floor` of In[2], which In[6]" in notebook.refusal()


@pytest.mark.parametrize(
    ("line", "cell", "said", "mend"),
    [
        (1, "%time flag = True", "uses a magic", "plain Python"),
        (1, "%%time\nflag = True", "uses a magic", "plain Python"),
        (2, "import os\nflag = !echo yes", "uses a magic", "plain Python"),
        (2, "import asyncio\nflag = await asyncio.sleep(0, 1)", "awaits at the top level", "export.embed(await ...)"),
        (1, "flag = _i1", "reads `_i1`", "Assign that value to a name"),
        (1, "flag = In[1]", "reads `In`", "Assign that value to a name"),
        (1, "flag = open('/dev/null').read()", "reads a file (open)", "flag = export.embed(...)"),
        (1, "with open('/dev/null') as file:\n    flag = file", "reads a file (open)", "Keep the value as data"),
        (2, "import pathlib\nflag = pathlib.Path('/dev/null').read_text()", "reads a file (read_text)", "export.embed"),
        (
            4,
            "def load():\n    return open('/dev/null')\n\nflag = load()",
            "reads a file (open) through load() of In[2]",
            "",
        ),
        (
            2,
            "import io, numpy as np\nflag = np.loadtxt(io.StringIO('1'))",
            "reads a file (np.loadtxt)",
            "export.embed",
        ),
        (
            2,
            "import socket as s\nflag = s.socket()",
            "reaches the network or another process (s.socket)",
            "export.embed",
        ),
        (
            2,
            "import subprocess\nflag = subprocess.run(['true'])",
            "reaches the network or another process",
            "export.embed",
        ),
        (
            1,
            "flag = 'sk-proj-MptUsGr7CmYuCu3ZR1zT'",
            "holds what looks like a secret (api-key, line 1)",
            "os.environ",
        ),
        (
            1,
            "flag = dict(\n  api_key='q8w7e6r5t4y3')",
            "holds what looks like a secret (what is given to `api_key`, line 2)",
            "os.environ",
        ),
        (2, "# postgres://me:hunter2@db/prod\nflag = 1", "holds what looks like a secret", "os.environ"),
        (1, "flag = [export.embed([1])]", "uses export.embed inside an expression", "name = export.embed(...)"),
        (1, "flag = display", "uses `display`", "from IPython.display import display"),
        (1, "if __name__ == '__main__':\n    flag = 1", "stands under `if __name__", "Move it out of the block"),
    ],
)
def test_statements_that_only_a_notebook_can_run_are_refused(notebook, line, cell, said, mend):
    """The message has the cell, the line, the way from the call to it, and what to write instead."""
    notebook.run(cell, RULE.format("flag")).call("rules=[rule]")

    message = notebook.refusal()

    assert f"In[2], line {line} (triage needs rule needs flag): {said}" in message
    assert mend in message


def test_a_name_that_exec_made_is_refused(notebook):
    """No statement says where it comes from."""
    notebook.run("exec('flag = True')", RULE.format("flag")).call("rules=[rule]")

    message = notebook.refusal()

    assert "In[3], line 1 (triage needs rule): reads `flag`, which no executed statement binds" in message
    assert "Bind `flag` in a cell" in message


def test_the_output_history_is_no_name(notebook):
    """``_`` and ``Out[2]`` mean something else in every session."""
    notebook.run("'lost'", "flag = Out[2]\nother = _", RULE.format("(flag, other)")).call("rules=[rule]")

    message = notebook.refusal()

    assert "In[3], line 1" in message and "reads `Out`" in message
    assert "In[3], line 2" in message and "reads `_`" in message


def test_a_cell_that_failed_halfway_is_refused(notebook):
    """Nobody knows which of its statements count."""
    notebook.run("flag = True\nundefined_name", fails=True).run(RULE.format("flag")).call("rules=[rule]")

    assert "In[2], line 1 (triage needs rule needs flag): In[2] raised an exception" in notebook.refusal()


def test_a_module_beside_the_notebook_is_refused(notebook, tmp_path, monkeypatch):
    """It would be missing wherever the package is installed."""
    (tmp_path / "my_rules.py").write_text("def rule(value, ticket):\n    return value\n")
    monkeypatch.syspath_prepend(tmp_path)
    notebook.run("from my_rules import rule").call("rules=[rule]")

    message = notebook.refusal()

    assert "In[2], line 1 (triage needs rule): imports `my_rules`, which is a file beside the notebook" in message
    assert "Put its code into a cell" in message


def test_what_happens_when_the_call_is_made_is_not_confused_with_what_happens_when_it_is_called(notebook):
    """A source may read files and the environment: it does so where it runs."""
    notebook.run(
        "import os\nfrom pathlib import Path",
        "def policy(ticket):\n    return Path('policy.txt').read_text() if os.environ.get('POLICY') else ''",
    ).call("context=[lk.Source(policy, required=False)]")

    assert "Path('policy.txt').read_text()" in notebook.code()


def test_every_reason_is_told_at_once(notebook):
    """Mending one thing after the other, an export each, is nobody's evening."""
    notebook.run("a = open('/dev/null').read()", "%time b = 1", RULE.format("(a, b)")).call("rules=[rule]")

    message = notebook.refusal()

    assert "In[2], line 1" in message and "In[3], line 1" in message


def test_a_call_without_a_name_is_refused(notebook):
    """The package needs something to import."""
    notebook.call().run("calls = [triage.replace(name='nameless')]")

    assert "no cell, module or script has the call 'nameless' under a top-level name" in notebook.refusal("calls[0]")


def test_a_call_that_exec_made_is_refused(notebook):
    """Its code is in no cell."""
    notebook.call().run("exec('hidden = triage.replace(name=\"hidden\")')")

    assert "exec or a magic made it" in notebook.refusal("hidden")


def test_only_calls_can_be_packaged(notebook):
    """A prompt alone is not a feature."""
    notebook.run("prompt = lk.Prompt(user='hello')")

    assert "takes a GuardedCall, and was given a Prompt" in notebook.refusal("prompt")
