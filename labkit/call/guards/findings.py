"""What a guard found and what becomes of it: a rejection that does not repeat it, or a text with it blacked out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from labkit.call.guards.passages import STRING
from labkit.call.rules import Reject
from labkit.errors import CallInvalid

__all__ = ["Action", "Finding", "check_action", "verdict"]

Action = Literal["reject", "redact"]

_NAMED = 3
_OPENERS, _CLOSERS = "{[", "}]"


@dataclass(frozen=True, slots=True)
class Finding:
    """One place that must not go on: *kind* ("email") at [start, end) of the model's text."""

    kind: str
    start: int
    end: int


def verdict(raw: str, findings: Sequence[Finding], *, action: Action, subject: str, mend: str) -> str | Reject | None:
    """Reject *raw* for its findings, or replace each by its kind in brackets.

    Args:
        raw: The model's text.
        findings: In any order; those that overlap count as one.
        action: What to do.
        subject: What they are, for the reason: "personal data".
        mend: What the model shall do instead, for the reason.

    Returns:
        None when there is nothing; else the new text or a Reject. Its reason names kinds and places, never what stands
        there: reasons go to logs and back to the model.
    """
    merged = _merged(findings)
    if not merged:
        return None
    if action == "redact":
        return _redacted(raw, merged)
    places = [f"{finding.kind} at character {finding.start + 1}" for finding in merged[:_NAMED]]
    if len(merged) > _NAMED:
        places.append(f"{len(merged) - _NAMED} more")
    return Reject(f"{subject}: {', '.join(places)}; {mend}")


def check_action(owner: str, action: str) -> None:
    """Refuse an action that is neither of the two.

    Raises:
        CallInvalid: It is neither.
    """
    if action not in ("reject", "redact"):
        raise CallInvalid(f"{owner}(action={action!r}): give 'reject' or 'redact'")


def _merged(findings: Sequence[Finding]) -> list[Finding]:
    merged: list[Finding] = []
    for finding in sorted(findings, key=lambda f: (f.start, -f.end)):
        if merged and finding.start < merged[-1].end:
            last = merged.pop()
            finding = Finding(last.kind, last.start, max(last.end, finding.end))
        merged.append(finding)
    return merged


def _redacted(raw: str, findings: Sequence[Finding]) -> str:
    bare = _outside_json_strings(raw, findings)
    pieces, end = [], 0
    for finding in findings:
        mark = f"[{finding.kind}]"
        pieces += [raw[end : finding.start], f'"{mark}"' if finding.start in bare else mark]
        end = finding.end
    return "".join([*pieces, raw[end:]])


def _outside_json_strings(raw: str, findings: Sequence[Finding]) -> set[int]:
    """Starts of findings that are bare JSON numbers: their mark needs quotes, or the text is no JSON any more."""
    begin = min((at for at in map(raw.find, _OPENERS) if at >= 0), default=-1)
    end = max(map(raw.rfind, _CLOSERS)) + 1
    if begin < 0:
        return set()
    try:
        json.loads(raw[begin:end])
    except (ValueError, RecursionError):
        return set()  # prose, or JSON that has to be repaired anyway
    strings = [(begin + m.start(), begin + m.end()) for m in STRING.finditer(raw[begin:end])]
    bare, place = set(), 0
    for finding in findings:
        while place < len(strings) and strings[place][1] <= finding.start:
            place += 1
        inside = place < len(strings) and strings[place][0] <= finding.start
        if begin <= finding.start < end and not inside:
            bare.add(finding.start)
    return bare
