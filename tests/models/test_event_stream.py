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
