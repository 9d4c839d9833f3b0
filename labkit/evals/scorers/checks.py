"""The scorer of a case's own checks: what the answer's text has to be or hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labkit.call.fingerprint import canonical_json
from labkit.call.result import Result
from labkit.errors import Unscorable
from labkit.evals.case import Case, Check
from labkit.evals.scorers.patterns import bounded, holds
from labkit.evals.scorers.score import Score

__all__ = ["CheckScorer", "answer_text"]

_DECODER = json.JSONDecoder()

# A threshold of 2/3 written as 0.6667 is none that 2 of 3 reach; one of 0.3 must not miss 0.1 + 0.2.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class CheckScorer:
    """The answer's text passes the checks of its case: promptfoo's assertions, for instance."""

    @property
    def name(self) -> str:
        return "checks"

    def score(self, case: Case, result: Result[Any]) -> Score:
        """Give the weighted share of checks that pass; it passes when each of them does.

        An ``assert-set`` passes from its threshold on and adds its own share. A check of weight 0 does not count. A
        call without a value scores 0.

        Raises:
            Unscorable: The case has no check that counts.
            Unscorable: A pattern or JSON would be looked for in a text of over ``TEXT_MAX_CHARS``.
        """
        if not any(check.weight for check in case.checks):
            raise Unscorable(f"case {case.id!r} has no check that counts: give it checks, or leave this scorer out")
        if not result.ok:
            return Score(value=0.0, passed=False, reason="no value")
        missed: list[str] = []
        share, passed = _share(case.checks, answer_text(result), missed)
        return Score(value=share, passed=passed, reason=f"not so: {'; '.join(missed)}" if missed else "")


def answer_text(result: Result[Any]) -> str:
    """Give the text that was served.

    A text is itself, another value what the model said of it, if a model answered last and no rule has changed it
    since; otherwise the value as JSON.
    """
    if isinstance(result.value, str):
        return result.value
    accepted = [a for a in result.attempts if a.outcome == "ok" and a.text is not None]
    by_model = result.source in ("model", "fallback_model") and not any(repair.by for repair in result.repairs)
    if by_model and accepted and accepted[-1].text is not None:
        return accepted[-1].text
    return json.dumps(result.data(), ensure_ascii=False)


def _share(checks: Sequence[Check], text: str, missed: list[str]) -> tuple[float, bool]:
    """Give the weighted share of *checks* that pass, and whether all do; name those that do not in *missed*."""
    total = gained = 0.0
    passed = True
    for check in checks:
        if not check.weight:
            continue
        if check.checks:
            share, holds = _set(check, text, missed)
        else:
            holds = _holds(check, text)
            share = float(holds)
            if not holds:
                missed.append(f"{check.type} {_short(check.value)}".rstrip())
        total += check.weight
        gained += check.weight * share
        passed = passed and holds
    return (gained / total, passed) if total else (1.0, True)


def _set(check: Check, text: str, missed: list[str]) -> tuple[float, bool]:
    own: list[str] = []
    share, passed = _share(check.checks, text, own)
    if check.threshold is not None:
        passed = share >= check.threshold - _ROUNDING
    if not passed:
        wanted = "all" if check.threshold is None else f"at least {check.threshold:.0%}"
        missed.append(f"{wanted} of a set, {share:.0%} held ({'; '.join(own)})")
    return share, passed


def _holds(check: Check, text: str) -> bool:
    kind = check.type.removeprefix("not-")
    return _found(kind, check.value, text) != check.type.startswith("not-")


def _found(kind: str, value: Any, text: str) -> bool:
    if kind.startswith("icontains"):
        return _found(kind[1:], _folded(value), text.casefold())
    match kind:
        case "equals":
            return text == value if isinstance(value, str) else _is_json_of(text, value)
        case "contains":
            return value in text
        case "contains-all":
            return all(part in text for part in value)
        case "contains-any":
            return any(part in text for part in value)
        case "starts-with":
            return text.startswith(value)
        case "regex":
            return holds(value, text)
        case "is-json":
            return _is_json(text)
        case "contains-json":
            return _holds_json(bounded(text))
    raise Unscorable(f"no check is called {kind!r}")


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else [part.casefold() for part in value]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_json_of(text: str, value: Any) -> bool:
    try:
        return canonical_json(json.loads(text)) == canonical_json(value)
    except (ValueError, RecursionError):
        return False


def _holds_json(text: str) -> bool:
    """Say whether an object or array begins anywhere in *text*."""
    for at in (n for n, char in enumerate(text) if char in "{["):
        try:
            _DECODER.raw_decode(text, at)
        except ValueError:
            continue
        except RecursionError:
            return False  # deeper than Python reads; each bracket after this one would take as long to find that out
        return True
    return False


def _short(value: Any) -> str:
    said = "" if value is None else repr(value)
    return said if len(said) <= 80 else f"{said[:79]}…"
