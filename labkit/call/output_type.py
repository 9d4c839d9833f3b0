"""Step 6: text becomes a value of the output type, or an error that says where it does not fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pydantic
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import to_jsonable_python

from labkit.call.inputs import field_errors
from labkit.call.repairs import Repair, RepairLevel
from labkit.call.result import FieldError, Reason
from labkit.call.schemas import inline_refs
from labkit.call.steps import StepFailed
from labkit.errors import CallInvalid, OutputRejected

__all__ = ["OutputType"]


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
        self.allows_none = self._accepts_none()

    def accept(self, text: str, level: RepairLevel) -> tuple[Any, tuple[Repair, ...]]:
        """Read *text* and validate what it says.

        Raises:
            StepFailed: Step ``output``: no JSON in it (outcome ``parse``), or not the schema's value (``schema``).
        """
        if self.schema is None:
            return self._checked(text), ()
        try:
            # Nearly all answers are JSON of the right types: read and validated at once, they need no comparison.
            return self._adapter.validate_json(text, strict=True), ()
        except ValueError as error:  # also half a surrogate pair, which is no UTF-8
            if level == "strict":
                raise self._failed(error) from error
        if (taken := self._as_pydantic_takes_it(text)) is not None:
            return taken
        # Loaded for the first answer that is not quite right: a tenth of what `import labkit` may take.
        from labkit.call.outputs import read

        try:
            reading = read(text, self.schema, level)
        except OutputRejected as rejected:
            errors = tuple(FieldError(path=path, type=kind, message=said) for path, kind, said in rejected.errors)
            raise StepFailed(
                Reason(step="output", outcome=rejected.outcome, message=str(rejected), errors=errors)
            ) from rejected
        value = self._checked(reading.value)
        return value, reading.repairs + self._coerced(reading.value, self.dump(value))

    def _as_pydantic_takes_it(self, text: str) -> tuple[Any, tuple[Repair, ...]] | None:
        """Whole JSON that the type accepts is nobody else's to interpret; its own validators may know more."""
        try:
            data = json.loads(text)
            value = self._adapter.validate_python(data)
        except (ValueError, RecursionError):
            return None
        return value, self._coerced(data, self.dump(value))

    def validate(self, value: Any) -> Any:
        """Give *value*, JSON data or an instance, as a valid instance.

        Raises:
            StepFailed: Step ``output``, outcome ``schema``, with every fault.
        """
        return self._checked(self.dump(value))

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
        return to_jsonable_python(value, by_alias=True)

    def _accepts_none(self) -> bool:
        try:
            self._adapter.validate_python(None)
        except Exception:  # a validator of the user's own may raise what it likes on None
            return False
        return True
