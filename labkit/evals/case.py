"""A representative case: one input with what is expected of its answer, and the checks its text has to pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from labkit.call.fingerprint import digest
from labkit.evals.as_json import as_json

__all__ = ["CHECKS", "PATTERN_MAX_CHARS", "Case", "Check"]

PATTERN_MAX_CHARS = 1_000


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or value == "":
        raise ValueError("give a text to look for")
    return str(value)


_GAP = re.compile(r"[\s,]*")
# Possessive: what begins as an escape is one, and a text of backslashes takes no longer than another.
_PART = re.compile(r'"(?P<quoted>(?:\\["\\]|""|[^"])*+)"\s*+(?=,|\Z)|(?P<plain>[^",][^,]*+)')
_ESCAPED = re.compile(r'\\(["\\])|""')


def _parted(text: str) -> list[str]:
    """Part a text at its commas, as promptfoo does: one within double quotes belongs to its part."""
    parts = []
    at = _gap(text, 0)
    while at < len(text):
        found = _PART.match(text, at)
        if found is None:
            said = text[at : at + 40]
            raise ValueError(f"{said!r}: the quote is not closed, or something stands between it and the comma")
        quoted = found["quoted"]
        parts.append(found["plain"].strip() if quoted is None else _ESCAPED.sub(lambda each: each[1] or '"', quoted))
        at = _gap(text, found.end())
    return parts


def _gap(text: str, at: int) -> int:
    found = _GAP.match(text, at)
    return at if found is None else found.end()


def _texts(value: Any) -> list[str]:
    parts = _parted(value) if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not parts:
        raise ValueError("give a list of texts to look for")
    return [_text(part) for part in parts]


def _pattern(value: Any) -> str:
    pattern = _text(value)
    if len(pattern) > PATTERN_MAX_CHARS:
        raise ValueError(
            f"a pattern of {len(pattern):,} characters, at most {PATTERN_MAX_CHARS:,} are read: shorten it"
        )
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression of Python: {error}") from error
    return pattern


def _no_value(value: Any) -> None:
    if value not in (None, ""):
        raise ValueError("a schema belongs to the call: give it output=Model, and leave the value out")


CHECKS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "equals": lambda value: value,
        "contains": _text,
        "icontains": _text,
        "contains-all": _texts,
        "contains-any": _texts,
        "icontains-all": _texts,
        "icontains-any": _texts,
        "starts-with": _text,
        "regex": _pattern,
        "is-json": _no_value,
        "contains-json": _no_value,
    }
)
"""What can be asked of a text, by promptfoo's names, with the reader of each value; "not-" before it turns it round."""


class Check(BaseModel):
    """Something the answer's text has to be or hold.

    Args:
        type: A name in ``CHECKS``, also with "not-" before it, or ``assert-set``.
        value: What is looked for; a list of texts for the types in -all and -any.
        weight: Of the check in a score, 0 or more; 0 does not count.
        threshold: Of an ``assert-set``: the weighted share of its checks that must pass; None wants all of them.
        checks: Of an ``assert-set``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    value: Any = None
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    threshold: float | None = Field(default=None, ge=0, le=1)
    checks: tuple[Check, ...] = ()

    @field_validator("type")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name != "assert-set" and name.removeprefix("not-") not in CHECKS:
            known = ", ".join(CHECKS)
            raise ValueError(f"{name!r} is no check: use {known} (also with 'not-' before it), or a function scorer")
        return name

    @model_validator(mode="before")
    @classmethod
    def _read_value(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and (read := CHECKS.get(str(data.get("type")).removeprefix("not-"))):
            try:
                return {**data, "value": read(data.get("value"))}
            except ValueError as error:
                raise ValueError(f"{data['type']}: {error}") from error
        return data

    @model_validator(mode="after")
    def _is_a_set_or_a_check(self) -> Check:
        if (self.type == "assert-set") != bool(self.checks) or (self.threshold is not None and not self.checks):
            raise ValueError(f"{self.type}: an assert-set has checks and may have a threshold; no other check does")
        return self


def _plain(part: str, given: Any, info: ValidationInfo) -> Any:
    try:
        return as_json(given, part)
    except ValueError as error:
        raise ValueError(f"case {info.data.get('id')!r}: {error}") from error


class Case(BaseModel):
    """One input with what is expected of its answer.

    Args:
        id: Unique in its dataset; pairing two runs rests on it.
        input: The call's input as a mapping of fields.
        expected: What scorers compare with: a mapping of output fields, or any JSON data; ``{"any_of": [...]}`` where
            several answers are right; None where nothing is known. Python's own objects (``Decimal``, ``datetime``,
            models, dataclasses) are taken as the JSON data that an answer of theirs is.
        tags: Groups that comparisons slice by.
        note: For the reader.
        cluster: What the case has in common with others, such as a topic or a customer: their scores are not
            independent, and intervals are computed over clusters. None: it stands for itself.
        weight: How much it counts in a weighted rate; above 0.
        checks: What the answer's text has to pass, see ``labkit.evals.scorers.checks``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    input: dict[str, Any]
    expected: Any = None
    tags: tuple[str, ...] = ()
    note: str = ""
    cluster: str | None = None
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    checks: tuple[Check, ...] = ()

    @field_validator("id", "cluster", "tags", mode="before")
    @classmethod
    def _is_named_by_a_number(cls, given: Any) -> Any:
        """Take whole numbers as names: ids in files often are."""
        if isinstance(given, (list, tuple)):
            return tuple(cls._is_named_by_a_number(each) for each in given)
        return str(given) if isinstance(given, int) and not isinstance(given, bool) else given

    @field_validator("id")
    @classmethod
    def _can_be_seen(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("holds blanks alone: give the case a name that can be read")
        return text

    @field_validator("id", "cluster")
    @classmethod
    def _can_be_stored(cls, text: str | None) -> str | None:
        if text is not None and "\x00" in text:
            raise ValueError("holds a NUL character, which PostgreSQL cannot store: leave it out")
        return text

    @field_validator("input", mode="before")
    @classmethod
    def _asks_json(cls, given: Any, info: ValidationInfo) -> Any:
        return _plain("input", dict(given) if isinstance(given, BaseModel) else given, info)

    @field_validator("expected", mode="before")
    @classmethod
    def _expects_json(cls, given: Any, info: ValidationInfo) -> Any:
        """Take objects of Python's as the output schema writes them: answers are compared as JSON data."""
        return _plain("expected", given, info)

    @property
    def hash(self) -> str:
        """SHA-256 of input, expectation and checks: what the case asks, whatever it is called."""
        # Not cached: model_copy(update=...) would carry the old one over to another question.
        asked: list[Any] = [self.input, self.expected]
        if self.checks:
            asked.append([check.model_dump(exclude_defaults=True) for check in self.checks])
        return digest(asked)
