"""The embedded model: it answers with what is nearest in the prompt.

**What it is not: a language model.** It has read nothing but your prompt. It does not reason, follow instructions,
know facts, translate, or write; it cannot tell "not stolen" from "stolen" unless an example does. It compares the
query with the label names, definitions and examples that the prompt gives, by words, word pairs and pieces of words,
and fills the JSON Schema it is asked for with what is nearest. So its answers always fit the schema, its accuracy is
measured and not promised, and a prompt with better definitions or more examples really scores better. Use it to build,
test and teach a pipeline without a key or a network; use a language model where the answer must be written.

How answers come about, in short (the modules beside this one say it in full):

- With a schema, or one in a fenced block of the prompt: each enum, boolean or union by the nearest label; other fields
  by the rules in ``filling``.
- Without: the output of the nearest examples; else the label of the nearest definition; else an excerpt of the query.
- ``logprobs`` holds one natural logarithm for each label in the answer, in the order of the schema and not one a token,
  since nothing else in the answer is chosen among alternatives. Equal scores give equal probabilities. Without a label
  there are none.
- ``temperature`` 0 and None take the nearest label; above, labels are drawn, reproducibly with a ``seed``.
- Tokens are counted as ``tokens`` says; ``max_tokens`` cuts the answer off with finish_reason "length".
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from functools import lru_cache
from typing import Any

from labkit.errors import CallInvalid
from labkit.models.model import Model
from labkit.models.offline.choice import Asked, Chooser, Labels
from labkit.models.offline.filling import Filler
from labkit.models.offline.notation import Notes, Vocabulary, fold, read_notes
from labkit.models.offline.prompt_reader import asked_message, find_schema, read_earlier
from labkit.models.offline.query import split_query
from labkit.models.offline.scalars import excerpt
from labkit.models.offline.schema import vocabulary_of
from labkit.models.offline.similarity import Index, features
from labkit.models.offline.tokens import count_tokens, split_tokens
from labkit.models.protocol import Chunk, Completion, CompletionRequest, Message, Sampling, Usage, Wire

__all__ = ["OfflineModel"]

_NAME = "offline/nearest"
_NAME_WORDS = 6  # an example's output of more words is a text and not a name to compare the query with


class OfflineModel:
    """The client for ``offline/nearest``.

    Args:
        model: Names it, with its sampling; a request's own sampling is what counts.

    Raises:
        CallInvalid: There is no embedded model of that name.
    """

    def __init__(self, model: Model) -> None:
        if model.name != _NAME:
            raise CallInvalid(
                f"there is no embedded model {model.name!r}: the only one is {_NAME!r}, use Model({_NAME!r})"
            )
        self._name = model.name

    @property
    def name(self) -> str:
        return self._name

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer in one piece."""
        return _answer(request)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer token by token."""
        completion = _answer(request)
        for token in split_tokens(completion.text):
            yield Chunk(text=token)
        yield Chunk(completion=completion)


def _answer(request: CompletionRequest) -> Completion:
    began = time.perf_counter()
    wire: Wire = "text" if request.schema is None else "json_schema"
    messages = tuple(request.messages)
    asked = asked_message(messages)
    schema_key = "" if request.schema is None else json.dumps(request.schema)
    if not schema_key:
        schema, messages = find_schema(messages, asked)
        schema_key = "" if schema is None else json.dumps(schema)
        wire = "text" if schema is None else "prompted"
    text, logprobs = _reply(messages[: asked + 1], schema_key, request.sampling)
    tokens = split_tokens(text)
    most = request.sampling.max_tokens
    is_cut = most is not None and len(tokens) > most
    return Completion(
        text="".join(tokens[:most]) if is_cut else text,
        finish_reason="length" if is_cut else "stop",
        latency_s=time.perf_counter() - began,
        model=_NAME,
        wire=wire,
        usage=Usage(
            prompt_tokens=sum(_count_tokens(message.content) for message in request.messages)
            + _count_tokens(schema_key),
            completion_tokens=min(len(tokens), most) if most is not None else len(tokens),
        ),
        logprobs=tuple(logprobs) if request.sampling.logprobs and logprobs else None,
    )


def _reply(messages: tuple[Message, ...], schema_key: str, sampling: Sampling) -> tuple[str, list[float]]:
    earlier, last = messages[:-1], messages[-1].content.encode("utf-8", "ignore").decode()
    split = split_query(last, _vocabulary(schema_key))
    before = "" if _notes(earlier, "", schema_key).examples else split.before
    if not schema_key:
        return _Plain.of(earlier, before).answer(split.query, sampling)
    value, logprobs = _filler(earlier, before, schema_key).fill(split.query, sampling)
    return json.dumps(value, ensure_ascii=False), logprobs


class _Plain:
    """Answers without a schema."""

    def __init__(self, notes: Notes) -> None:
        outputs: dict[str, list[int]] = {}
        for number, example in enumerate(notes.examples):
            is_text = isinstance(example.output, str)
            said = example.output if is_text else json.dumps(example.output, ensure_ascii=False)
            outputs.setdefault(said, []).append(number)
        if not outputs:
            outputs = {label: [] for label in notes.definitions}
        self._examples = Index([example.text for example in notes.examples])
        self._labels = None
        if outputs:
            self._labels = Labels(
                list(outputs),
                names=[said if len(said.split()) <= _NAME_WORDS else "" for said in outputs],
                definitions=[notes.definitions.get(fold(said), "") for said in outputs],
                holders=list(outputs.values()),
            )

    @staticmethod
    @lru_cache(maxsize=32)
    def of(earlier: tuple[Message, ...], before: str) -> _Plain:
        return _Plain(_notes(earlier, before, ""))

    def answer(self, query: str, sampling: Sampling) -> tuple[str, list[float]]:
        if self._labels is None:
            return excerpt(query), []
        counted = features(query)
        chooser = Chooser(sampling, query)
        asked = Asked(query=query, near=self._examples.scores(counted), chooser=chooser, _features=counted)
        return self._labels.choose(asked)[0], chooser.logprobs


# What is the same for every query of a prompt is worked out once. The keys are the messages before the query, what
# the template says in front of it, and the schema as JSON text.


@lru_cache(maxsize=32)
def _vocabulary(schema_key: str) -> Vocabulary:
    return vocabulary_of(json.loads(schema_key)) if schema_key else Vocabulary()


@lru_cache(maxsize=32)
def _notes(earlier: tuple[Message, ...], before: str, schema_key: str) -> Notes:
    vocabulary = _vocabulary(schema_key)
    return read_earlier(earlier, vocabulary) + read_notes(before, vocabulary)


@lru_cache(maxsize=32)
def _filler(earlier: tuple[Message, ...], before: str, schema_key: str) -> Filler:
    schema: dict[str, Any] = json.loads(schema_key)
    return Filler(schema, _notes(earlier, before, schema_key))


@lru_cache(maxsize=256)
def _count_tokens(text: str) -> int:
    return count_tokens(text)
