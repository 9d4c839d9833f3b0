"""Step 6: what a model wrote is read as JSON, as well as it honestly can be; everything done to it is listed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from labkit.call.reading.align import Aligned, Fault, align, member_names
from labkit.call.reading.candidates import Candidate, candidates_in
from labkit.call.reading.json_text import EXACT, Plain, plain
from labkit.call.reading.reasoning import UnclosedReasoning, without_reasoning
from labkit.call.reading.validity import fault_in
from labkit.call.repairs import Repair, RepairLevel
from labkit.errors import OutputRejected

__all__ = ["Reading", "answer_in", "is_text", "pick", "read"]

_COSTS = {"syntax": 1.0, "unclosed": 2.0, "quotes": 2.0, "escapes": 1.0, "structure": 2.0, "words": 2.0}
_COSTS |= {"list": 2.0, "apart": 4.0, "aside": 5.0}
# Between two values, these say that the second one is meant.
_WITHDRAWING = frozenset({
    "actually", "answer", "answers", "becomes", "better", "but", "correct", "corrected", "correction", "final",
    "finally", "fixed", "hmm", "i", "instead", "is", "my", "no", "not", "now", "oops", "or", "our", "rather", "result",
    "revised", "should", "so", "sorry", "then", "updated", "wait", "was", "we",
})  # fmt: skip
# What may stand between the objects of a row: commas, bullets, numbers, the marks of fences.
_GAP = re.compile(r"[\s,;]*(?:```\s*(?:```\w*)?\s*)?(?:[-*•]|\d{1,4}[.)])?\s*")
_MOST_CHARS = 200_000
_MOST_FITS = 100
_NOTHING: Any = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A value as read from text, with what was done to it; pydantic has not seen it yet."""

    value: Any
    repairs: tuple[Repair, ...] = ()


def read(text: str, schema: Mapping[str, Any] | bool | None, repair: RepairLevel = "aligned") -> Reading:
    """Read the value that *text* holds.

    Args:
        text: What the model wrote.
        schema: JSON Schema of the wanted value; a string's takes the text as it is; None takes any object or list.
        repair: ``strict`` takes JSON as it came. ``safe`` also takes it out of fences and prose, mends its syntax, and
            coerces what has one possible meaning. ``aligned`` also picks among several, the last one first, and says
            what else it could have been.

    Raises:
        OutputRejected: There is no JSON in it (outcome ``parse``), or none that the schema could mean (``schema``).
    """
    reading = pick(text, schema, repair, fills=True)
    if schema is not None and (fault := fault_in(reading.value, schema)) is not None:
        raise OutputRejected(str(fault), errors=[(fault.path, "schema", fault.said)])
    return reading


def pick(
    text: str, schema: Mapping[str, Any] | bool | None, repair: RepairLevel = "aligned", *, fills: bool = False
) -> Reading:
    """Read as ``read`` does, for a type that checks bounds and knows defaults: only the value's shape is looked at."""
    if repair == "strict" and (value := _strict(text, schema)) is not _NOTHING:
        return Reading(value=value)
    answer, taken = answer_in(text, is_text=is_text(schema))
    if is_text(schema):
        return Reading(value=answer, repairs=taken)
    if not answer.strip():
        raise _no_json("the text is empty")
    try:
        reading = _picked(answer, schema, is_safe=repair == "safe", fills=fills)
    except RecursionError:
        raise OutputRejected(
            "the value is nested too deeply to be read", errors=[("", "schema", "nested too deeply")]
        ) from None
    return Reading(value=reading.value, repairs=taken + reading.repairs)


def is_text(schema: Mapping[str, Any] | bool | None) -> bool:
    """Whether what is wanted is text, so that any text is an answer."""
    return isinstance(schema, Mapping) and schema.get("type") == "string" and not schema.keys() & {"enum", "const"}


def answer_in(text: str, *, is_text: bool) -> tuple[str, tuple[Repair, ...]]:
    """Give *text* without the reasoning that stands in it, and what was taken off as a repair.

    Raises:
        OutputRejected: There is nothing but reasoning (outcome ``parse``).
    """
    try:
        thoughts = without_reasoning(text, is_text=is_text)
    except UnclosedReasoning:
        said = "the text ends within its reasoning, before any answer"
        raise OutputRejected(said, outcome="parse", errors=[("", "parse", said)]) from None
    if thoughts is None:
        return text, ()
    if not thoughts.answer:
        said = "no answer follows the reasoning"
        raise OutputRejected(said, outcome="parse", errors=[("", "parse", said)])
    return thoughts.answer, (Repair(kind="reasoning", path=""),)  # what was thought is in the attempt


def _strict(text: str, schema: Mapping[str, Any] | bool | None) -> Any:
    """Give the JSON that *text* is; where text is wanted, a JSON string, and _NOTHING for any other text."""
    try:
        value = plain(EXACT.decode(text))
        return value if isinstance(value, str) or not is_text(schema) else _NOTHING
    except (ValueError, RecursionError) as error:
        if is_text(schema):
            return _NOTHING
        raise OutputRejected("the text is not JSON", outcome="parse", errors=[("", "parse", "not JSON")]) from error


# --- picking ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Fit:
    """A candidate that fits."""

    candidate: Candidate
    aligned: Aligned

    @property
    def is_whole(self) -> bool:
        return "unclosed" not in self.candidate.kinds

    @property
    def is_related(self) -> bool:
        return not any(repair.kind == "unrelated" for repair in self.aligned.repairs)


@dataclass(frozen=True, slots=True)
class _Misfit:
    """A candidate that does not, and why."""

    candidate: Candidate
    fault: Fault


def _picked(text: str, schema: Mapping[str, Any] | bool | None, *, is_safe: bool, fills: bool) -> Reading:
    found = candidates_in(text)
    candidates = found.candidates
    if schema is None or (isinstance(schema, Mapping) and schema.get("type") == "array"):
        candidates = _as_items(text, candidates, is_wanted=schema is not None)
    tried = [_tried(text, each, schema, fills=fills) for each in candidates]
    if not candidates and schema is not None and len(text) <= _MOST_CHARS:
        # a lone label, number or word, with or without others around it
        alone = Candidate(value=Plain(text.strip()), kinds=(), start=0, end=len(text))
        tried = [_tried(text, alone, schema, fills=fills)]
    fits = _outermost([each for each in tried if isinstance(each, _Fit)])
    if any(fit.is_related for fit in fits):
        fits = [fit for fit in fits if fit.is_related]
    if not fits or (is_safe and not any(fit.aligned.is_sure for fit in fits)):
        raise _rejected(tried, schema)
    if not is_safe:
        return _last(text, fits, schema)
    values = _different(fits)
    if len(values) > 1:
        raise _ambiguous(f"the text holds {len(values)} different values that fit")
    last = tried[-1]
    if isinstance(last, _Misfit) and _is_meant(last, schema):
        raise _ambiguous(f"what fits is followed by something that does not: {last.fault}")
    if not found.is_all:
        raise _ambiguous("the text is too tangled to be sure that it holds no other value")
    best = min((fit.aligned for fit in fits if fit.aligned.is_sure), key=lambda aligned: aligned.cost)
    return Reading(value=best.value, repairs=best.repairs)


def _last(text: str, fits: list[_Fit], schema: Mapping[str, Any] | bool | None) -> Reading:
    """Take the last value, of those that are whole and in bounds if there are any, and list the others."""
    best = fits[-_MOST_FITS:]
    if len(best) > 1:
        best = [fit for fit in best if _is_good(fit.aligned.value, schema)] or best
        best = [fit for fit in best if fit.is_whole] or best
    n = len(best) - 1
    while n > 0 and _are_side_by_side(text, best[n - 1].candidate, best[n].candidate):
        n -= 1
    chosen = best[n].aligned
    key = _key(chosen.value)
    others = tuple(value for each, value in _different(fits).items() if each != key)
    if not others:
        return Reading(value=chosen.value, repairs=chosen.repairs)
    picked = Repair(kind="ambiguous", path="", before=_excerpt(text), cost=1.0, alternatives=others[:20])
    return Reading(value=chosen.value, repairs=(*chosen.repairs, picked))


def _is_good(value: Any, schema: Mapping[str, Any] | bool | None) -> bool:
    return bool(value) if schema is None else fault_in(value, schema) is None


def _are_side_by_side(text: str, one: Candidate, other: Candidate) -> bool:
    """Whether two values were given together: hardly a word stands between them, and none that withdraws the first."""
    gap = text[one.end : other.start]
    if not gap or ("fence" in one.kinds) != ("fence" in other.kinds):
        return False
    if "fence" in one.kinds:
        gap = re.sub(r"\s*```\w*\s*", "", gap)
    words = re.findall(r"\w+", gap)
    return len(words) <= 3 and not re.search(r"[^\w ]", gap) and not _WITHDRAWING.intersection(map(str.lower, words))


def _tried(text: str, candidate: Candidate, schema: Mapping[str, Any] | bool | None, *, fills: bool) -> _Fit | _Misfit:
    wrapping = tuple(
        Repair(kind=kind, path="", before=_excerpt(text), cost=_COSTS.get(kind, 0.0)) for kind in candidate.kinds
    )
    try:
        aligned = Aligned(plain(candidate.value)) if schema is None else align(candidate.value, schema, fills=fills)
    except Fault as fault:
        return _Misfit(candidate, fault)
    repairs = aligned.repairs
    if not candidate.kinds and schema is not None and fault_in(plain(candidate.value), schema) is None:
        # the whole answer is what the schema says: that this is little is the schema's choice
        repairs = tuple(each for each in repairs if each.kind != "unrelated")
    return _Fit(candidate, Aligned(aligned.value, wrapping + repairs))


def _as_items(text: str, candidates: list[Candidate], *, is_wanted: bool) -> list[Candidate]:
    """Several objects in a row are the items of one list; apart from each other nobody knows whether they are.

    Args:
        is_wanted: A list is what was asked for.
    """
    items = candidates if is_wanted else [each for each in candidates if each.value]
    if len(items) < 2 or not all(isinstance(each.value, dict) for each in items):
        return candidates
    gaps = [text[one.end : other.start] for one, other in pairwise(items)]
    is_row = all(_GAP.fullmatch(gap) for gap in gaps)
    if not is_wanted and not (is_row and all("," in gap for gap in gaps)):
        return candidates
    kinds = dict.fromkeys(kind for each in items for kind in each.kinds if not (is_row and kind == "prose"))
    row = Candidate(
        value=[each.value for each in items], kinds=(*kinds, "list" if is_row and is_wanted else "apart"),
        start=items[0].start, end=items[-1].end,
    )  # fmt: skip
    return [row]


def _outermost(fits: list[_Fit]) -> list[_Fit]:
    """Leave out what stands within another one: the string of a value is not a second answer."""
    kept: list[_Fit] = []
    end = -1
    for fit in fits:
        if fit.candidate.end <= end:
            continue
        kept.append(fit)
        if fit.is_whole:
            end = max(end, fit.candidate.end)
    return kept


def _different(fits: list[_Fit]) -> dict[str, Any]:
    return {_key(fit.aligned.value): fit.aligned.value for fit in fits}


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def _is_meant(misfit: _Misfit, schema: Mapping[str, Any] | bool | None) -> bool:
    """Whether a value that does not fit was an attempt at the answer: it has a member that the type has."""
    value = misfit.candidate.value
    if isinstance(value, list):
        return isinstance(schema, Mapping) and schema.get("type") == "array"
    return isinstance(value, dict) and schema is not None and not value.keys().isdisjoint(member_names(schema))


def _rejected(tried: Sequence[_Fit | _Misfit], schema: Mapping[str, Any] | bool | None) -> OutputRejected:
    fits = [each.aligned for each in tried if isinstance(each, _Fit)]
    if any(repair.kind == "plain" for fit in fits for repair in fit.repairs):
        return _no_json("the text holds no JSON")
    if fits:
        said = "it can be read only by picking among several meanings, which repair='aligned' allows"
        return _ambiguous(said)
    faults = [each.fault for each in tried if isinstance(each, _Misfit)]
    is_prose = not any(isinstance(each.candidate.value, (dict, list)) for each in tried)
    if not faults or (is_prose and isinstance(schema, Mapping) and schema.get("type") in ("object", "array")):
        return _no_json("the text holds no JSON")
    deepest = max(faults, key=lambda fault: fault.path.count(".") + bool(fault.path))
    return OutputRejected(str(deepest), errors=[(fault.path, "schema", fault.said) for fault in faults[:20]])


def _no_json(said: str) -> OutputRejected:
    return OutputRejected(said, outcome="parse", errors=[("", "parse", "no JSON found")])


def _ambiguous(said: str) -> OutputRejected:
    return OutputRejected(said, outcome="schema", errors=[("", "ambiguous", said)])


def _excerpt(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"
