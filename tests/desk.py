"""A small support desk: the call that tests make when any call will do."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

import labkit as lk


class Ticket(BaseModel):
    text: str = Field(min_length=1, max_length=4_000)


class Triage(BaseModel):
    intent: Literal["card_arrival", "lost_or_stolen_card", "exchange_rate"]
    urgency: int = Field(ge=1, le=5)


GOOD = '{"intent": "card_arrival", "urgency": 2}'
STOLEN = '{"intent": "lost_or_stolen_card", "urgency": 2}'


def support_desk(model: Any = GOOD, **changes: Any) -> lk.GuardedCall[Triage]:
    """A call whose model answers *model*: text, replies in order, or a client."""
    client = model if hasattr(model, "complete") else lk.ScriptedModel(model)
    parts: dict[str, Any] = {
        "input": Ticket,
        "output": Triage,
        "prompt": lk.Prompt(system="Triage the ticket.", user="Ticket: {{ input.text }}"),
        "policy": lk.Policy(retry=lk.Retry(max_attempts=1)),
    }
    return lk.GuardedCall("triage", model=client, **(parts | changes))
