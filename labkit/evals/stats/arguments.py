"""What the statistics ask of their arguments, with the mend in every refusal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist

from labkit.errors import OptionInvalid, TooFewCases

__all__ = ["as_count", "as_numbers", "check_part", "check_share", "two_sided_z"]


def as_count(value: float, name: str) -> int:
    """Read a count, 3 or 3.0.

    Raises:
        OptionInvalid: It is not whole, or below 0.
    """
    # nan and inf compare as neither; int() of them would raise without naming the argument.
    if not 0 <= value < math.inf or value != int(value):
        raise OptionInvalid(f"{name}={value!r} is not a count: give a whole number of 0 or more")
    return int(value)


def as_numbers(values: Iterable[float], name: str) -> list[float]:
    """Read scores as floats.

    Raises:
        OptionInvalid: One is missing, nan or infinite; the message says which.
    """
    numbers = []
    for position, value in enumerate(values):
        if value is None or not math.isfinite(value):
            raise OptionInvalid(
                f"{name}[{position}] is {value!r}: leave out a case without a score, on both sides of a pair"
            )
        numbers.append(float(value))
    return numbers


def check_part(part: float, n: float, name: str) -> None:
    """Refuse a part that is not from 0 to *n*.

    Raises:
        TooFewCases: n is 0.
        OptionInvalid: The part is more than the whole, or below 0.
    """
    if n == 0:
        raise TooFewCases(f"{name} of no cases is not estimable: give at least one case")
    if not 0 <= part <= n < math.inf:
        raise OptionInvalid(f"{name}: {part!r} of n={n!r} is not possible: give counts with 0 <= {name} <= n")


def check_share(value: float, name: str) -> None:
    """Refuse what is not strictly between 0 and 1.

    Raises:
        OptionInvalid: It is not.
    """
    if not 0 < value < 1:
        raise OptionInvalid(f"{name}={value!r}: give a number between 0 and 1, neither of them; 0.95 is 95%")


def two_sided_z(confidence: float) -> float:
    """Give the standard normal quantile that leaves (1 - confidence) / 2 above it; 1.96 for 0.95.

    Raises:
        OptionInvalid: *confidence* is not inside (0, 1).
    """
    check_share(confidence, "confidence")
    return NormalDist().inv_cdf((1 + confidence) / 2)
