"""Events come out whole, however the network cuts them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.models.event_stream import EventStream, TooLong

RAW = (
    'data: {"text": "grüße 東京"}\n\n: comment\r\ndata:no blank\r\n\r\nevent: x\nid: 7\ndata: [DONE]\n\ndata: cut'
).encode()
DATA = ['{"text": "grüße 東京"}'.encode(), b"no blank", b"[DONE]"]


@given(st.lists(st.integers(min_value=0, max_value=len(RAW)), max_size=20))
def test_where_the_network_cuts_makes_no_difference(cuts: list[int]):
    """Also in the middle of a character, and a line that is not finished waits."""
    stream = EventStream()
    edges = [0, *sorted(cuts), len(RAW)]

    blocks = [RAW[start:end] for start, end in pairwise(edges)]

    assert [data for block in blocks for data in stream.feed(block)] == DATA


def test_a_line_without_end_is_given_up_on():
    """It must not fill the memory."""
    stream = EventStream()
    for _ in range(15):
        stream.feed(b"x" * 2**20)

    with pytest.raises(TooLong):
        stream.feed(b"x" * 2**20 + b"x")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@given(cuts=st.lists(st.integers(min_value=0, max_value=200), max_size=12))
def test_every_kind_of_line_end_is_one(end: str, cuts: list[int]):
    """Also where the network cuts a CRLF in two; as the standard has it, data of several lines is joined."""
    raw = "\ufeff: hi\ndata: one\n\ndata: two\ndata:\ndata:  more\nid: 1\n\ndata\n\nretry: 7\nevent: x\ndata:three\n\n"
    bytes_ = raw.replace("\n", end).encode()
    edges = [0, *sorted(min(cut, len(bytes_)) for cut in cuts), len(bytes_)]
    stream = EventStream()

    events = [data for start, stop in pairwise(edges) for data in stream.feed(bytes_[start:stop])] + stream.end()

    assert events == [b"one", b"two\n\n more", b"three"]


def test_the_last_event_needs_no_line_end():
    """Some servers forget it; whether what is there is whole, the reader tells."""
    stream = EventStream()

    assert (stream.feed(b"data: one\n\ndata: two"), stream.end()) == ([b"one"], [b"two"])


def test_events_that_no_blank_line_separates_are_told_apart():
    """And come as soon as the next begins."""
    stream = EventStream()

    assert stream.feed(b'data: {"a": 1}\ndata: {"b":\ndata: 2}\ndata: [DONE]\n') == [b'{"a": 1}', b'{"b":\n2}']
    assert stream.end() == [b"[DONE]"]


@pytest.mark.parametrize("raw", [b"event: error\ndata: no\n\n", b"data: no\nevent: error\n\n", b"error: no\n\n"])
def test_an_event_that_is_named_an_error_is_given_as_one(raw: bytes):
    """In whichever order its lines come."""
    assert EventStream().feed(raw) == [b'{"error": "no"}']
