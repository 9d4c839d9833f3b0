"""What guards read: the text as people see it, the way back to the model's own characters, and the prose in JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.call.guards.passages import passages
from labkit.call.guards.reading import plain, read, skeleton

texts = st.text(st.sampled_from('aB1 @.-"\\/un0004é\u200b\uff21\u0435\ufb01\U0001d41a'), max_size=40)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("a\\u0040b", "a@b"),
        ('\\"a\\/b\\"', '"a/b"'),
        ("a\\nb\\tc", "a\nb\tc"),
        ("\\ud835\\udc1a", "a"),
        ("b\u200bo\u00adb", "bob"),
        ("\uff11\u0662\u06f3", "123"),
        ("1\u00a02\u20133\u22124", "1 2-3-4"),
        ("C:\\users\\zoe \\u12", "C:\\users\\zoe \\u12"),
    ],
)
def test_escapes_width_and_the_unseen_are_undone(raw: str, text: str):
    """One writing of a character hides nothing that another shows."""
    assert read(raw).text == text


def test_a_skeleton_has_no_case_accents_or_foreign_lookalikes():
    """People take these letters for one another."""
    assert read("\u00dcn\u00ef\u0441\u041eD\u0415 \u0141\u00d8 \u00df", skeleton).text == "unicode lo ss"


@given(raw=texts, fold=st.sampled_from([plain, skeleton]), data=st.data())
@settings(max_examples=200, derandomize=True, deadline=None)
def test_a_place_in_the_reading_is_a_place_in_the_text(raw: str, fold: Any, data: st.DataObject):
    """What is blacked out is what was found: reading the model's characters at a place gives what was read there."""
    reading = read(raw, fold)
    start = data.draw(st.integers(0, len(reading.text)))
    end = data.draw(st.integers(start, len(reading.text)))
    if start == end:
        return

    ((raw_start, raw_end),) = reading.raw_spans([(start, end)])

    assert reading.text[start:end] in read(raw[raw_start:raw_end], fold).text
    assert len(read(raw[:raw_start], fold).text) <= start


values = st.recursive(
    st.text(max_size=8) | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [read(json.dumps(value)[1:-1]).text]
    inner = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
    return [found for item in inner for found in strings(item)]


@given(value=st.dictionaries(st.text(max_size=4), values, min_size=1, max_size=3), indent=st.sampled_from([None, 2]))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_passages_of_json_are_its_string_values(value: dict[str, Any], indent: int | None):
    """Keys are the developer's words, values the model's."""
    assert list(passages(json.dumps(value, indent=indent))) == strings(value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("No JSON at all.", ("No JSON at all.",)),
        ('```json\n{"a": "b"}\n```', ("b",)),
        ('Here it is: {"a": ["b", "c"]}', ("Here it is: ", "b", "c")),
        ('{"a": "cut o', ("cut o",)),
        ('{"a": \'b\', "c": "d",}', ("d",)),
        ('"a \\"b\\""', ('a "b"',)),
        ("", ("",)),
    ],
)
def test_passages_of_what_is_hardly_json(text: str, found: tuple[str, ...]):
    """Guards stand before the repairs: fences, prose and broken JSON are what they see."""
    assert passages(text) == found
