"""What no reading of the code can find is found by importing the package and comparing it with the live objects."""

from __future__ import annotations

RULE = "def rule(value, ticket):\n    return value if {} else None"


def test_a_registry_that_other_statements_filled_is_found(notebook):
    """``@register`` on a function that nothing reads by name leaves a trace only in the live dictionary."""
    notebook.run(
        "STEPS = {}",
        "def register(function):\n    STEPS[function.__name__] = function\n    return function",
        "@register\ndef first(text):\n    return text.strip()",
        RULE.format("STEPS"),
    ).call("rules=[rule]")

    message = notebook.refusal()

    assert "In[2], line 1: `STEPS` is not the same in the package" in message
    assert "Make it in one statement" in message


def test_an_iterator_that_something_else_advanced_is_found(notebook):
    """The second number was 2 in the session, and is 1 when only the needed statements run."""
    notebook.run("import itertools\nids = itertools.count(1)", "next(ids)", "number = next(ids)", RULE.format("number"))
    notebook.call("rules=[rule]")

    message = notebook.refusal()

    assert "`number` is not the same in the package: 2 here, 1 there" in message or "`ids` is not the same" in message


def test_what_comes_out_differently_each_time_is_found(notebook):
    """An unseeded choice is not what was measured."""
    notebook.run("import random", "salt = random.random()", RULE.format("salt")).call("rules=[rule]")

    message = notebook.refusal()

    assert "In[3], line 1: `salt` is not the same in the package" in message
    assert "a seed" in message


def test_a_seeded_choice_is_the_same_everywhere(notebook):
    """Fixed randomness is fixed."""
    notebook.run("import random", "salt = random.Random(7).random()", RULE.format("salt")).call("rules=[rule]")

    assert "random.Random(7)" in notebook.code()


def test_a_value_that_was_changed_through_another_name_is_found(notebook):
    """The alias is not needed by the call, and so its statement was not kept."""
    notebook.run("words = ['lost']\nalias = words", "alias.append('stolen')", RULE.format("words")).call("rules=[rule]")

    message = notebook.refusal()

    assert "`words` is not the same in the package" in message and "stolen" in message


def test_a_value_that_exec_replaced_is_found(notebook):
    """The statement that binds the name is not what the session has."""
    notebook.run("floor = 2", "exec('floor = 3')", RULE.format("floor")).call("rules=[rule]")

    assert "`floor` is not the same in the package: 3 here, 2 there" in notebook.refusal()


def test_a_part_of_the_call_that_comes_out_differently_is_named(notebook):
    """No name has the value, but the fingerprint of the policy has."""
    notebook.run("import random").call("policy=lk.Policy(deadline_s=1 + random.random())")

    assert "'triage' is not the same call in the package: its policy differs" in notebook.refusal()


def test_a_constant_that_a_rule_reads_changed_after_the_call_was_measured(notebook):
    """The fingerprint is that of the old constant, and the runs were measured with it."""
    notebook.run("floor = 2", RULE.format("floor")).call("rules=[rule]").run("floor = 3")

    message = notebook.refusal()
    assert "'triage' is not the same call in the package: its rules differs" in message
    assert "Run the cell that makes the call again" in message

    notebook.call("rules=[rule]")
    assert "floor = 3" in notebook.code()


def test_a_package_that_cannot_be_imported_names_the_cell(notebook):
    """A patched module worked in the session, and is not patched elsewhere."""
    notebook.run("import string, sys", "sys.modules['string'].lost_words = ('lost',)", "words = string.lost_words")
    notebook.run(RULE.format("words")).call("rules=[rule]")

    message = notebook.refusal()

    assert "does not import: AttributeError: module 'string' has no attribute 'lost_words' at In[4], line 1" in message
