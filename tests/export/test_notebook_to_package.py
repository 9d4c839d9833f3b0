"""What an export keeps of a notebook. Each package here was verified against the live objects when it was written."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import labkit
from labkit.export.exported import Exported
from labkit.models.scripted import ScriptedModel
from labkit.models.server import ModelServer


def ask(exported: Exported, text: str) -> dict[str, object]:
    """Call the written package in a clean interpreter."""
    script = (
        "import sys, json; sys.path[:0] = json.loads(sys.argv[1])\n"
        f"{exported.import_line}\n"
        f"result = {exported.name}(text=sys.argv[2])\n"
        "print(json.dumps({'value': result.data(), 'source': result.source, 'repairs': len(result.repairs)}))"
    )
    paths = json.dumps([str(exported.directory / "src"), str(Path(labkit.__file__).parents[1])])
    done = subprocess.run([sys.executable, "-I", "-c", script, paths, text], capture_output=True, text=True, check=True)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_only_the_statements_the_call_needs_are_kept(notebook):
    """Exploration stays in the notebook; order and comments of what goes along stay as they were."""
    notebook.run(
        "import json, re\nscratch = re.findall('a', 'banana')",
        "# At most this many words.\nlimit = 40  # measured on 400 tickets\nunused = json.dumps(scratch)",
        "def short(value, ticket):\n    # never longer\n    return value if len(ticket.text) < limit else None",
    ).call("rules=[short]")
    notebook.run("results = [triage(text='hello')]", "results[0]")

    code = notebook.code()

    assert "# At most this many words.\nlimit = 40  # measured on 400 tickets\n" in code
    assert "    # never longer\n" in code
    assert code.index("limit = 40") < code.index("def short") < code.index("triage = ")
    assert not any(word in code for word in ("scratch", "unused", "results", "import json", "import re"))


def test_the_written_package_answers_like_the_live_call(notebook):
    """A rule with a closure, a partial, a decorator and a default does outside what it did inside."""
    notebook.run(
        "import functools",
        "def at_least(floor):\n    def rule(value, ticket):\n"
        "        return value.model_copy(update={'urgency': max(value.urgency, floor)})\n    return rule",
        "def named(function):\n    @functools.wraps(function)\n    def wrapper(*args):\n"
        "        return function(*args)\n    return wrapper",
        "@named\ndef stolen(value, ticket, words=('stolen', 'lost')):\n"
        "    return value.model_copy(update={'urgency': 5}) if any(w in ticket.text for w in words) else value",
        "def capped(value, ticket, *, top):\n    return value.model_copy(update={'urgency': min(value.urgency, top)})",
        "rules = []\nfor floor in (2, 3):\n    rules.append(at_least(floor))",
        "rules += [stolen, functools.partial(capped, top=4)]",
    ).call("rules=rules")

    exported = notebook.package()

    for text in ("where is my card", "my card was stolen"):
        live = notebook["triage"](text=text)
        assert ask(exported, text) == {"value": live.data(), "source": live.source, "repairs": len(live.repairs)}
    assert ask(exported, "it was stolen")["value"] == {"intent": "card", "urgency": 4}


def test_cells_count_in_the_order_in_which_they_ran(notebook):
    """A cell that was run again after its value was replaced wins, wherever it stands in the notebook."""
    notebook.run("floor = 1", "floor = 3", "floor = 1 + 1")
    notebook.run("def rule(value, ticket):\n    return value.model_copy(update={'urgency': floor})").call(
        "rules=[rule]"
    )

    code = notebook.code()

    assert "floor = 1 + 1" in code and "floor = 3" not in code


def test_a_cell_that_was_run_twice_is_kept_once(notebook):
    """Running a cell again without changing it makes nothing stale."""
    helper = "def rule(value, ticket):\n    return value"
    notebook.run(helper).call("rules=[rule]").run(helper, "from typing import Literal", helper)

    assert notebook.code().count("def rule") == 1


def test_imports_are_trimmed_to_what_is_used(notebook):
    """Nothing of labkit but the runtime lands in a package, nor anything that only exploration used."""
    notebook.run(
        "from labkit import evals, export\nimport math, json, collections",
        "from math import *\nfrom string import (\n    ascii_letters,\n    digits,\n)",
        "def rule(value, ticket):\n    return value if floor(sqrt(4)) == 2 and json and digits else None",
    ).call("rules=[rule]")

    code = notebook.code()

    assert "evals" not in code and "export" not in code
    assert "import json\n" in code and "collections" not in code and "import math\n" not in code
    assert "from math import floor, sqrt\n" in code
    assert "from string import digits\n" in code


def test_submodules_of_one_package_all_go_along(notebook):
    """``import a.b`` and ``import a.c`` bind the same name, and both are needed."""
    notebook.run(
        "import xml.dom.minidom",
        "import xml.sax.saxutils as sax, xml.etree.ElementTree",
        "def rule(value, ticket):\n    return value if xml.dom.minidom and xml.etree.ElementTree else None",
    ).call("rules=[rule]")

    code = notebook.code()

    assert "import xml.dom.minidom" in code and "import xml.etree.ElementTree" in code and "saxutils" not in code


def test_conditional_definitions_and_loops_keep_what_shines_through(notebook):
    """An ``if`` that did not fire, or a loop that updates a best value, needs the value from before."""
    notebook.run(
        "import sys\nword = 'lost'\nlevel = 1",
        "if sys.version_info < (3, 0):\n    word = 'old'",
        "for candidate in (1, 3, 2):\n    if candidate > level:\n        level = candidate",
        "try:\n    import no_such_module_anywhere as parser\nexcept ImportError:\n    parser = None",
        "def rule(value, ticket):\n    found = not parser and word in ticket.text\n"
        "    return value.model_copy(update={'urgency': level}) if found else value",
    ).call("rules=[rule]")

    assert ask(notebook.package(), "lost it")["value"] == {"intent": "card", "urgency": 3}


def test_names_of_other_loops_stay_behind(notebook):
    """A loop variable of exploration does not drag its cell into the package because another loop has the same name."""
    notebook.run(
        "for x in open(__import__('os').devnull): pass\nx = object()",
        "words = []\nfor x in ('a', 'b'):\n    words.append(x)",
        "def rule(value, ticket):\n    return value if words else None",
    ).call("rules=[rule]")

    assert "devnull" not in notebook.code()


def test_future_annotations_and_quoted_names_are_resolved(notebook):
    """IPython carries a ``__future__`` import into later cells; quoted annotations need their classes as well."""
    notebook.run(
        "class Owner(BaseModel):\n    name: 'str | None' = None",
        "from __future__ import annotations",
        "class Ticket(BaseModel):\n    text: str\n    owner: Owner | None = None\n    follows: 'Ticket | None' = None",
        "def rule(value: Triage, ticket: Ticket) -> Triage | lk.Reject:\n    return value",
    ).call("rules=[rule]")

    code = notebook.code()

    assert code.index("from __future__ import annotations") < code.index("from typing")
    assert code.count("from __future__") == 1
    assert "class Owner" in code


def test_models_made_by_create_model_are_kept(notebook):
    """``inspect`` has no source for any class of a notebook, and even less for one that no class statement made."""
    notebook.run(
        "from pydantic import create_model",
        "fields = {'intent': (Literal['card', 'other'], ...)}\nfields['urgency'] = (int, 2)",
        "Triage = create_model('Triage', **fields)",
    ).call()

    assert "fields['urgency'] = (int, 2)" in notebook.code()


def test_parameters_that_papermill_injects_win(notebook):
    """The default of the parameters cell is overridden, as it was in the run."""
    notebook.run("floor = 1", "# Parameters\nfloor = 4").call("rules=[lambda value, ticket: value if floor else None]")

    code = notebook.code()

    assert "floor = 4" in code and "floor = 1" not in code


def test_a_failed_cell_that_was_mended_does_not_count(notebook):
    """Only the run that ended well is part of the call."""
    notebook.run("floor = 2\nraise ValueError('oops')", fails=True).run("floor = 3")
    notebook.call("rules=[lambda value, ticket: value if floor else None]").run("1 / 0", fails=True)

    assert "floor = 3" in notebook.code()


def test_the_cell_that_asks_for_the_export_may_make_the_call(notebook):
    """What stands after the export has not run yet, and does not count."""
    notebook.run(
        "floor = 2\ndef rule(value, ticket):\n    return value if floor else None\n"
        "triage = lk.GuardedCall('triage', input=Ticket, output=Triage, prompt=lk.Prompt(user='{{ input.text }}'),\n"
        "    model='offline/nearest', rules=[rule])\n"
        f"first = export.package(triage, {str(notebook.directory)!r})\n"
        "floor = 3"
    )

    code = (notebook.directory / "src" / "triage_feature" / "feature.py").read_text()

    assert "floor = 2" in code and "floor = 3" not in code and "export" not in code


def test_a_function_that_ran_while_the_call_was_made_brings_what_it_looked_up(notebook):
    """A factory's globals are needed at import, not only later."""
    notebook.run("word = 'lost'", "def make():\n    return lk.RulesBased(lambda ticket: None, message=word)").call(
        "fallbacks=[make()]"
    )

    assert "word = 'lost'" in notebook.code()


def test_five_hundred_cells_in_a_chain_are_followed(notebook):
    """A long notebook neither overflows the stack nor keeps anybody waiting."""
    notebook.run("v0 = 0", *(f"v{i} = v{i - 1} + 1\nw{i} = v{i}\nu{i} = w{i}" for i in range(1, 501)))
    notebook.call("rules=[lambda value, ticket: value if v500 else None]")

    code = notebook.code()

    assert code.count("\nv") == 501 and "\nw" not in code


def test_a_global_that_is_called_like_an_attribute_is_no_part_of_a_rule(notebook):
    """Exploration binds ``text`` in every second notebook, and every ticket has one."""
    notebook.run("text = 'hello'", "def rule(value, ticket):\n    return value if ticket.text else None").call(
        "rules=[rule]"
    )

    assert "hello" not in notebook.code()


def test_a_source_may_open_a_file_when_it_is_asked(notebook):
    """IPython puts an ``open`` of its own among the notebook's names, which is none of the author's."""
    notebook.run("def policy(ticket):\n    with open('policy.txt') as file:\n        return file.read()").call(
        "context=[lk.Source(policy, required=False)]"
    )

    assert "open('policy.txt')" in notebook.code()


def test_separators_in_a_pasted_text_move_no_line(notebook):
    """What Python takes for a character of a string, IPython takes for the end of a line."""
    rule = "{}\ndef rule(value, ticket):\n    return value.model_copy(update={{'urgency': {}}})"
    notebook.run(rule.format('"""Dear\u2028customer\x0c,\x85\rBye."""', 4)).call("rules=[rule]")
    first = notebook["triage"].fingerprint
    notebook.run(rule.format('"""Dear\u2028customer\x0c,\x85\rBye."""', 1)).call("rules=[rule]")

    assert notebook["triage"].fingerprint != first
    assert ask(notebook.package(), "lost it")["value"] == {"intent": "card", "urgency": 1}


def test_lambdas_on_one_line_are_told_apart(notebook):
    """The second is exported as the second, on every Python."""
    notebook.run("first, second = lambda v, t: v, lambda v, t: v.model_copy(update={'urgency': 5})").call(
        "rules=[first, second]"
    )
    one = notebook["triage"].fingerprint
    notebook.call("rules=[second, first]")

    assert notebook["triage"].fingerprint != one
    assert ask(notebook.package(), "lost it")["value"] == {"intent": "card", "urgency": 5}


def test_a_conversation_with_pictures_leaves_the_notebook(notebook):
    """The package asks what the notebook asked, turn for turn and picture for picture."""
    with ModelServer(ScriptedModel(["fine", "fine"])) as server:
        notebook.run(
            "class Chat(BaseModel):\n    text: str\n    turns: list[lk.Turn] = []\n    photo: lk.Image | None = None\n"
            "    letter: lk.File | None = None",
            "talk = lk.GuardedCall('talk', input=Chat, output=str,"
            "prompt=lk.Prompt(system='Help.', history='turns', user='See {{ input.photo }}: {{ input.text }}'),"
            f"model=lk.Model('openai/any', base_url={server.base_url!r}))",
        )
        exported = notebook.package("talk")
        asked = {
            "text": "And now?",
            "turns": [{"role": "user", "text": "It broke."}, {"role": "assistant", "text": "Show me."}],
            "photo": "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode(),
            "letter": "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.7").decode(),
        }
        script = (
            "import sys, json; sys.path[:0] = json.loads(sys.argv[1])\n"
            f"{exported.import_line}\n"
            "print(talk(json.loads(sys.argv[2])).value, talk.fingerprint)"
        )
        paths = json.dumps([str(exported.directory / "src"), str(Path(labkit.__file__).parents[1])])
        command = [sys.executable, "-I", "-c", script, paths, json.dumps(asked)]

        there = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        here = notebook["talk"](asked)

        assert there == [here.value, notebook["talk"].fingerprint]
        assert server.requests[0] == server.requests[1]
        assert [message["role"] for message in server.requests[0]["messages"]] == [
            "system", "user", "assistant", "user",
        ]  # fmt: skip
        assert [part["type"] for part in server.requests[0]["messages"][-1]["content"]] == [
            "text", "image_url", "text", "file",
        ]  # fmt: skip
