"""Cases and rows as they are kept and shown: with what the call marks as sensitive hidden. Scorers saw it whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from labkit.call.guarded import GuardedCall
from labkit.call.redaction import holds_sensitive, redacted, scrubbed, secrets_in
from labkit.call.sensitive_result import SensitiveResult
from labkit.evals.case import Case, Check
from labkit.evals.runs import Row

__all__ = ["hidden_case", "hidden_row"]


def hidden_case(case: Case, call: GuardedCall[Any]) -> Case:
    """Give *case* with what *call* marks hidden; itself where the call marks nothing."""
    return _hidden_case(case, call, _secrets_of(case, call)) if _marks(call) else case


def hidden_row(row: Row, call: GuardedCall[Any]) -> Row:
    """Give *row* with what *call* marks hidden; itself where the call marks nothing."""
    if not _marks(call):
        return row
    secrets = _secrets_of(row.case, call)
    if isinstance(row.result, SensitiveResult):
        secrets += row.result.secrets
    return dataclasses.replace(
        row,
        case=_hidden_case(row.case, call, secrets),
        result=scrubbed(row.result.hidden(), secrets),
        scores={
            name: dataclasses.replace(score, reason=scrubbed(score.reason, secrets))
            for name, score in row.scores.items()
        },
    )


def _secrets_of(case: Case, call: GuardedCall[Any]) -> tuple[str, ...]:
    """Give the texts of a case that must not be written down."""
    expected = [secrets_in(call.output, each) for each in _alternatives(case.expected)]
    return secrets_in(call.input, case.input) + tuple(secret for each in expected for secret in each)


def _marks(call: GuardedCall[Any]) -> bool:
    kinds: list[Any] = [call.input, call.output]
    return any(map(holds_sensitive, kinds))


def _hidden_case(case: Case, call: GuardedCall[Any], secrets: tuple[str, ...]) -> Case:
    expected = [redacted(each, call.output) for each in _alternatives(case.expected)]
    update: dict[str, Any] = {
        "input": redacted(case.input, call.input),
        "expected": {"any_of": expected} if _is_choice(case.expected) else expected[0],
        "note": case.note,
        "tags": case.tags,
    }
    update = {name: scrubbed(part, secrets) for name, part in update.items()}
    return case.model_copy(update=update | {"checks": tuple(_hidden_check(check, secrets) for check in case.checks)})


def _hidden_check(check: Check, secrets: tuple[str, ...]) -> Check:
    checks = tuple(_hidden_check(each, secrets) for each in check.checks)
    return check.model_copy(update={"value": scrubbed(check.value, secrets), "checks": checks})


def _is_choice(expected: Any) -> bool:
    return isinstance(expected, Mapping) and set(expected) == {"any_of"} and isinstance(expected["any_of"], list)


def _alternatives(expected: Any) -> list[Any]:
    return list(expected["any_of"]) if _is_choice(expected) else [expected]
