"""Server-sent events, cut out of the bytes as they arrive."""

from __future__ import annotations

from labkit.models.provider_errors import MAX_ANSWER_BYTES

__all__ = ["EventStream", "TooLong"]


class TooLong(Exception):
    """One line is longer than any answer."""


class EventStream:
    """Takes blocks of bytes as the network cuts them, and gives the data of the events in them.

    Only ``data:`` lines count, one event each: that is what OpenAI's format uses of the standard, and what it leaves
    out (names, ids, data of several lines) no server of it sends.
    """

    def __init__(self) -> None:
        self._unfinished: list[bytes] = []
        self._unfinished_bytes = 0

    def feed(self, block: bytes) -> list[bytes]:
        """Give the data of every event that *block* completes.

        Raises:
            TooLong: A line does not end.
        """
        head, newline, rest = block.rpartition(b"\n")
        if not newline:
            self._keep(block)
            return []
        lines = b"".join([*self._unfinished, head]).split(b"\n")
        self._unfinished, self._unfinished_bytes = [], 0
        self._keep(rest)
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]

    def _keep(self, part: bytes) -> None:
        self._unfinished_bytes += len(part)
        if self._unfinished_bytes > MAX_ANSWER_BYTES:
            raise TooLong
        if part:
            self._unfinished.append(part)
