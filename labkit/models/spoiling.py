"""How an answer is spoilt: the text a model would have given, made worse in one known way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from labkit.models.protocol import Completion

__all__ = ["REFUSAL", "drifted", "spoil"]

REFUSAL = "I'm sorry, but I can't help with that."
_FILLER_NUMBERS = 2_640_000


def spoil(completion: Completion, kind: str, schema: Mapping[str, Any] | None) -> Completion:
    """Give *completion* with the fault *kind*; kinds that are not about the text leave it as it is.

    Args:
        schema: What the answer should fit, so that a wrong one can be made to measure.
    """
    text = completion.text
    match kind:
        case "malformed":
            return replace(completion, text=f"Certainly! Here you go: {_first_half(text)}")
        case "truncated":
            return replace(completion, text=_first_half(text), finish_reason="length")
        case "wrong_schema":
            return replace(completion, text=_misfit(schema))
        case "empty":
            return replace(completion, text="")
        case "refusal":
            return replace(completion, text=REFUSAL, finish_reason="filter")
        case "content_filter":
            return replace(completion, text="", finish_reason="filter")
        case "huge":
            return replace(completion, text=text + _filler())
        case "drift":
            return replace(completion, text=drifted(text, schema))
        case _:
            return completion


def drifted(text: str, schema: Mapping[str, Any] | None) -> str:
    """Give an answer that is worse and looks as good: every label is the next one of its list, all else is kept.

    Text without labels has its words in reverse.
    """
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    shifted = _shifted(value, schema or {})
    if value is None or shifted == value:
        return " ".join(reversed(text.split()))
    return json.dumps(shifted, ensure_ascii=False)


def _shifted(value: Any, schema: Mapping[str, Any]) -> Any:
    labels = schema.get("enum")
    if isinstance(labels, list) and value in labels:
        return labels[(labels.index(value) + 1) % len(labels)]
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        return {key: _shifted(part, properties.get(key, {})) for key, part in value.items()}
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        return [_shifted(part, schema["items"]) for part in value]
    return value


@lru_cache(maxsize=1)
def _filler() -> str:
    """20 MB without repetitions, which some clients look for."""
    return " ".join(map(str, range(_FILLER_NUMBERS)))


def _first_half(text: str) -> str:
    return text[: max(1, len(text) // 2)]


def _misfit(schema: Mapping[str, Any] | None) -> str:
    """The right names with the wrong kind of values, as a model gives that half remembers its instructions."""
    properties = (schema or {}).get("properties") or {"answer": {}}
    return json.dumps({name: {"unexpected": [None]} for name in properties})
