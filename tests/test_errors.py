"""One tree of errors, drawn at the top of ``labkit/errors.py``, and every error that leaves labkit is in it."""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import labkit
from labkit import errors

PACKAGE = Path(labkit.__file__).parent
TREE = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.LabkitError)}

# What is raised outside of the tree, and why: by file and name, with how often.
ALLOWED = {
    # Python's own protocols
    ("__init__.py", "AttributeError"): "a module's __getattr__",
    ("evals/scorers/judge.py", "AttributeError"): "a module's __getattr__",
    ("evals/cases.py", "KeyError"): "a mapping's __getitem__",
    ("evals/stored.py", "IndexError"): "a sequence's __getitem__",
    ("call/templates/data.py", "KeyError"): "a mapping's __getitem__, which jinja asks",
    ("call/asking.py", "AssertionError"): "cannot be reached; says so to a type checker",
    ("evals/formats/strict_json.py", "AssertionError"): "cannot be reached; says so to a type checker",
    ("call/turns.py", "TypeError"): "within a rendering",
    # a template's own failures: jinja or Prompt makes a failed step of them
    ("call/templates/data.py", "TypeError"): "within a rendering",
    ("call/templates/budget.py", "TypeError"): "within a rendering",
    ("call/templates/operations.py", "TypeError"): "within a rendering",
    ("call/templates/operations.py", "KeyError"): "within a rendering",
    ("call/templates/environment.py", "SecurityError"): "within a rendering",
    ("call/templates/environment.py", "TemplateSyntaxError"): "Prompt makes CallInvalid of it",
    # pydantic makes a ValidationError of them, with the field
    ("evals/case.py", "ValueError"): "within a validator",
    ("evals/as_json.py", "ValueError"): "within a validator",
    ("models/media.py", "PydanticCustomError"): "within a validator",
    # readers: whoever reads the file catches them and names file and line
    ("evals/formats/strict_json.py", "ValueError"): "json's hooks",
    ("evals/formats/strict_json.py", "JSONDecodeError"): "caught with json's own",
    ("evals/formats/documents.py", "JSONDecodeError"): "caught with json's own",
    ("store/briefs.py", "ValueError"): "caught where a row is read: a damaged store",
    ("cli.py", "ArgumentTypeError"): "argparse prints it and exits",
}


@functools.cache
def _nodes() -> list[tuple[str, ast.AST]]:
    """Give every node of every file of the package."""
    return [
        (path.relative_to(PACKAGE).as_posix(), node)
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    ]


def _raised() -> Iterator[tuple[str, str, int]]:
    """Give the file, the name and the line of everything that is raised as a class."""
    for path, node in _nodes():
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = ast.unparse(raised).rpartition(".")[2]
            if re.fullmatch(r"_?[A-Z]\w*", name):  # a function that makes an error is looked at where it makes it
                yield path, name, node.lineno
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Call):
            name = ast.unparse(node.value.func).rpartition(".")[2]
            if re.fullmatch(r"(Value|Type|Key|Lookup|Runtime|OS|Index)Error", name):
                yield path, name, node.lineno


@functools.cache
def _caught() -> set[str]:
    """Give the names of everything that some module catches."""
    names: set[str] = set()
    for _, node in _nodes():
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            names |= {each.id for each in ast.walk(node.type) if isinstance(each, ast.Name)}
            names |= {each.attr for each in ast.walk(node.type) if isinstance(each, ast.Attribute)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "suppress":
            names |= {each.id for each in node.args if isinstance(each, ast.Name)}
    return names


@functools.cache
def _defined() -> set[str]:
    """Give the names of labkit's own exceptions beside the tree."""
    return {node.name for _, node in _nodes() if isinstance(node, ast.ClassDef)} - TREE


def test_what_leaves_labkit_is_a_labkit_error():
    """``except labkit.LabkitError`` catches whatever labkit says; what else is raised is named here with its reason."""
    strays = [
        f"{path}:{line} raises {name}"
        for path, name, line in _raised()
        if name not in TREE and name not in _defined() and (path, name) not in ALLOWED
    ]

    assert not strays, "\n".join(strays)


def test_errors_that_are_not_in_the_tree_are_caught_within_labkit():
    """An exception of its own that steers a module is named by an ``except`` in labkit."""
    steering = {name for _, name, _ in _raised()} & _defined()

    assert steering and steering <= _caught()


def test_no_exception_is_allowed_that_nothing_raises():
    """The list of exceptions shrinks with the code."""
    raised = Counter((path, name) for path, name, _ in _raised())

    assert [each for each in ALLOWED if not raised[each]] == []


def test_the_tree_is_drawn_whole():
    """The picture at the top of the file names every error, and nothing else."""
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or "")) | {"LabkitError"}

    assert drawn == TREE
    assert TREE | {"LabkitWarning", "Outcome"} == set(errors.__all__)


@pytest.mark.parametrize("kind", [ValueError, TypeError])
def test_what_cannot_be_meant_is_also_what_python_would_raise(kind: type[Exception]):
    """``except ValueError`` around an option goes on working."""
    from labkit.evals import Gate

    with pytest.raises(kind, match="share"):
        Gate(floors={"pass_rate": 70})
