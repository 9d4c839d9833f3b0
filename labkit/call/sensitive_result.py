"""The result of a call whose input or output is marked: whole for its caller, and hidden wherever it is shown."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from labkit.call.redaction import Sensitive, holds_sensitive, redacted, scrubbed, secrets_in
from labkit.call.result import Result

__all__ = ["SensitiveResult", "secrets_in_text", "without_model_texts"]

_EXCERPT_CHARS = 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class SensitiveResult(Result[T]):
    """A result that holds what must not be written down.

    Args:
        kind: The output's type, marks included.
        secrets: Texts to hide wherever they stand.
    """

    kind: Any = None
    secrets: tuple[str, ...] = ()

    def hidden(self) -> Result[Any]:
        """Give the result with what is marked hidden, its value as JSON data."""
        shared = {field.name: getattr(self, field.name) for field in dataclasses.fields(Result)}
        if holds_sensitive(self.kind):
            shared |= without_model_texts(self)
        if self.ok:
            shared["value"] = redacted(self.value, self.kind)
        shared = {name: scrubbed(part, self.secrets) for name, part in shared.items()}
        return Result(**shared | {"is_hidden": True})

    def unwrap(self) -> T:
        """Like ``Result.unwrap``; the message hides what is marked."""
        # not super(): with slots the class that is made last is another
        return Result.unwrap(self) if self.ok else self.hidden().unwrap()

    def __repr__(self) -> str:
        return repr(self.hidden())

    def _explanation(self) -> str:
        return self.hidden()._explanation()

    def _repr_html_(self) -> str:
        return self.hidden()._repr_html_()


def secrets_in_text(kind: Any, text: str) -> tuple[str, ...]:
    """Give what must not be written down of a model's *text* that may not be a value of *kind*.

    Marked fields of whatever JSON is in it; and the text itself, which a message may quote where it could not be read.
    """
    if not holds_sensitive(kind):
        return ()
    # Loaded where something is marked: a tenth of what `import labkit` may take.
    from labkit.call.reading.candidates import candidates_in
    from labkit.call.reading.json_text import plain

    found = [secrets_in(kind, plain(each.value)) for each in candidates_in(text).candidates]
    whole = text.strip()
    quoted = {each for each in (whole, whole[:_EXCERPT_CHARS], text[:_EXCERPT_CHARS]) if each}
    return tuple(secret for secrets in found for secret in secrets) + secrets_in(
        list[Annotated[str, Sensitive]], list(quoted)
    )


def without_model_texts(result: Result[Any]) -> dict[str, Any]:
    """Give attempts and repairs without what the model said.

    What it said of a marked field cannot be told from the rest of its text before it is read.
    """
    return {
        "attempts": tuple(dataclasses.replace(each, text=None, reasoning=None) for each in result.attempts),
        "repairs": tuple(
            dataclasses.replace(each, before=None, after=None, alternatives=()) for each in result.repairs
        ),
    }
