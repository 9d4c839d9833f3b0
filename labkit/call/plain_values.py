"""Values of common types, by what they are worth: the same text on every machine and version of Python."""

from __future__ import annotations

import datetime
import decimal
import fractions
import hashlib
import ipaddress
import pathlib
import uuid
from collections import deque
from typing import Any

__all__ = ["plain_value"]

_TEXTUAL = (
    decimal.Decimal, fractions.Fraction, pathlib.PurePath, uuid.UUID, complex,
    ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network,
)  # fmt: skip


def plain_value(thing: Any) -> Any:
    """Give the value of *thing* in terms of simpler ones; None when it is of none of the types known here.

    Arrays and tables are known without loading NumPy or pandas, and are hashed.
    """
    match thing:
        case bytes() | bytearray():
            return thing.hex()
        case range():
            return [thing.start, thing.stop, thing.step]
        case slice():
            return [[thing.start, thing.stop, thing.step]]
        case deque():
            return {"items": list(thing), "maxlen": thing.maxlen}
        case datetime.datetime() | datetime.time():
            return [thing.isoformat(), str(thing.tzinfo), thing.fold]
        case datetime.date():
            return thing.isoformat()
        case datetime.timedelta():
            return [thing.days, thing.seconds, thing.microseconds]
        case datetime.tzinfo():
            return str(thing)
        case int() | str() | float():  # of a class of its own: bool and the plain ones never get here
            return {"base": next(base(thing) for base in (int, str, float) if isinstance(thing, base))}
    if isinstance(thing, _TEXTUAL):
        return str(thing)
    return _table(thing)


def _table(thing: Any) -> Any:
    library = type(thing).__module__.partition(".")[0]
    if library == "numpy" and hasattr(thing, "tobytes"):
        if thing.dtype.hasobject:
            return {"shape": list(thing.shape), "items": thing.tolist()}
        return {
            "shape": list(thing.shape),
            "dtype": thing.dtype.str,
            "sha256": hashlib.sha256(thing.tobytes()).hexdigest(),
        }
    if library == "pandas" and hasattr(thing, "columns"):
        return {"dtypes": [str(dtype) for dtype in thing.dtypes], **thing.to_dict("split")}
    if library == "pandas" and hasattr(thing, "index"):
        return {"dtype": str(thing.dtype), "index": list(thing.index), "data": list(thing)}
    return None
