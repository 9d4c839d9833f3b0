"""Two ends between which a quantity lies."""

from __future__ import annotations

from typing import Generic, NamedTuple

# Defaults of type variables are in typing from Python 3.13 on; pydantic brings this for 3.11.
from typing_extensions import TypeVar

__all__ = ["Interval"]

End = TypeVar("End", bound=float | None, default=float)


class Interval(NamedTuple, Generic[End]):
    """A confidence interval, low <= high.

    A bare ``Interval`` has both ends. An ``Interval[float | None]`` may lack one: None says that so few values cannot
    bound that side.
    """

    low: End
    high: End
