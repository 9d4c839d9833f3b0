"""Steps 1 and 2: the value enters, is normalized, and is validated before anything is spent on it."""

from __future__ import annotations

import re
import typing
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, TypeVar

import pydantic

from labkit.call.result import FieldError, Reason
from labkit.call.steps import StepFailed
from labkit.models.media import Media
from labkit.options import Count, checked

__all__ = ["Normalization", "field_errors", "media_fields", "normalize_text", "take", "validate"]

In = TypeVar("In", bound="pydantic.BaseModel")

# Control characters but tab and newline, lone surrogates, zero-width and bidirectional controls: none of them can be
# seen, and each has been used to smuggle text past a reader. The joiners U+200C and U+200D stay: Persian and emoji
# need them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
)
# A vertical tab and a form feed, which parts the pages of a document, keep words apart like any other.
_LINE_END = re.compile("\r\n?|[\x0b\x0c]")
_BLANKS = re.compile(r"[ \t]{2,}|\t")
_BLANK_LINES = re.compile(r"\n{3,}")


@checked()
@dataclass(frozen=True, slots=True, kw_only=True)
class Normalization:
    """What is done to every string of an input before it is validated.

    Layout is left as it is: indentation, tables, blanks at the ends of lines can all mean something.

    Args:
        unicode: Compose to NFC, so that equal text is equal.
        invisible: Let every line end with "\\n", and remove control, zero-width and bidirectional characters.
        whitespace: Take off empty lines before and after a text, and blanks around a text of one line.
        fold_blanks: Also make one blank of runs of blanks and tabs, and one empty line of several: for prose alone,
            code and tables lose their layout.
        max_chars: Most characters of all strings together; more is refused before any work is done on them.
    """

    unicode: bool = True
    invisible: bool = True
    whitespace: bool = True
    fold_blanks: bool = False
    max_chars: Count = 200_000


def normalize_text(text: str, options: Normalization) -> str:
    """Give *text* as the model should see it; the same object when there is nothing to do."""
    if options.invisible:
        text = _INVISIBLE.sub("", _LINE_END.sub("\n", text))
    if options.unicode and not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if options.fold_blanks:
        text = _BLANK_LINES.sub("\n\n", _BLANKS.sub(" ", text))
    return _trimmed(text) if options.whitespace else text


def _trimmed(text: str) -> str:
    inner = text.strip()
    if len(inner) == len(text) or "\n" not in inner:
        return inner
    # the first line's indentation is that of code, and the last line may be a table's row that ends in empty cells
    begin, end = len(text) - len(text.lstrip()), len(text.rstrip())
    last = text.find("\n", end)
    return text[text.rfind("\n", 0, begin) + 1 : len(text) if last == -1 else last]


def take(input_type: type[In], given: tuple[Any, ...], fields: Mapping[str, Any]) -> Any:
    """Step 1: a model, a mapping, or keywords; nothing is checked yet.

    Raises:
        StepFailed: None of these was given, or more than one.
    """
    if len(given) > 1 or (given and fields):
        raise _rejected(f"give one {input_type.__name__}, one mapping, or keywords, not several of them")
    if not given:
        return dict(fields)
    value = given[0]
    if isinstance(value, input_type):
        return value
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump()
    if isinstance(value, Mapping):
        return dict(value)
    raise _rejected(
        f"a {type(value).__name__} is not an input: give a {input_type.__name__}, a mapping of its fields, or keywords"
    )


def validate(input_type: type[In], raw: Any, options: Normalization) -> In:
    """Step 2: normalize every string, then let pydantic decide.

    Raises:
        StepFailed: The value is too large or does not fit; every fault is named with its field.
    """
    is_model = isinstance(raw, input_type)
    data = dict(raw) if is_model else raw
    # media have limits of their own, and a picture as a data: URL is no text
    apart = {name: data[name] for name in media_fields(input_type) & data.keys()}
    data = {name: part for name, part in data.items() if name not in apart} if apart else data
    if _count_chars(data, options.max_chars) > options.max_chars:
        raise _rejected(
            f"the input holds over {options.max_chars:,} characters; shorten it or raise Normalization(max_chars=)"
        )
    try:
        clean = _normalize(data, options)
        if is_model and clean == data:
            return raw  # type: ignore[no-any-return]  # already validated, and nothing was changed
        clean = clean | apart if apart else clean
        return input_type.model_validate(clean, by_name=True if is_model else None)
    except RecursionError as error:
        raise _rejected("the input is nested too deeply to be read; flatten it") from error
    except pydantic.ValidationError as error:
        errors = field_errors(error)
        raise StepFailed(
            Reason(
                step="validate",
                outcome="schema",
                message=f"{input_type.__name__}: " + "; ".join(f"{e.path or 'input'}: {e.message}" for e in errors),
                errors=errors,
            )
        ) from error


@lru_cache(maxsize=1024)
def media_fields(input_type: type[pydantic.BaseModel]) -> frozenset[str]:
    """Give the names, aliases included, under which *input_type* takes media and nothing else."""
    found: set[str] = set()
    for name, field in input_type.model_fields.items():
        if _is_media(field.annotation):
            found |= {given for given in (name, field.alias, field.validation_alias) if isinstance(given, str)}
    return frozenset(found)


def _is_media(kind: Any) -> bool:
    parts = [part for part in typing.get_args(kind) if part not in (type(None), Ellipsis)]
    if typing.get_origin(kind) is Annotated:
        return _is_media(parts[0])
    return all(map(_is_media, parts)) if parts else isinstance(kind, type) and issubclass(kind, Media)


def field_errors(error: pydantic.ValidationError) -> tuple[FieldError, ...]:
    """Pydantic's faults as dotted paths and sentences, without the values: they may be private."""
    return tuple(
        FieldError(path=".".join(str(part) for part in fault["loc"]), type=fault["type"], message=fault["msg"])
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    )


def _rejected(message: str) -> StepFailed:
    return StepFailed(
        Reason(
            step="validate",
            outcome="schema",
            message=message,
            errors=(FieldError(path="", type="input", message=message),),
        )
    )


def _count_chars(data: Any, limit: int) -> int:
    """Characters of all strings in *data*, counted no further than past *limit*."""
    total = 0
    queue = [data]
    while queue and total <= limit:
        item = queue.pop()
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, Mapping):
            queue.extend(item.values())
        elif isinstance(item, pydantic.BaseModel):
            queue.extend(dict(item).values())
        elif isinstance(item, (list, tuple, set, frozenset)):
            queue.extend(item)
    return total


def _normalize(data: Any, options: Normalization) -> Any:
    if isinstance(data, str):
        return normalize_text(data, options)
    if isinstance(data, dict):
        return {key: _normalize(item, options) for key, item in data.items()}
    if isinstance(data, pydantic.BaseModel):
        clean = {name: _normalize(item, options) for name, item in data}
        return data if clean == dict(data) else type(data).model_validate(clean)
    if type(data) in (list, tuple, set, frozenset):
        return type(data)(_normalize(item, options) for item in data)
    return data
