"""Ids of calls: 128 random bits in hexadecimal."""

from __future__ import annotations

import os
import random

__all__ = ["new_call_id"]

# A generator of its own: a user's random.seed() must not make ids repeat. Not os.urandom, and so not uuid4, for each
# call: it lets go of the interpreter lock, and getting that back from the thread that writes records takes longer than
# all the rest of making a result.
_source = random.Random()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_source.seed)


def new_call_id() -> str:
    return f"{_source.getrandbits(128):032x}"
