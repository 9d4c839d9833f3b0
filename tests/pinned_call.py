"""A call with something of every kind that a fingerprint is made of. Its fingerprints are written in a test."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import re
from collections import OrderedDict, deque
from pathlib import PurePosixPath
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypeVar, Union

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from typing_extensions import TypeAliasType

import labkit as lk

T = TypeVar("T")
Words = TypeAliasType("Words", "tuple[str, ...]")

FLOOR = decimal.Decimal("2.50")
SINCE = datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
LIMITS = {"a": range(3), "b": deque([1, 2], maxlen=4), "c": b"\x00\xff", "d": PurePosixPath("a/b"), "e": 1 << 20_000}
URGENT = re.compile(r"stolen|lost", re.IGNORECASE)
text = "a global that is called like an attribute"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2

    def is_high(self) -> bool:
        return self is Level.HIGH


class Tone(enum.Enum):
    """How it sounds."""

    KIND = "kind"
    CURT = "curt"


class Shades(enum.Flag):
    RED = enum.auto()
    BLUE = enum.auto()


class Point(NamedTuple):
    x: int
    y: int = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    start: int
    words: list[str] = dataclasses.field(default_factory=list)
    end: Optional[int] = None  # noqa: UP045  both ways of writing it


class Box(BaseModel, Generic[T]):
    inside: T


def not_shouting(value: str) -> str:
    return value.capitalize() if value.isupper() else value


class Owner(BaseModel):
    """Who asks."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: str | None = None
    level: Level = Level.LOW
    tone: Tone | None = None

    @field_validator("name")
    @classmethod
    def known(cls, value: str | None) -> str | None:
        """Nobody is called none."""
        return None if value == "none" else value


class Ticket(BaseModel):
    """A ticket.

    With a second paragraph,
        and an indentation in it.
    """

    text: Annotated[str, AfterValidator(not_shouting)] = Field(min_length=1, max_length=4_000, pattern=r"\S")
    owner: Optional[Owner] = None  # noqa: UP045
    box: Box[int] | None = None
    at: datetime.date | None = None
    seen: list[str] = Field(default_factory=list, alias="Seen")
    model_config = ConfigDict(populate_by_name=True)

    @property
    def words(self) -> list[str]:
        return self.text.split()

    @model_validator(mode="after")
    def with_owner(self) -> Ticket:
        return self


class Triage(BaseModel):
    intent: Literal["card", "other", 3, True, None] = "other"
    urgency: Union[int, float] = 2  # noqa: UP007
    mood: Tone = Tone.KIND
    money: decimal.Decimal = decimal.Decimal("1.10")


def named(word: str) -> Any:
    def around(function: Any) -> Any:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs) if word else None

        return inner

    return around


@named("urgent")
def stolen(value: Triage, ticket: Ticket, /, *, words: tuple[str, ...] = ("stolen", "lost")) -> Triage | lk.Reject:
    """A docstring.

    That is indented.
    """
    count: int = 0
    if (n := sum(word in ticket.text for word in words)) > 1:
        count += n
    match value:
        case Triage(intent="card", urgency=int() | float() as urgency) if urgency < FLOOR:
            return value.model_copy(update={"urgency": -1 + 2**3, **{"mood": Tone.CURT}})
        case _:
            pass
    try:
        found = {k: [*v] for k, v in LIMITS.items() if k != "e" and v is not ...}
    except* ValueError as group:
        raise RuntimeError("no") from group
    else:
        del found
    print(f"{value.urgency!r:>{count}} {n=} {{}}{ticket.text:%Y}\N{BULLET} \t'\"", rb"\d")
    return value if URGENT.search(ticket.text) or Level.HIGH.is_high() else lk.Reject("no", *(), **{})


async def policy(ticket: Ticket) -> str:
    async def later() -> str:
        return str(SINCE.date())

    return await later() + str([p async for p in _each(Point(1))])


async def _each(point: Point) -> Any:
    for at in point:
        yield at, Span(at), Shades.RED | Shades.BLUE


class Capped:
    """A rule with state."""

    scale = 1.5
    __slots__ = ("_floor", "top")

    def __init__(self, top: int) -> None:
        self.top = top
        self._floor = 1j

    @staticmethod
    def least() -> Words:
        return ()

    @property
    def most(self) -> int:
        return self.top

    def __call__(self, value: Triage, ticket: Ticket) -> Triage:
        return value.model_copy(update={"urgency": min(value.urgency, self.top, len(self.least()) or 9)})


KINDS = OrderedDict(card=Span(1, ["a"]))


@functools.lru_cache(maxsize=8)
def _by_word(word: str, kinds: Any = KINDS) -> str:
    return next((kind for kind in kinds if kind in word), "other")


def keyword_triage(ticket: Ticket) -> dict[str, Any]:
    global _asked
    _asked = 1
    return {"intent": _by_word(ticket.text)}


_asked = 0
checks = [
    lambda value, ticket: None,
    lambda value, ticket: value,
    lambda v, t, f=float("nan"): v if f else (v, None)[0],
]

triage = lk.GuardedCall(
    "triage",
    input=Ticket,
    output=Triage,
    prompt=lk.Prompt(
        system="Tones: {{ tones }}", user="{{ input.text }} {{ context.policy }}", values={"tones": {"kind", "curt"}}
    ),
    model="offline/nearest",
    context=[lk.Source(policy, timeout_s=0.5, required=False)],
    shortcuts=[lk.RulesBased(lambda ticket: {"intent": "card"} if ticket.text == "card" else None)],
    rules=[stolen, Capped(4), functools.partial(lambda floor, value, ticket: value, FLOOR), *checks],
    confidence=lk.Confidence(score=lambda value, result: 0.5 if value.intent else 1.0, at_least=0.25),
    fallbacks=[lk.RulesBased(keyword_triage), lk.SafeDefault({"intent": "other"}, message="Später.")],
    policy=lk.Policy(deadline_s=6.0, reserve_s=0.2, reask=1),
)
