"""Every error labkit raises. A message says where, what was seen, and what to do.

    LabkitError
    ├── CallInvalid          a GuardedCall, Prompt or Policy that cannot work, found when it is made
    ├── OptionInvalid        an argument of anything else that cannot be meant; a ValueError and a TypeError too
    ├── ReplayMissed         Cache(mode="replay") has no answer to the question
    ├── CallFailed           Result.unwrap() on a call that has no value
    ├── LoopMisuse           the sync API was used where it would deadlock
    ├── ModelError           one completion that did not come; carries the attempt's outcome
    ├── OutputRejected       text that is not the value the schema asks for
    ├── MissingDependency    an extra that is not installed; names the pip command
    ├── Unscorable           a case or an answer that a scorer cannot judge; a LookupError too
    ├── DatasetInvalid       a row that cannot be a case; names file and line
    ├── TooFewCases          a statistic that cannot be estimated from so little
    ├── RunsDiffer           two runs that cannot be paired
    ├── StoreError           a store that cannot be opened, read or written
    │   ├── StoreGone        a store that was deleted or replaced while it was in use
    │   └── StoreMissing     no store is there to read, or no run was ever kept in it
    ├── RunStopped           an evaluation that ended early; what was answered is stored and it can be resumed
    ├── ExportRefused        a name that cannot leave the notebook; names the cell and line
    ├── NotebookFailed       a notebook that did not run to its end; names the cell and its error
    ├── NotificationFailed   word of a run that could not be sent
    └── QualityRegression    the gate failed

What Python's own protocols ask for stays Python's: KeyError for a case that is not in a run, IndexError past its end.

``LabkitWarning`` is the category of its warnings.

Operational failures (a provider that is down, an answer that breaks the schema) never raise out of a
guarded call: they are in ``Result.reason``. No message shows a password of an address, or what a terminal would obey.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from labkit.terminal import printable

__all__ = [
    "CallFailed",
    "CallInvalid",
    "DatasetInvalid",
    "ExportRefused",
    "LabkitError",
    "LabkitWarning",
    "LoopMisuse",
    "MissingDependency",
    "ModelError",
    "NotebookFailed",
    "NotificationFailed",
    "OptionInvalid",
    "Outcome",
    "OutputRejected",
    "QualityRegression",
    "ReplayMissed",
    "RunStopped",
    "RunsDiffer",
    "StoreError",
    "StoreGone",
    "StoreMissing",
    "TooFewCases",
    "Unscorable",
]

Outcome = Literal[
    "ok",
    "timeout",
    "deadline",
    "cancelled",
    "rate_limited",
    "transport",
    "auth",
    "refused",
    "truncated",
    "parse",
    "schema",
    "guard",
    "rule",
    "low_confidence",
    "breaker_open",
    "budget",
    "disabled",
    "bug",
]
"""How one attempt, or one step, ended."""


class LabkitError(Exception):
    """The root of labkit's errors."""

    def __init__(self, *said: Any) -> None:
        # what a message quotes is somebody else's: an address with its password, a name with escape sequences
        super().__init__(*(printable(each) if isinstance(each, str) else each for each in said))


class LabkitWarning(UserWarning):
    """Something that works and is hardly meant, such as a prompt that never uses the input."""


class CallInvalid(LabkitError):
    """A definition that cannot work: found when the object is made, not when it is called."""


class OptionInvalid(LabkitError, ValueError, TypeError):
    """An argument that cannot be meant: of another kind, out of its range, or one that does not exist.

    It is also what Python itself would raise, so that ``except ValueError`` catches it.
    """


class ReplayMissed(LabkitError):
    """A call with ``Cache(mode="replay")`` met a question that was never recorded.

    It is raised out of the call, past every fallback: a test run that was to repeat known answers and quietly served
    a default instead would have tested nothing.
    """


class CallFailed(LabkitError):
    """``Result.unwrap()`` was asked for a value that the call does not have."""


class LoopMisuse(LabkitError):
    """The sync API was called on labkit's own loop thread, where waiting would never end."""


class ModelError(LabkitError):
    """One completion that did not come.

    Args:
        message: What the provider said, with what to do about it where that is known.
        outcome: What the pipeline should call it; decides whether a retry can help.
        status: HTTP status, None when there was no response.
        retry_after_s: Seconds the provider asked to wait, None when it did not say.
        request_id: The provider's id of the request, for their support.
    """

    def __init__(
        self,
        message: str,
        *,
        outcome: Outcome,
        status: int | None = None,
        retry_after_s: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.outcome: Outcome = outcome
        self.status = status
        self.retry_after_s = retry_after_s
        self.request_id = request_id


class OutputRejected(LabkitError):
    """Text that is not the value the schema asks for.

    Args:
        message: What is wrong, with the path of the first fault.
        outcome: ``parse`` when the text holds no JSON at all, ``schema`` when the value does not fit.
        errors: Every fault as (path, type, message); path is dotted, "" for the whole value.
    """

    def __init__(
        self,
        message: str,
        *,
        outcome: Literal["parse", "schema"] = "schema",
        errors: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.outcome: Literal["parse", "schema"] = outcome
        self.errors = tuple(errors)


class MissingDependency(LabkitError, ImportError):
    """Something optional is not installed.

    Args:
        package: The distribution that is missing, "litellm".
        extra: The labkit extra that brings it, "litellm".
        purpose: What it was wanted for, as a noun phrase.
        why: What keeps it from being used.
    """

    def __init__(self, package: str, *, extra: str, purpose: str, why: str = "is not installed") -> None:
        super().__init__(f"{purpose} needs {package}, which {why}: pip install 'labkit-llm[{extra}]'")
        self.package = package
        self.extra = extra


class Unscorable(LabkitError, LookupError):
    """A scorer cannot judge: the case expects nothing of the kind, or the output has no such field."""


class DatasetInvalid(LabkitError):
    """A dataset that cannot be used; the message names file and line."""


class TooFewCases(LabkitError):
    """A statistic was asked of so few cases that it cannot be estimated."""


class RunsDiffer(LabkitError):
    """Two runs that share no cases, or not the same ones, cannot be paired."""


class StoreError(LabkitError):
    """A store that cannot be opened, read or written."""


class StoreGone(StoreError):
    """A store's file was deleted or replaced while it was in use."""


class StoreMissing(StoreError):
    """There is nothing to read: the store is not there, or no run was ever kept in it. Reading makes none."""


class RunStopped(LabkitError):
    """An evaluation ended early: its spend cap, a provider that stayed away, requests or a scorer that cannot work.

    Args:
        message: Why; how to go on is added to it.
        resumable: Whether the same run can go on once the cause is mended; a mended scorer begins a new one.
    """

    def __init__(self, message: str, *, resumable: bool = True) -> None:
        super().__init__(message)
        self.resumable = resumable


class ExportRefused(LabkitError):
    """Something in the notebook cannot be exported; the message names the cell, the line and the mend."""


class NotebookFailed(LabkitError):
    """A notebook did not run to its end; the message names the cell and the error.

    Args:
        error: Name of the exception that ended it, "" where it was none.
    """

    def __init__(self, message: str, *, error: str = "") -> None:
        super().__init__(message)
        self.error = error


class NotificationFailed(LabkitError):
    """Word could not be sent."""


class QualityRegression(LabkitError):
    """The gate failed: a floor is broken or the new version is worse than its baseline."""

    def _render_traceback_(self) -> list[str]:
        """Give IPython and papermill two lines instead of a traceback: it is a verdict, not a crash."""
        return [f"{type(self).__name__}: {self}"]
