"""promptfoo's tests: ``vars`` become the input, the assertions that read a text become checks.

Every other assertion (models as judges, code, similarity, costs, ...) is a fault. Whatever a test says in code or in
templates stays unread, and nothing that it names is opened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from labkit.evals.case import CHECKS
from labkit.evals.formats.entry import NotACase
from labkit.evals.formats.plain import tags_of

__all__ = ["case_of_test", "column_faults", "test_of_columns"]

# What else begins a cell such as "llm-rubric: is polite"; a text that begins otherwise is what the answer should equal.
_UNSUPPORTED = (
    "agent-rubric", "answer-relevance", "bleu", "classifier", "contains-html", "contains-sql", "contains-xml",
    "context-faithfulness", "context-recall", "context-relevance", "conversation-relevance", "cost", "eval",
    "factuality", "finish-reason", "fn", "g-eval", "gleu", "grade", "guardrails", "human", "is-html", "is-refusal",
    "is-sql", "is-valid-function-call", "is-valid-openai-function-call", "is-valid-openai-tools-call", "is-xml",
    "javascript", "latency", "levenshtein", "llm-rubric", "max-score", "meteor", "model-graded-closedqa",
    "model-graded-factuality", "moderation", "perplexity", "perplexity-score", "pi", "python", "rouge-n", "ruby",
    "search-rubric", "select-best", "similar", "similar:cosine", "similar:dot", "similar:euclidean", "skill-used",
    "tool-call-f1", "trace-error-spans", "trace-span-count", "trace-span-duration", "webhook", "word-count",
)  # fmt: skip
_TYPES = "|".join(sorted(map(re.escape, (*CHECKS, *_UNSUPPORTED)), key=len, reverse=True))
_EXPECTED = re.compile(rf"(?P<type>(?:not-)?(?:{_TYPES}))(?:\(\d+(?:\.\d+)?\))?(?::(?P<value>.*))?", re.DOTALL)

_TEST_KEYS = frozenset({"assert", "description", "metadata", "options", "threshold", "vars"})
_ASSERTION_KEYS = frozenset({"assert", "metric", "threshold", "type", "value", "weight"})
_COLUMNS = ("__description", "__metric", "__threshold")


def case_of_test(test: Mapping[str, Any]) -> dict[str, Any]:
    """Translate one test.

    Its id is ``metadata.id``, "" where there is none; its description becomes the note, its metadata tags.
    A ``threshold`` of the test becomes one ``assert-set`` of all its assertions.

    Raises:
        NotACase: It asks for something that is not done here; the message names it and the mend.
    """
    _only(test, _TEST_KEYS, "the test")
    options = test.get("options") or {}
    if not isinstance(options, Mapping):
        raise NotACase("options is not a mapping: remove it")
    _only(options, frozenset({"disableVarExpansion"}), "options")
    given = _vars(test.get("vars") or {}, lists=options.get("disableVarExpansion") is True)
    checks = _checks(test.get("assert") or [], "assert")
    if (threshold := test.get("threshold")) is not None:
        if not checks:
            raise NotACase("there is a threshold and no assert: add one")
        checks = [{"type": "assert-set", "threshold": threshold, "checks": checks}]
    metadata = dict(test["metadata"]) if isinstance(test.get("metadata"), Mapping) else test.get("metadata") or {}
    name = metadata.pop("id", None) if isinstance(metadata, dict) else None
    return {
        "id": "" if name is None else str(name),
        "input": given,
        "checks": checks,
        "note": str(test.get("description") or ""),
        "tags": tags_of(metadata),
    }


def _vars(given: Any, *, lists: bool) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise NotACase("vars is not a mapping: write the fields of the input; no file is opened")
    for name, value in given.items():
        if isinstance(value, str) and value.startswith("file://"):
            raise NotACase(f"vars.{name} names a file, which is not opened: write its content")
        if isinstance(value, list) and not lists:
            raise NotACase(
                f"vars.{name} is a list, of which promptfoo makes a test for each item: write those tests, "
                "or options: {disableVarExpansion: true} where the field itself is a list"
            )
    return dict(given)


def _checks(assertions: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(assertions, list):
        raise NotACase(f"{where} is not a list: write a list of {{type, value}}")
    return [_check(assertion, f"{where}[{n}]") for n, assertion in enumerate(assertions)]


def _check(assertion: Any, where: str) -> dict[str, Any]:
    kind = assertion.get("type") if isinstance(assertion, Mapping) else None
    if not isinstance(assertion, Mapping) or not isinstance(kind, str):
        raise NotACase(f"{where} has no type: write {{type, value}}")
    if kind != "assert-set" and kind.removeprefix("not-") not in CHECKS:
        raise NotACase(
            f"{where} is of type {kind!r}, which is not evaluated here: use {', '.join(CHECKS)} (also with 'not-' "
            "before it), or remove it and give evaluate() a scorer that does it"
        )
    _only(assertion, _ASSERTION_KEYS, where)
    check: dict[str, Any] = {"type": kind}
    if "weight" in assertion:
        check["weight"] = assertion["weight"]
    if kind == "assert-set":
        if assertion.get("threshold") is not None:
            check["threshold"] = assertion["threshold"]
        return check | {"checks": _checks(assertion.get("assert") or [], f"{where}.assert")}
    value = assertion.get("value")
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and text.startswith("file://"):
            raise NotACase(f"{where}: the value names a file, which is not opened: write its content")
        if isinstance(text, str) and re.search(r"\{\{.*\}\}|\{%", text, re.DOTALL):
            raise NotACase(f"{where}: the value holds a template, which is not rendered: write the text that it gives")
    return check if value is None else check | {"value": value}


def _only(given: Mapping[str, Any], known: frozenset[str], what: str) -> None:
    if strange := [key for key in given if key not in known]:
        raise NotACase(f"{what} has {strange[0]!r}, which is not read here: remove it")


# --- in a CSV ---------------------------------------------------------------------------------------------------------


def column_faults(columns: Sequence[str]) -> list[str]:
    """Name a reserved column that is not read."""
    for column in columns:
        known = column in _COLUMNS or column.startswith("__metadata:") or re.fullmatch(r"__expected\d*", column)
        if column.startswith("__") and not known:
            return [
                f"column {column!r} is not read: use __expected, __expected1, ..., __description, __threshold, "
                "__metadata:<key>"
            ]
    return []


def test_of_columns(row: Mapping[str, str]) -> dict[str, Any]:
    """Give the test that a CSV's row describes: columns without "__" are its vars."""
    given: dict[str, str] = {}
    assertions: list[dict[str, Any]] = []
    metadata: dict[str, Any] = {}
    test: dict[str, Any] = {"vars": given, "assert": assertions, "metadata": metadata}
    for column, cell in row.items():
        if column.startswith("__metadata:"):
            key = column.removeprefix("__metadata:")
            parts = [part.strip().replace("\\,", ",") for part in re.split(r"(?<!\\),", cell)]
            if cell.strip():
                metadata[key.removesuffix("[]")] = parts if key.endswith("[]") else cell
        elif column.startswith("__expected"):
            if cell.strip():
                assertions.append(_assertion(cell.strip()))
        elif column in ("__description", "__threshold"):
            if cell.strip():
                test[column.removeprefix("__")] = cell
        elif column != "__metric":  # a name for promptfoo's own table
            given[column] = cell
    return test


def _assertion(cell: str) -> dict[str, Any]:
    found = _EXPECTED.fullmatch(cell)
    if found is None:
        return {"type": "equals", "value": cell}
    value = found["value"]
    return {"type": found["type"]} if value is None else {"type": found["type"], "value": value.lstrip()}
