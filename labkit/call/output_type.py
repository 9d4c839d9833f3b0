"""Step 6: text becomes a value of the output type, or an error that says where it does not fit."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pydantic
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from labkit.call.blanks import is_blank
from labkit.call.inputs import field_errors
from labkit.call.instances import Revalidator, differences, equal
from labkit.call.keeping import Keeper
from labkit.call.repairs import Repair, RepairLevel
from labkit.call.result import FieldError, Reason
from labkit.call.schemas import inline_refs
from labkit.call.steps import StepFailed
from labkit.errors import CallInvalid, OutputRejected

__all__ = ["OutputType"]

_NOTHING: Any = object()
_FRACTION = re.compile(r"\d\.\d|\d[eE][-+]?\d")
# Where reasoning might begin or end; most texts hold none of these, and are not looked at twice.
_MARKS = ("<", "[/THINK]", "◁", "[THINK]")


class OutputType:
    """The type a call promises, with its JSON Schema and its validator, compiled once.

    Args:
        wanted: A pydantic model, or any type pydantic can validate; ``str`` takes the model's text as it is.

    Raises:
        CallInvalid: Pydantic cannot make a validator or a schema of it.
    """

    def __init__(self, wanted: Any) -> None:
        self.wanted = wanted
        self.name = getattr(wanted, "__name__", str(wanted))
        try:
            self._adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(wanted)
            full_schema = self._adapter.json_schema()
        except (PydanticSchemaGenerationError, PydanticUserError) as error:
            raise CallInvalid(f"output={self.name}: pydantic cannot make a schema of it: {error.message}") from error
        self.schema: Mapping[str, Any] | None = None if wanted is str else inline_refs(full_schema)
        self._read_as, self._has_decimals = self._reading_schema(full_schema)
        self._again = Revalidator(self._adapter)
        self.keeper = Keeper(self._adapter, self.name)
        self.allows_none = self._accepts_none()

    def accept(self, text: str, level: RepairLevel) -> tuple[Any, tuple[Repair, ...]]:
        """Read *text* and validate what it says.

        Raises:
            StepFailed: Step ``output``: no JSON in it (outcome ``parse``), or not the schema's value (``schema``).
        """
        if is_blank(text):
            return self._meant_by_nothing(), ()
        if self.schema is None:
            return self._text(text)
        if self._has_decimals and _FRACTION.search(text):
            text = self._with_all_digits(text)
        try:
            # Nearly all answers are JSON of the right types: read and validated at once, they need no comparison.
            return self._adapter.validate_json(text, strict=True), ()
        except ValueError as error:  # also half a surrogate pair, which is no UTF-8
            if level == "strict":
                raise self._failed(error) from error
        if (taken := self._as_pydantic_takes_it(text)) is not None:
            return taken
        # Loaded for the first answer that is not quite right: a tenth of what `import labkit` may take.
        from labkit.call.outputs import pick

        try:
            reading = pick(text, self._read_as, level)
        except OutputRejected as rejected:
            raise _as_step(rejected) from rejected
        value = self._from_data(reading.value)
        return value, reading.repairs + self._coerced(reading.value, self.dump(value))

    def answer_in(self, text: str) -> tuple[str, tuple[Repair, ...]]:
        """Give *text* without the reasoning that a model put before its answer, and what was taken off.

        Raises:
            StepFailed: Step ``output``, outcome ``parse``: there is nothing but reasoning.
        """
        if not any(mark in text for mark in _MARKS):
            return text, ()
        from labkit.call.outputs import answer_in, is_text

        try:
            return answer_in(text, is_text=self.schema is None or is_text(self.schema))
        except OutputRejected as rejected:
            raise _as_step(rejected) from rejected

    def _text(self, text: str) -> tuple[Any, tuple[Repair, ...]]:
        answer, taken = self.answer_in(text)
        return (self._meant_by_nothing() if is_blank(answer) else self._checked(answer)), taken

    def _meant_by_nothing(self) -> Any:
        """Give what an empty text means to a type that says so; to all others a provider that says nothing has not
        answered.

        Raises:
            StepFailed: Step ``output``, outcome ``parse``: it means nothing.
        """
        schema = self.schema or {}
        if {option.get("type") for option in schema.get("anyOf", ())} == {"string", "null"}:
            return None
        # only who wrote min_length=0 or Literal[""] himself has asked for it
        is_asked_for = schema.get("type") == "string" and schema.get("minLength") == 0
        if is_asked_for or "" in schema.get("enum", (schema.get("const"),)):
            return self._checked("")
        said = "the model gave no text at all"
        raise StepFailed(
            Reason(
                step="output", outcome="parse", message=said, errors=(FieldError(path="", type="blank", message=said),)
            )
        )

    def _reading_schema(self, full: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, bool]:
        """Give the schema that texts are read by, and whether it holds decimals."""
        if self.schema is None or not {"anyOf", "number"} <= _words_in(full):
            return self.schema, False
        from labkit.call.decimal_schema import WithDecimals

        exact = inline_refs(self._adapter.json_schema(schema_generator=WithDecimals))
        has_decimals = "decimal" in _words_in(exact)
        return (exact, True) if has_decimals else (self.schema, False)

    def _with_all_digits(self, text: str) -> str:
        """Write decimals as JSON texts: of a JSON number of 17 digits pydantic would keep 16."""
        from labkit.call.reading.align import Fault, align
        from labkit.call.reading.json_text import EXACT

        try:
            fit = align(EXACT.decode(text), self._read_as or {}, fills=False)
            return text if fit.repairs else json.dumps(fit.value)
        except (ValueError, RecursionError, Fault):
            return text

    def _as_pydantic_takes_it(self, text: str) -> tuple[Any, tuple[Repair, ...]] | None:
        """Whole JSON that the type accepts is nobody else's to interpret; its own validators may know more."""
        try:
            value = self._adapter.validate_json(text)
            data = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return value, self._coerced(data, self.dump(value))

    def validate(self, value: Any, accepted: Any = _NOTHING) -> Any:
        """Give *value*, an instance or JSON data, as a valid instance.

        An instance is looked into field by field, and is given back itself: what it would be dumped as does not matter,
        and validators that make something else of a value are not run over it a second time.

        Args:
            accepted: A value that was accepted before: faults that it has too are not those of *value*.

        Raises:
            StepFailed: Step ``output``, outcome ``schema``, with every fault.
        """
        try:
            once = self._again.validate(value)
        except pydantic.ValidationError as error:
            if accepted is not _NOTHING and _faults(error) <= self._faults_of(accepted):
                return value
            if (restored := self._through_dump(value)) is not _NOTHING:
                return restored
            raise self._failed(error) from error
        if next(differences(once, value), None) is None:
            return value
        try:
            is_settled = next(differences(self._again.validate(once), once), None) is None
        except pydantic.ValidationError:
            is_settled = True
        return once if is_settled else value

    def _faults_of(self, value: Any) -> frozenset[tuple[str, str]]:
        try:
            self._again.validate(value)
        except pydantic.ValidationError as error:
            return _faults(error)
        return frozenset()

    def _through_dump(self, value: Any) -> Any:
        """Give what *value* is dumped as: for an object of another type, or a type that only reads its dump."""
        try:
            restored = self._adapter.validate_python(self.dump(value))
        except (ValueError, TypeError, PydanticSerializationError):
            return _NOTHING
        if type(restored) is not type(value):
            return restored
        return value if equal(restored, value) else _NOTHING

    def check_keepable(self, call: str) -> None:
        """Find out whether a cache could keep values of this type.

        Raises:
            CallInvalid: It could not, with the field and the mend.
        """
        try:
            self.keeper.check()
        except CallInvalid as error:
            raise CallInvalid(f"{call}: {error}") from error

    def restore(self, form: Any) -> Any:
        """Give the value that the keeper made *form* of.

        Raises:
            StepFailed: Step ``output``, outcome ``schema``: the type has changed since.
        """
        try:
            return self.keeper.restore(form)
        except pydantic.ValidationError as error:
            raise self._failed(error) from error

    def _from_data(self, data: Any) -> Any:
        """Validate JSON data as JSON, where a date is a text also to a strict type."""
        try:
            written = to_json(data)
        except (ValueError, PydanticSerializationError):  # half a surrogate pair
            return self._checked(data)
        try:
            return self._adapter.validate_json(written)
        except pydantic.ValidationError as error:
            raise self._failed(error) from error

    def _checked(self, data: Any) -> Any:
        try:
            return self._adapter.validate_python(data)
        except pydantic.ValidationError as error:
            raise self._failed(error) from error

    def _failed(self, error: ValueError) -> StepFailed:
        if not isinstance(error, pydantic.ValidationError):
            return StepFailed(Reason(step="output", outcome="parse", message=f"{self.name}: {error}"))
        errors = field_errors(error)
        return StepFailed(
            Reason(
                step="output",
                outcome="parse" if errors[0].type == "json_invalid" else "schema",
                message=f"{self.name}: " + "; ".join(f"{e.path or 'value'}: {e.message}" for e in errors),
                errors=errors,
            )
        )

    def _coerced(self, before: Any, after: Any, path: str = "") -> tuple[Repair, ...]:
        """What pydantic changed by itself: "4" became 4. Only changes of kind count, not a date's other spelling."""
        if isinstance(before, dict) and isinstance(after, dict):
            shared = before.keys() & after.keys()
            return tuple(
                r for key in shared for r in self._coerced(before[key], after[key], f"{path}.{key}".lstrip("."))
            )
        if isinstance(before, list) and isinstance(after, list):
            pairs = enumerate(zip(before, after, strict=False))
            return tuple(r for i, (b, a) in pairs for r in self._coerced(b, a, f"{path}.{i}".lstrip(".")))
        if type(before) is type(after) or (type(before) is int and type(after) is float):
            return ()
        return (Repair(kind="coerced", path=path, before=before, after=after, cost=1.0),)

    def dump(self, value: Any) -> Any:
        """Give *value* as JSON data."""
        return to_jsonable_python(value, by_alias=True, fallback=repr)

    def _accepts_none(self) -> bool:
        try:
            self._adapter.validate_python(None)
        except Exception:  # a validator of the user's own may raise what it likes on None
            return False
        return True


def _as_step(rejected: OutputRejected) -> StepFailed:
    errors = tuple(FieldError(path=path, type=kind, message=said) for path, kind, said in rejected.errors)
    return StepFailed(Reason(step="output", outcome=rejected.outcome, message=str(rejected), errors=errors))


def _faults(error: pydantic.ValidationError) -> frozenset[tuple[str, str]]:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return frozenset((".".join(map(str, each["loc"])), each["type"]) for each in found)


def _words_in(schema: Mapping[str, Any]) -> set[str]:
    return set(re.findall(r"\w+", json.dumps(schema, default=repr)))
