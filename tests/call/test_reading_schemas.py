"""Any JSON Schema and any text: a value, or an error that says where; what the schema allows is read strictly."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from labkit.call.outputs import read
from labkit.call.partial import PartialReader
from labkit.call.schemas import inline_refs
from labkit.errors import OutputRejected

LEVELS = ("strict", "safe", "aligned")

NAMES = st.sampled_from(["a", "b", "beta_two", "$ref", "$defs", "", "x-values"])
NUMBERS = st.integers(-3, 5) | st.sampled_from([0.5, 1.0, 2.5, -1.5])
SCALARS = st.none() | st.booleans() | NUMBERS | st.sampled_from(["", "a", "b", "red", "Dark Blue", "1", "true", "null"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
PATTERNS = st.sampled_from(["^a", "b$", "a|b", "[0-9]+", "^$", "(?<=a)b", "x{2}"])
REFERENCES = st.sampled_from(["#", "#/$defs/a", "#/$defs/b", "#here", "#there", "#/properties/a"])
KINDS = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])


def _schemas_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Schemas of up to three keywords, which need not make sense together; of more, nearly all would be forbidden."""
    members = st.dictionaries(NAMES, inner, max_size=3)
    schemas = st.lists(inner, min_size=1, max_size=3)
    count = st.integers(0, 3)
    keywords = {
        "type": KINDS | st.lists(KINDS, min_size=1, max_size=3, unique=True),
        "properties": members,
        "required": st.lists(NAMES, max_size=2, unique=True),
        "patternProperties": st.dictionaries(PATTERNS, inner, max_size=2),
        "additionalProperties": inner,
        "unevaluatedProperties": inner,
        "propertyNames": inner,
        "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, max_size=2, unique=True), max_size=2),
        "dependentSchemas": members,
        "minProperties": count,
        "maxProperties": count,
        "items": inner,
        "prefixItems": schemas,
        "unevaluatedItems": inner,
        "contains": inner,
        "minContains": count,
        "maxContains": count,
        "minItems": count,
        "maxItems": count,
        "uniqueItems": st.booleans(),
        "const": VALUES,
        "enum": st.lists(VALUES, min_size=1, max_size=4),
        "minimum": NUMBERS,
        "maximum": NUMBERS,
        "exclusiveMinimum": NUMBERS,
        "exclusiveMaximum": NUMBERS,
        "multipleOf": st.sampled_from([1, 2, 0.5, 0.1, 3]),
        "minLength": count,
        "maxLength": count,
        "pattern": PATTERNS,
        "format": st.sampled_from(["date", "email", "no-such-format"]),
        "allOf": schemas,
        "anyOf": schemas,
        "oneOf": schemas,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "$ref": REFERENCES,
        "$dynamicRef": REFERENCES,
        "default": VALUES,
        "description": st.just("what it is"),
    }
    return st.lists(st.sampled_from(sorted(keywords)), max_size=3, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: keywords[name] for name in names})
    )


SCHEMAS = st.recursive(st.booleans() | st.just({}) | KINDS.map(lambda kind: {"type": kind}), _schemas_of, max_leaves=6)
ROOTS = st.builds(
    lambda root, a, b, here: (
        {**root, "$defs": {"a": a, "b": b, "c": {"$anchor": "here", **here}, "d": {"$dynamicAnchor": "there", **here}}}
        if isinstance(root, dict)
        else root
    ),
    SCHEMAS, SCHEMAS, SCHEMAS, _schemas_of(SCHEMAS),
)  # fmt: skip
TEXTS = (
    VALUES.map(json.dumps)
    | st.lists(VALUES.map(json.dumps), max_size=3).map(" or ".join)
    | VALUES.map(lambda value: f"Sure:\n```json\n{json.dumps(value)}\n```")
    | VALUES.map(lambda value: json.dumps(value).replace('"', "'")[:-1])
    | st.sampled_from(
        ["", "NaN", '{"a": NaN}', '{"a": -Infinity}', '{"a": 1e400}', "1" * 5_000, '{"a": 1.10}', "[" * 200, "a, b",
         '{"a": "b,"b": 1}', "<think>{}</think>", "<think>", '{"a": "\\ud83d"}', "I am sorry.", "[[1], [2]]"]
    )
    | st.text(alphabet='{}[]",:ab1 \n\\', max_size=20)
)  # fmt: skip


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(schema=ROOTS, text=TEXTS)
def test_any_schema_and_any_text_give_a_value_or_an_error(schema: Any, text: str):
    """Never another exception, at any level, whole or while it is streamed: whoever wrote the schema."""
    for level in LEVELS:
        try:
            value = read(text, schema, level).value
        except OutputRejected as rejected:
            value = [str(rejected), rejected.errors]
        assert json.dumps(value)
    if isinstance(schema, dict):
        reader = PartialReader(inline_refs(schema))
        for char in text[:300]:
            reader.feed(char)


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(schema=ROOTS, value=VALUES)
def test_strict_reading_gives_every_value_that_the_schema_allows(schema: Any, value: Any):
    """As the reference validator for Python sees it; the other levels leave out members without a name, at most."""
    assume(_allows(schema, value))
    text = json.dumps(value)

    assert read(text, schema, "strict").value == value
    if not (isinstance(schema, dict) and schema.get("type") == "string"):  # there, quotes are part of the text
        for level in ("safe", "aligned"):
            assert _is_kept(read(text, schema, level).value, value)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(schema=ROOTS, value=VALUES)
def test_what_a_schema_forbids_is_not_read_strictly(schema: Any, value: Any):
    """Strict means the schema too."""
    assume("unevaluated" not in json.dumps(schema))  # left to the type
    assume(_allows(schema, value) is False)
    assume(not (isinstance(schema, dict) and schema.get("type") == "string"))  # any text is one

    with pytest.raises(OutputRejected):
        read(json.dumps(value), schema, "strict")


def _allows(schema: Any, value: Any) -> bool | None:
    """What the reference says; None where it cannot tell: a reference to nowhere, or to itself."""
    try:
        return jsonschema.Draft202012Validator(schema).is_valid(value)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # a dozen kinds, down to a panic of its Rust parts where references lead back to themselves
        return None


def _is_kept(read_value: Any, value: Any) -> bool:
    """Whether what was read is *value*, less members that it may do without."""
    if isinstance(value, dict) and isinstance(read_value, dict):
        return all(name in value and _is_kept(part, value[name]) for name, part in read_value.items())
    if isinstance(value, list) and isinstance(read_value, list):
        return len(value) == len(read_value) and all(map(_is_kept, read_value, value))
    return bool(read_value == value)
