"""Events out of bytes that are cut anywhere."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.sse import Parser, Said

STREAM = (
    b": still here\n\n"
    b'event: reset\nid: e:1\ndata: {"vm": []}\n\n'
    b"event: clock\ndata: {}\n\n"
    b": still here\n\n"
    b"event: two\ndata: a\ndata: b\n\n"
    b"id: 3\n\n"
    b"event: cut short\ndata: x\n"
)
EVENTS = [Said("reset", "e:1", b'{"vm": []}'), Said("clock", "", b"{}"), Said("two", "", b"a\nb")]


@given(st.lists(st.integers(0, len(STREAM))))
def test_it_does_not_matter_where_the_bytes_are_cut(cuts):
    parser = Parser(1000)
    places = [0, *sorted(cuts), len(STREAM)]
    told = [said for a, b in pairwise(places) for said in parser.feed(STREAM[a:b])]
    assert [said._replace(data=bytes(said.data)) for said in told] == EVENTS


def test_an_event_has_a_limit():
    parser = Parser(10)
    with pytest.raises(ValueError, match="more than 10 bytes"):
        list(parser.feed(b"data: 01234567890"))
