"""Why an answer ended, in the words of many providers.

Compared without case and by meaning, because each has its own list: OpenAI's ``length`` is Gemini's ``MAX_TOKENS``,
Mistral's ``model_length`` and Cohere's ``ERROR_LIMIT``.
"""

from __future__ import annotations

import re
from typing import Literal

from labkit.models.protocol import FinishReason

__all__ = ["Ending", "ending_of", "finish_reason_of", "worst"]

Ending = Literal["stop", "unknown", "length", "filter", "malformed", "error"]
"""``malformed``: the provider could not read what the model wrote. Each is worse than the one before."""

_ORDER: tuple[Ending, ...] = ("stop", "unknown", "length", "filter", "malformed", "error")

_STOP = frozenset(
    {
        "stop", "stopped", "stop_sequence", "stop_sequence_reached", "stop_token", "eos", "eos_token", "eos_found",
        "end", "end_turn", "end_of_turn", "end_of_text", "tool_calls", "tool_call", "tool_use", "function_call",
        "complete", "completed", "done", "finish", "finished", "normal", "success",
    }
)  # fmt: skip
_MEANINGS: tuple[tuple[Ending, re.Pattern[str]], ...] = (
    ("filter", re.compile(
        r"filter|safety|recitation|prohibit|block|refus|moderat|polic|spii|sensitive|toxic|harm|guardrail|unsafe|"
        r"content_violation|copyright|denylist")),
    ("length", re.compile(
        r"length|max(imum)?_?(output_?|completion_?|new_?|total_?|context_?)?tokens?|token_?(s_)?limit|error_limit|"
        r"context_window|limit_reached|out_of_tokens|truncat|incomplete|budget")),
    ("malformed", re.compile(r"malformed|invalid_(function|tool)|unexpected_tool|too_many_tool")),
    ("error", re.compile(
        r"error|fail|abort|cancel|interrupt|disconnect|insufficient_system|overload|unavailable|time_?d?_?out|"
        r"time_limit|max_time|exception|crash|kill|terminat")),
)  # fmt: skip


def ending_of(reason: object) -> Ending | None:
    """Give what *reason* means; None where there is none."""
    if reason == "stop":
        return "stop"
    if isinstance(reason, dict):  # {"type": "max_tokens"}
        reason = reason.get("type") or reason.get("reason")
    if reason is None or reason == "":
        return None
    if not isinstance(reason, str):
        return "unknown"
    word = re.sub(r"[\s-]+", "_", reason.strip().lower())
    if word in _STOP:
        return "stop"
    return next((ending for ending, pattern in _MEANINGS if pattern.search(word)), "unknown")


def worst(one: Ending | None, other: Ending | None) -> Ending | None:
    """Give the worse of two, since a stream may name more than one."""
    if one is None or other is None:
        return one or other
    return max(one, other, key=_ORDER.index)


def finish_reason_of(ending: Ending | None) -> FinishReason:
    """Give what the pipeline knows it by; what is neither cut off nor withheld is an answer."""
    return ending if ending in ("length", "filter") else "stop"
