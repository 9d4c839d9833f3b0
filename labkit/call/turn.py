"""What was said before, as an input holds it.

A file of its own, loaded when it is named: the first pydantic model that is made loads most of pydantic.
"""

from __future__ import annotations

from typing import Literal

import pydantic

__all__ = ["Turn"]


class Turn(pydantic.BaseModel):
    """Something that was said earlier in a conversation: ``history: list[lk.Turn] = []`` in an input.

    Args:
        role: Who said it. What a system message says belongs to the prompt.
        text: What was said; data under the name ``content``, as providers call it, is read too.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    role: Literal["user", "assistant"]
    text: str = pydantic.Field(validation_alias=pydantic.AliasChoices("text", "content"))
