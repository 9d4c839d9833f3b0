"""What a server in OpenAI's format says with status 200: an answer in one piece, a stream of its pieces, or an error.

Written by strangers, so nothing is taken for granted: what has not the expected form is ``Unreadable``, what is unknown
is noted, and nothing at all is no answer. Whether it is JSON or a stream is told by how the body begins, not by what
was asked for: some servers stream unless told not to, others never do.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from labkit.models.chat_errors import ServerError, begins, error_in, holds_error
from labkit.models.endings import Ending, ending_of, finish_reason_of, worst
from labkit.models.event_stream import EventStream, TooLong
from labkit.models.message_parts import Call, Misshapen, calls_of, content_of, reasoning_of, refusal_of
from labkit.models.protocol import FinishReason
from labkit.models.provider_errors import MAX_ANSWER_BYTES
from labkit.models.surrogates import Halves, mended
from labkit.models.usage_reports import NOTHING_REPORTED, UsageReport

__all__ = ["Answer", "AnswerPieces", "AnswerReader", "Unreadable", "rejected_answer"]

_BOM = b"\xef\xbb\xbf"
_DONE = b"[DONE]"
_HEAD_BYTES = 400
_RAN_OUT = re.compile(r"max(imum)?[ _](completion[ _])?tokens? (was |were )?reached|(length|token) limit", re.I)


class Unreadable(Exception):
    """A body with status 200 that holds no answer.

    Args:
        said: What is wrong with it.
        error: The error that it holds, if that is what it holds.
    """

    def __init__(self, said: str, *, error: ServerError | None = None) -> None:
        super().__init__(said)
        self.error = error


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The parts of a completion that a body holds."""

    text: str
    finish_reason: FinishReason
    reasoning: str | None = None
    rejected: str | None = None
    notes: tuple[str, ...] = ()
    model: str | None = None
    usage: UsageReport = NOTHING_REPORTED
    logprobs: tuple[float, ...] | None = None


def rejected_answer(error: ServerError) -> Answer:
    """Give what the model wrote as the answer that it is, a bad one, where that is what *error* complains of."""
    ran_out = _RAN_OUT.search(error.said) is not None
    return Answer(
        text=error.generated or "", finish_reason="length" if ran_out else "stop", rejected=error.said or "no reason"
    )


class AnswerReader:
    """Takes the body of a response block by block, and gives the text in it as it comes.

    Args:
        tool: The name of the tool whose arguments are the answer; None where the content is.
        is_json: A value was asked for, which some servers read themselves.
    """

    def __init__(self, tool: str | None = None, *, is_json: bool = False) -> None:
        self.is_done = False
        """The stream said ``[DONE]``: nothing follows."""
        self._head = b""
        self._whole: list[bytes] = []
        self._whole_bytes = 0
        self._events: EventStream | None = None
        self._tool = tool
        self._is_json = is_json
        self._pieces: AnswerPieces | None = None
        self._answer: Answer | None = None

    @property
    def is_whole(self) -> bool:
        """The answer is there, and only its usage may follow."""
        return self._pieces is not None and self._pieces.ending is not None

    @property
    def pieces(self) -> int:
        """How many pieces came that held something: text, reasoning, a call."""
        return 0 if self._pieces is None else self._pieces.count

    def feed(self, block: bytes) -> str:
        """Take in a block of the body, and give the text it adds.

        Raises:
            Unreadable: It is no piece of an answer.
            TooLong: The answer has grown larger than any.
        """
        if self._events is None and not self._whole:
            self._head += block
            begin = self._head.removeprefix(_BOM).lstrip()
            if not begin or (len(begin) < len(_BOM) and _BOM.startswith(begin)):
                self._head = begin  # blanks that keep the connection alive
                return ""
            block = self._head
            if not begin.startswith((b"{", b"[")):
                self._events, self._pieces = EventStream(), AnswerPieces(self._tool, is_json=self._is_json)
            self._head = begin[:_HEAD_BYTES]
        if self._events is not None:
            return self._taken(self._events.feed(block))
        self._whole.append(block)
        self._whole_bytes += len(block)
        if self._whole_bytes > MAX_ANSWER_BYTES:
            raise TooLong
        return ""

    def end(self) -> str:
        """Take the end of the body, and give the text it adds.

        Raises:
            Unreadable: There is no answer in it, or not the whole of one.
        """
        if self._events is None or self._pieces is None:
            return self._take_whole(_parsed(b"".join(self._whole) or self._head))
        # what the end cut in two is no piece; whether it is missed, the check tells
        last = self._taken(data for data in self._events.end() if data == _DONE or _is_json(data))
        self._pieces.check_stream(is_done=self.is_done, head=self._head)
        last += self._pieces.end()
        self._answer = self._pieces.answer()
        return last

    def answer(self) -> Answer:
        """Give the answer; ``end`` has been called."""
        assert self._answer is not None
        return self._answer

    def _take_whole(self, body: Mapping[str, Any]) -> str:
        self._answer = _plain_answer(body) if self._tool is None else None
        if self._answer is None:
            pieces = AnswerPieces(self._tool, is_json=self._is_json)
            pieces.take_message(body)
            pieces.end()
            self._answer = pieces.answer()
        return self._answer.text

    def _taken(self, events: Iterable[bytes]) -> str:
        texts = []
        for data in events:
            if not self.is_done:
                texts.append(self._take(data))
            elif b'"choices"' in data and any(body.get("choices") for body in _event_bodies(data)):
                raise Unreadable(f"the stream went on after its end: {begins(data)}")
        return texts[0] if len(texts) == 1 else "".join(texts)

    def _take(self, data: bytes) -> str:
        if data == _DONE:
            self.is_done = True
            return ""
        assert self._pieces is not None
        bodies = _event_bodies(data)
        if len(bodies) == 1:
            return self._pieces.take_event(bodies[0])
        return "".join(map(self._pieces.take_event, bodies))


def _plain_answer(body: Mapping[str, Any]) -> Answer | None:
    """Give the answer of a body that holds text, a normal end and nothing beside, as nearly all do, at once."""
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and len(choices) == 1 else None
    if not isinstance(choice, dict) or choice.get("finish_reason") != "stop" or not _PLAIN_CHOICE.issuperset(choice):
        return None
    message = choice.get("message")
    if choice.get("logprobs") is not None or not isinstance(message, dict) or "x_groq" in body:
        return None
    text = message.get("content")
    if not isinstance(text, str) or not text.strip() or (not text.isascii() and mended(text) is not text):
        return None
    for name in message:
        if name not in _PLAIN_MESSAGE and message[name]:
            return None
    return Answer(
        text=text, finish_reason="stop", model=_string(body.get("model")), usage=UsageReport.read(body.get("usage"))
    )


_PLAIN_CHOICE = frozenset({"index", "message", "finish_reason", "logprobs"})
_PLAIN_MESSAGE = frozenset({"role", "content"})


class AnswerPieces:
    """An answer that grows by the bodies of events, or comes with one body.

    Args:
        tool: The name of the tool whose arguments are the answer; None where the content is.
        is_json: A value was asked for, which some servers read themselves.
    """

    def __init__(self, tool: str | None = None, *, is_json: bool = False) -> None:
        self.ending: Ending | None = None
        self.count = 0
        self._tool = tool
        self._is_json = is_json
        self._shown_chars = 0
        self._said_end: object = None
        self._index: int | None = None
        self._model: str | None = None
        self._usage = NOTHING_REPORTED
        self._logprobs: list[float] | None = []
        self._content = _Text()
        self._reasoning = _Text()
        self._refusal = _Text()
        self._calls: list[_CallText] = []
        self._messages: list[Mapping[str, Any]] = []

    def take_event(self, body: Mapping[str, Any]) -> str:
        """Take in one event and give the text it adds."""
        choice = self._choice(body)
        if choice is None:
            return ""
        delta, message = choice.get("delta"), choice.get("message")
        if isinstance(delta, dict):
            return self._take_piece(delta)
        if delta is not None or not isinstance(message, dict | None):
            raise Unreadable(f"a piece is no object: {_json(choice)}")
        if message is not None:
            self._messages.append(message)
        return ""

    def take_message(self, body: Mapping[str, Any]) -> None:
        """Take in a body that holds the whole answer."""
        choice = self._choice(body)
        message = choice.get("message") if choice else None
        if not isinstance(message, dict):
            raise Unreadable(f"there is no message in it: {_json(body)}")
        self._messages.append(message)

    def check_stream(self, *, is_done: bool, head: bytes) -> None:
        """Check at the end of a stream that nothing is missing.

        Raises:
            Unreadable: It held no answer, or not the whole of one.
        """
        if self._index is None:
            raise Unreadable(f"the stream holds no answer: {begins(head)}")
        if self.ending is None and not is_done:
            raise Unreadable("the stream ended in the middle of the answer")

    def end(self) -> str:
        """Give the text that was held back."""
        if self.ending == "error":
            said = f"the answer ended with {_json(self._said_end)}"
            raise Unreadable(said, error=ServerError(said=said))
        self._take_messages()
        for text in (self._content, self._reasoning, self._refusal, *(call.arguments for call in self._calls)):
            text.end()
        return self.text[self._shown_chars :]

    @property
    def text(self) -> str:
        return self._refusal.text or self._answer_text()

    @property
    def is_call(self) -> bool:
        """Whether the answer is the arguments of a call."""
        return bool(self._calls) and (self._tool is not None or not self._content.text.strip())

    def answer(self) -> Answer:
        """Give the answer; ``end`` has been called."""
        return Answer(
            text=self.text,
            finish_reason="filter" if self._refusal.text else finish_reason_of(self.ending),
            reasoning=self._reasoning.text or None,
            rejected=f"the provider could not read it: {self._said_end}" if self.ending == "malformed" else None,
            notes=tuple(self._notes()),
            model=self._model,
            usage=self._usage,
            logprobs=tuple(self._logprobs) if self._logprobs else None,
        )

    def _notes(self) -> Iterator[str]:
        if self.ending == "unknown":
            yield f"the answer ended with {_json(self._said_end)}, which is none of the known ends"
        if self.ending is None and not self._messages:
            yield "the answer came without a finish reason"
        if any(text.were_lone for text in (self._content, *(call.arguments for call in self._calls))):
            yield "half a character came without its other half: U+FFFD stands in its place"

    def _choice(self, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Take in what stands around a choice, and give the one that is the answer."""
        self._model = _string(body.get("model")) or self._model
        if body.get("usage"):
            self._usage |= UsageReport.read(body["usage"])
        if isinstance(groq := body.get("x_groq"), dict):
            self._usage |= UsageReport.read(groq.get("usage"))
        choices = body.get("choices")
        if not choices:
            return None
        if not isinstance(choices, list) or not all(isinstance(each, dict) for each in choices):
            raise Unreadable(f"its choices are no list of objects: {_json(choices)}")
        if self._index is None:
            self._index = min(map(_index, choices))
        choice: Mapping[str, Any] | None = next((each for each in choices if _index(each) == self._index), None)
        if choice is None:
            return None
        if "error" in choice and holds_error(choice):
            error = error_in({"error": choice["error"]})
            raise Unreadable(error.said if error else "", error=error)
        if choice.get("usage"):  # Moonshot
            self._usage |= UsageReport.read(choice["usage"])
        reason = choice.get("finish_reason")
        if reason is None:
            reason = choice.get("native_finish_reason")
        if reason is not None:
            self.ending, before = worst(self.ending, ending_of(reason)), self.ending
            if self.ending != before:
                self._said_end = reason
        if choice.get("logprobs"):
            self._take_logprobs(choice["logprobs"])
        return choice

    def _take_piece(self, delta: Mapping[str, Any]) -> str:
        try:
            return self._take_parts(delta)
        except Misshapen as error:
            raise Unreadable(str(error)) from error

    def _take_parts(self, delta: Mapping[str, Any]) -> str:
        """Take in a piece, and give what may be shown of it now.

        Beside a forced tool the content is the answer only if no call follows, and without one a call is the answer
        only if no content does: that shows at the end.
        """
        content = delta.get("content")
        if self._tool is None and isinstance(content, str) and _PLAIN_MESSAGE.issuperset(delta):
            shown = self._content.add(content)  # as nearly all pieces
            self.count += bool(content)
            self._shown_chars += len(shown)
            return shown
        thought, refused, said = reasoning_of(delta), refusal_of(delta), content_of(delta, is_json=self._is_json)
        argued = "".join(map(self._take_call, calls_of(delta)))
        self.count += bool(thought or refused or said or argued)
        self._reasoning.add(thought)
        shown = self._refusal.add(refused)
        said = self._content.add(said)
        if not shown:
            shown = said if self._tool is None else argued
        self._shown_chars += len(shown)
        return shown

    def _take_call(self, call: Call) -> str:
        found = next((each for each in reversed(self._calls) if each.number == call.number), None)
        if call.number is None and call.name is None and self._calls:
            found = self._calls[-1]
        # without numbers, a name begins the next call; with them, some servers repeat it in every piece
        if found is None or (call.number is None and call.name is not None):
            found = _CallText(call)
            self._calls.append(found)
        found.name = found.name or call.name
        added = found.arguments.add(call.arguments)
        return added if found is self._calls[0] and found.name in (None, self._tool) else ""

    def _take_messages(self) -> None:
        """Take whole messages: the only one, the same one again, or the last of some that grow."""
        if not self._messages:
            return
        if self._content.text or self._calls or self._refusal.text:
            return  # a whole one that follows its own pieces
        try:
            contents = [content_of(each, is_json=self._is_json) for each in self._messages]
        except Misshapen as error:
            raise Unreadable(str(error)) from error
        if any(not contents[-1].startswith(each) for each in contents):
            raise Unreadable("it holds several whole messages that differ")
        self._take_piece(self._messages[-1])
        self._shown_chars = 0

    def _answer_text(self) -> str:
        content = self._content.text
        calls = self._calls
        if self._tool is not None:
            if not calls:
                return content
            # one of another name was still meant for the only tool there is
            calls = [call for call in calls if call.name in (None, self._tool)] or calls
        elif content.strip():
            return content
        # more than one, if they differ, is for the reader to see
        argued = "\n".join(dict.fromkeys(call.arguments.text for call in calls))
        return argued if self._tool is not None else content + argued

    def _take_logprobs(self, logprobs: object) -> None:
        content = logprobs.get("content") if isinstance(logprobs, dict) else None
        if not isinstance(content, list) or self._logprobs is None:
            return
        for token in content:
            value = token.get("logprob") if isinstance(token, dict) else None
            if isinstance(value, bool) or not isinstance(value, int | float) or not -math.inf <= value <= 1e-6:
                self._logprobs = None  # what is no probability makes the rest none
                return
            self._logprobs.append(min(0.0, float(value)))


class _Text:
    """Text that comes in pieces."""

    __slots__ = ("_chars", "_halves", "_parts")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._halves = Halves()
        self._chars = 0

    def add(self, piece: str) -> str:
        return self._keep(self._halves.join(piece)) if piece else ""

    def end(self) -> str:
        return self._keep(self._halves.end())

    def _keep(self, text: str) -> str:
        if text:
            self._chars += len(text)
            if self._chars > MAX_ANSWER_BYTES:
                raise TooLong
            self._parts.append(text)
        return text

    @property
    def text(self) -> str:
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    @property
    def were_lone(self) -> bool:
        return self._halves.were_lone


class _CallText:
    """A call whose arguments come in pieces."""

    __slots__ = ("arguments", "name", "number")

    def __init__(self, call: Call) -> None:
        self.number = call.number
        self.name = call.name
        self.arguments = _Text()


# --- reading JSON -----------------------------------------------------------------------------------------------------


def _parsed(raw: bytes) -> Mapping[str, Any]:
    """Read the JSON object of a whole body, which is no error; some servers write ``data: [DONE]`` after it."""
    try:
        body = from_json(raw.removeprefix(_BOM))  # in a third of the time of json.loads
    except ValueError:
        body = _leading(raw)
    return _answering(body, raw)


def _leading(raw: bytes) -> Any:
    try:
        text = raw.decode("utf-8-sig").lstrip()
        body, end = json.JSONDecoder().raw_decode(text)  # takes half an emoji
    except (ValueError, RecursionError) as error:  # also UnicodeDecodeError
        raise Unreadable(f"{error}: {begins(raw)}") from error
    rest = text[end:].strip()
    if not "data: [DONE]".startswith(rest):
        events = EventStream()
        said = events.feed(rest.encode("utf-8", "replace")) + events.end()
        if not rest.startswith("data:") or any(data != _DONE for data in said):
            raise Unreadable(f"something follows the answer: {begins(rest.encode('utf-8', 'replace'))}")
    return body


def _event_bodies(data: bytes) -> list[Mapping[str, Any]]:
    """Read the JSON object of an event, or those of its lines, where a server separates events by no blank line."""
    body = _json_or_none(data)
    if body is None and b"\n" in data:
        lines = [line for line in data.split(b"\n") if line.strip() not in (b"", _DONE)]
        bodies = [_json_or_none(line) for line in lines]
        if None not in bodies:
            return [_answering(each, data) for each in bodies]
    if body is None:
        raise Unreadable(f"it is no JSON: {begins(data)}")
    return [_answering(body, data)]


def _json_or_none(data: bytes) -> Any:
    try:
        return from_json(data)
    except ValueError:
        try:
            return json.loads(data)  # takes half an emoji, as a piece of a stream may have it
        except (ValueError, RecursionError):
            return None


def _is_json(data: bytes) -> bool:
    return _json_or_none(data) is not None


def _answering(body: Any, raw: bytes) -> Mapping[str, Any]:
    error = error_in(body)
    if error is not None:
        raise Unreadable(error.said, error=error)
    if not isinstance(body, dict):
        raise Unreadable(f"it is no object: {begins(raw)}")
    return body


def _index(choice: Mapping[str, Any]) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) and not isinstance(index, bool) else 0


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False)[:300]
