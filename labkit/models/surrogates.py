"""Halves of characters, joined: JSON escapes an emoji as two, and some servers send them in two pieces."""

from __future__ import annotations

__all__ = ["Halves", "mended"]


class Halves:
    """Joins what comes in pieces; a first half waits for its second."""

    __slots__ = ("_waiting", "were_lone")

    def __init__(self) -> None:
        self._waiting = ""
        self.were_lone = False
        """Whether a half stayed alone, and U+FFFD stands in its place."""

    def join(self, piece: str) -> str:
        """Give what is whole of the text so far and *piece*."""
        if not self._waiting and piece.isascii():
            return piece
        text = self._waiting + piece
        self._waiting = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return self._whole(text[: len(text) - len(self._waiting)])

    def end(self) -> str:
        """Give what is left when no piece follows."""
        left, self._waiting = self._waiting, ""
        return self._whole(left)

    def _whole(self, text: str) -> str:
        whole = mended(text)
        self.were_lone = self.were_lone or (whole is not text and "\ufffd" in whole)
        return whole


def mended(text: str) -> str:
    """Give *text* with its halves joined, and U+FFFD for each that stands alone; the same object where it has none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
