"""Server-sent events, cut out of the bytes as they arrive.

Source: WHATWG, HTML Living Standard, section 9.2.6 "Interpreting an event stream". What servers of OpenAI's format do
beside it is read as well: events that no blank line separates, an end without one, errors under a name of their own.
"""

from __future__ import annotations

from pydantic_core import from_json

from labkit.models.chat_errors import as_error
from labkit.models.provider_errors import MAX_ANSWER_BYTES

__all__ = ["EventStream", "TooLong"]

_BOM = b"\xef\xbb\xbf"


class TooLong(Exception):
    """One event is longer than any answer."""


class EventStream:
    """Takes blocks of bytes as the network cuts them, and gives the data of the events in them.

    Lines end with CR, LF or both; data of several lines is joined; comments, ids and retry times are passed over, and
    so are events without data. An event named "error" holds one whatever its data are: they are given as a body that is
    an error.
    """

    def __init__(self) -> None:
        self._unfinished: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._began = False
        self._data: list[bytes] = []
        self._name = b""

    def feed(self, block: bytes) -> list[bytes]:
        """Give the data of every event that *block* completes.

        Raises:
            TooLong: An event does not end.
        """
        if self._after_cr and block:  # the other half of a CRLF
            self._after_cr = False
            block = block.removeprefix(b"\n")
        self._size += len(block)
        if self._size > MAX_ANSWER_BYTES:
            raise TooLong
        if b"\n" not in block and b"\r" not in block:
            self._unfinished.append(block)
            return []
        self._unfinished.append(block)
        lines = b"".join(self._unfinished).splitlines(keepends=True)
        self._unfinished.clear()
        if not lines[-1].endswith((b"\n", b"\r")):
            self._unfinished.append(lines.pop())
        self._after_cr = bool(lines) and lines[-1].endswith(b"\r") and not self._unfinished
        events: list[bytes] = []
        for line in lines:
            self._line(line.rstrip(b"\r\n"), events)
        self._size = sum(map(len, self._unfinished)) + sum(map(len, self._data))
        return events

    def end(self) -> list[bytes]:
        """Give the event that the end of the stream leaves unfinished, if any."""
        events: list[bytes] = []
        for line in b"".join(self._unfinished).splitlines():
            self._line(line, events)
        self._unfinished.clear()
        self._dispatch(events)
        return events

    def _line(self, line: bytes, events: list[bytes]) -> None:
        if not self._began:
            self._began = True
            line = line.removeprefix(_BOM)
        if not line:
            self._dispatch(events)
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            if self._data and _is_whole(self._data):
                self._dispatch(events)  # some servers end events with one line end
            self._data.append(value.removeprefix(b" "))
        elif name == b"event":
            self._name = value.removeprefix(b" ")
        elif name == b"error":  # llama.cpp
            self._dispatch(events)
            self._name = name
            self._data.append(value.removeprefix(b" "))

    def _dispatch(self, events: list[bytes]) -> None:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        is_error = self._name.strip().lower() == b"error"
        self._data.clear()
        self._name = b""
        if data := data.strip():
            events.append(as_error(data) if is_error else data)


def _is_whole(data: list[bytes]) -> bool:
    """Whether what has come is an event by itself, and what follows is another's."""
    last = data[-1].strip()
    if last == b"[DONE]":
        return True
    if not last.endswith(b"}"):
        return False
    try:
        from_json(b"\n".join(data))
    except ValueError:
        return False
    return True
