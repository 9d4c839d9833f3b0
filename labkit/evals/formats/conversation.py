"""Samples that hold a text or a conversation and what should come of it: OpenAI evals', and Inspect's.

How they become a call's input is one rule. The text, or the last message, which has to be the user's, goes into the
one required text field of the call's input model; into ``text`` where no call is given or it has not exactly one.
Messages before it go into ``messages`` and a multiple choice into ``choices``, if the input model has such a field;
otherwise the sample is a fault: asked without them, it would be another case.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from labkit.call.guarded import GuardedCall
from labkit.evals.formats.entry import Entry, NotACase
from labkit.evals.formats.plain import plain, tags_of
from labkit.evals.formats.strict_json import loads

__all__ = ["InspectSamples", "case_of_openai"]


def case_of_openai(sample: Mapping[str, Any], call: GuardedCall[Any] | None) -> dict[str, Any]:
    """Translate ``{"input": text | messages, "ideal": text | texts}``; ``id`` and ``metadata`` are optional.

    Other keys say nothing of the case and are left out.

    Raises:
        NotACase: What is asked has no place in the call's input, or is no text.
    """
    return _case(sample, call, wanted=sample.get("ideal"), wanted_name="ideal")


class InspectSamples:
    """Translates Inspect's samples, from a log or a dataset: one case for each id, whatever the epoch.

    Args:
        call: Whose input the samples are meant for.
    """

    def __init__(self, call: GuardedCall[Any] | None) -> None:
        self._call = call
        self._seen: dict[str, dict[str, Any]] = {}

    def __call__(self, entry: Entry) -> Iterator[dict[str, Any]]:
        """Give the sample's case; none when an earlier epoch gave the same.

        Raises:
            NotACase: As for ``case_of_openai``; also a sample that needs files or a sandbox.
        """
        sample = entry.data
        for part in ("files", "setup", "sandbox"):
            if sample.get(part):
                raise NotACase(f"the sample needs {part!r}, which a call cannot be given: leave it out")
        case = _case(sample, self._call, wanted=_target(sample.get("target")), wanted_name="target")
        if choices := _choices(sample.get("choices")):
            case["input"]["choices"] = _taken("choices", choices, self._call)
        if "epoch" in sample and "id" in case and self._seen.setdefault(case["id"], case) is not case:
            if self._seen[case["id"]] == case:
                return
            raise NotACase(f"sample {case['id']!r} is not what an earlier epoch of it was: keep one of them")
        yield case


def _case(sample: Mapping[str, Any], call: GuardedCall[Any] | None, *, wanted: Any, wanted_name: str) -> dict[str, Any]:
    if "input" not in sample:
        raise NotACase("there is no 'input': give a text or a list of messages")
    case: dict[str, Any] = {"input": _input(sample["input"], call), "expected": _expected(wanted, wanted_name)}
    if (name := sample.get("id")) not in (None, ""):
        case["id"] = str(name)
    if metadata := _metadata(sample.get("metadata")):
        case["tags"] = tags_of(metadata)
    return case


def _metadata(given: Any) -> Any:
    """Read what a CSV holds as JSON."""
    if not isinstance(given, str):
        return given
    try:
        return loads(given) if given.strip() else None
    except (ValueError, RecursionError) as error:
        raise NotACase(f"metadata: not JSON: {error}") from error


def _target(given: Any) -> Any:
    """As Inspect reads it: the text of a number or truth value; "" where no target was given."""
    if isinstance(given, list):
        return [_target(each) for each in given]
    read = plain(given)
    return str(read) if isinstance(read, (bool, int, float)) else read or None


def _choices(given: Any) -> list[str]:
    """As Inspect reads them: a list, or texts between commas, or else between blanks; also a list as JSON."""
    if isinstance(given, str) and given.strip():
        with contextlib.suppress(ValueError, RecursionError):
            given = read if isinstance(read := loads(given), list) else given
    if isinstance(given, str):
        parts = given.split(",") if "," in given else given.split()
        return [part.strip() for part in parts]
    if given is None or isinstance(given, list):
        return [str(plain(each)) for each in given or ()]
    return [str(plain(given))]


def _input(given: Any, call: GuardedCall[Any] | None) -> dict[str, Any]:
    if isinstance(given, str):
        return {_text_field(call): given}
    if not isinstance(given, list) or not given:
        raise NotACase("input is neither a text nor a list of messages")
    messages = [_message(message, n) for n, message in enumerate(given, 1)]
    if (role := messages[-1]["role"]) != "user":
        raise NotACase(f"the conversation ends with a message of {role!r}: end it with the user's")
    asked: dict[str, Any] = {_text_field(call): messages[-1]["content"]}
    if messages[:-1]:
        asked["messages"] = _taken("messages", messages[:-1], call)
    return asked


def _message(message: Any, n: int) -> dict[str, str]:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise NotACase(f"message {n} has no role: write {{role, content}}")
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, Mapping) else None for part in content]
        texts = [part for part in parts if isinstance(part, str)]
        content = "\n".join(texts) if len(texts) == len(parts) else None
    if not isinstance(content, str):
        raise NotACase(f"message {n} holds more than text, which cannot be asked: leave it out")
    return {"role": message["role"], "content": content}


def _expected(wanted: Any, name: str) -> Any:
    if isinstance(wanted, list):
        if not wanted or not all(isinstance(each, str) for each in wanted):
            raise NotACase(f"{name} is a list, but not of texts: give the texts that are right")
        return {"any_of": wanted}
    if wanted is not None and not isinstance(wanted, str):
        raise NotACase(f"{name} is a {type(wanted).__name__}: give a text or a list of texts")
    return wanted


def _taken(field: str, value: Any, call: GuardedCall[Any] | None) -> Any:
    if call is None:
        raise NotACase(f"it has {field!r} beside its text: give call=, whose input model has a field {field!r}")
    if field not in _fields(call):
        raise NotACase(
            f"it has {field!r} beside its text, for which {call.input.__name__} has no field: "
            f"add {field!r} to the model, or leave them out of the sample"
        )
    return value


def _text_field(call: GuardedCall[Any] | None) -> str:
    if call is None:
        return "text"
    texts = [name for name, field in _fields(call).items() if field.is_required() and field.annotation is str]
    return texts[0] if len(texts) == 1 else "text"


def _fields(call: GuardedCall[Any]) -> dict[str, Any]:
    """The fields of the call's input under the names that an input gives them."""
    return {
        field.validation_alias if isinstance(field.validation_alias, str) else name: field
        for name, field in call.input.model_fields.items()
    }
