"""A fingerprint changes when behaviour would, and stays when only the place, the layout or the Python does."""

from __future__ import annotations

import enum
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, field_validator
from written_code import names_of

from labkit.call.description import describe
from labkit.call.fingerprint import digest

TESTS = Path(__file__).parents[1]
log = logging.getLogger(__name__)
LIMIT = 3


class Colour(enum.Enum):
    RED = 1


class Other(enum.Enum):
    RED = 2


class Positive(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def above_zero(cls, n: int) -> int:
        if n <= 0:
            raise ValueError("must be above zero")
        return n


class Unchecked(BaseModel):
    n: int


Unchecked.__name__ = "Positive"


class Threshold:
    at = 1


class Higher:
    at = 2


Higher.__name__ = "Threshold"


def limited(n: int) -> bool:
    log.debug("asked about %s", n)
    return n < LIMIT


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda a, b: a < b, lambda a, b: a > b),
        (lambda a, b: a + b, lambda a, b: a - b),
        (lambda t: t in {"a", "b"}, lambda t: t in {"a", "c"}),
        (Colour, Other),
        (Positive, Unchecked),
        (Threshold, Higher),
        ({"a": 1}, {"a": 2}),
        ({1, 2}, [1, 2]),
        (True, 1.5),
    ],
)
def test_what_behaves_differently_is_described_differently(one: Any, other: Any):
    """History would miss a change that looks the same."""
    assert digest(describe(one)) != digest(describe(other))


def test_a_constant_that_a_rule_reads_counts(monkeypatch: pytest.MonkeyPatch):
    """The rule's text is the same; what it does is not."""
    before = describe(limited)
    monkeypatch.setitem(limited.__globals__, "LIMIT", 4)

    assert describe(limited) != before


def test_a_loggers_name_does_not_count(monkeypatch: pytest.MonkeyPatch):
    """getLogger(__name__) has another name in the notebook than in the package."""
    before = describe(limited)
    monkeypatch.setitem(limited.__globals__, "log", logging.getLogger("elsewhere"))

    assert describe(limited) == before


def test_the_digest_is_the_same_in_every_process():
    """Sets and dictionaries have no order that could leak into it."""
    code = (
        "from labkit.call.description import describe\nfrom labkit.call.fingerprint import digest\n"
        "print(digest(describe([lambda t: t in {'a', 'b', 'c', 'd'}, {'x', 'y', 'z'}, {'k': 1, 'j': 2}])))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": str(seed)}, capture_output=True, text=True, check=True
        ).stdout
        for seed in (1, 2)
    }

    assert len(seen) == 1


def test_a_function_that_calls_itself_can_be_described():
    """Recursion in the code is not recursion in the description."""

    def down(n: int) -> int:
        return n and down(n - 1)

    assert digest(describe(down)) == digest(describe(down))


# --- every Python -----------------------------------------------------------------------------------------------------

PINNED = {
    "prompt": "eb14856cf0501a76301914ceac889fc63a59e747212f6c68a18f33cb4c2603eb",
    "input_schema": "aae3859067e2adf1b6dd985b8f630775a7c1c48d3c6b5b61f321ef25ee464bd6",
    "output_schema": "7edc6301bbb0787433632d4bac49d31a046d15a68824667ee296d13158e038b3",
    "model": "a5b0c752a98b34cef21fa74b2a24285c375962c9c8cdb8edd8a902061fb3b5ab",
    "context": "79c02df17ade8ebc4a31ae13b02b529f40c9cbf0ea1c80a1f71c1c0c795de567",
    "rules": "817411561351511ec8678f40db03f24923b844b14c1b6584754df6a52fc7d63c",
    "policy": "59f7bc751b72f0716d62021d90b1437039f6f5fc98102e334fba87879d99d5b5",
    "fallbacks": "6b68bfdad721849e907b6d4828680828ab032de10cbac0f130a2de3981ca0556",
}
"""Of tests/pinned_call.py. Another value is another version of every call there is: say so in the changelog."""
FINGERPRINT = "ace1a309efb6bda7edec44483ce39051a5a59641b38269fb74af3a220f498bdb"


def test_a_call_has_the_same_fingerprint_on_every_python():
    """What was measured on one minor version is known again on another, part by part."""
    import pinned_call

    assert dict(pinned_call.triage.versions) == PINNED
    assert pinned_call.triage.fingerprint == FINGERPRINT


@pytest.mark.parametrize("options", [["-O"], ["-X", "no_debug_ranges"], ["-X", "frozen_modules=off"]])
def test_how_python_was_started_does_not_count(options):
    """Optimized or without columns in its code, the call is the same one."""
    code = "import pinned_call; print(pinned_call.triage.fingerprint)"
    done = subprocess.run([sys.executable, *options, "-c", code], cwd=TESTS, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == FINGERPRINT


# --- what counts ------------------------------------------------------------------------------------------------------

HEAD = """
import collections, dataclasses, datetime, decimal, enum, functools, pathlib, uuid
import numpy as np
from typing import Annotated, Any, Literal, Optional, Union
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, field_validator

def limited(v): return min(v, 9)
def doubled(v): return v * 2
def lower(v): return v.lower()
"""

PAIRS = {
    "an operator in a lambda": ("x = lambda a, b: a < b", "x = lambda a, b: a > b"),
    "lambdas on one line": ("x = [lambda a: 1, lambda a: 2][0]", "x = [lambda a: 1, lambda a: 2][1]"),
    "an attribute": ("x = lambda t: t.text", "x = lambda t: t.words"),
    "a default": ("def x(v, n=1): return v", "def x(v, n=2): return v"),
    "the body of an Annotated validator": (
        "def check(v): return v + 1\nclass x(BaseModel):\n    n: Annotated[int, AfterValidator(check)]",
        "def check(v): return v + 2\nclass x(BaseModel):\n    n: Annotated[int, AfterValidator(check)]",
    ),
    "another Annotated validator": (
        "class x(BaseModel):\n    n: Annotated[int, AfterValidator(limited)]",
        "class x(BaseModel):\n    n: Annotated[int, AfterValidator(doubled)]",
    ),
    "the side of a validator": (
        "class x(BaseModel):\n    n: Annotated[int, AfterValidator(doubled)]",
        "class x(BaseModel):\n    n: Annotated[int, BeforeValidator(doubled)]",
    ),
    "a nested model's validator": (
        "class In(BaseModel):\n    n: int\n    @field_validator('n')\n    def f(cls, n): return n\n"
        "class x(BaseModel):\n    inside: list[In]",
        "class In(BaseModel):\n    n: int\n    @field_validator('n')\n    def f(cls, n): return -n\n"
        "class x(BaseModel):\n    inside: list[In]",
    ),
    "a model's settings": (
        "class x(BaseModel):\n    s: str",
        "class x(BaseModel):\n    model_config = ConfigDict(str_strip_whitespace=True)\n    s: str",
    ),
    "a strict field": ("class x(BaseModel):\n    n: int", "class x(BaseModel):\n    n: int = Field(strict=True)"),
    "a default factory": (
        "class x(BaseModel):\n    n: list[int] = Field(default_factory=lambda: [1])",
        "class x(BaseModel):\n    n: list[int] = Field(default_factory=lambda: [2])",
    ),
    "a model's method": (
        "class x(BaseModel):\n    n: int\n    def twice(self): return self.n * 2",
        "class x(BaseModel):\n    n: int\n    def twice(self): return self.n + 2",
    ),
    "the validator of an output type": (
        "x = Annotated[int, AfterValidator(limited)]", "x = Annotated[int, AfterValidator(doubled)]"
    ),
    "private state": (
        "class C:\n    def __init__(self, n): self._n = n\n    def __call__(self, v, t): return self._n\nx = C(1)",
        "class C:\n    def __init__(self, n): self._n = n\n    def __call__(self, v, t): return self._n\nx = C(2)",
    ),
    "state in slots": (
        "class C:\n    __slots__ = ('n',)\n    def __init__(self, n): self.n = n\nx = C(1)",
        "class C:\n    __slots__ = ('n',)\n    def __init__(self, n): self.n = n\nx = C(2)",
    ),
    "a base class": (
        "class B:\n    def __call__(self, v, t): return v\nclass C(B): pass\nx = C()",
        "class B:\n    def __call__(self, v, t): return None\nclass C(B): pass\nx = C()",
    ),
    "a property": (
        "class C:\n    @property\n    def n(self): return 1\nx = C()",
        "class C:\n    @property\n    def n(self): return 2\nx = C()",
    ),
    "a static method": (
        "class C:\n    @staticmethod\n    def n(): return 1\nx = C()",
        "class C:\n    @staticmethod\n    def n(): return 2\nx = C()",
    ),
    "a method of a dataclass": (
        "@dataclasses.dataclass\nclass C:\n    n: int = 1\n    def __call__(self, v, t): return v\nx = C()",
        "@dataclasses.dataclass\nclass C:\n    n: int = 1\n    def __call__(self, v, t): return t\nx = C()",
    ),
    "an own decorator": (
        "def d(f):\n    @functools.wraps(f)\n    def g(*a): return f(*a)\n    return g\n@d\ndef x(v): return v",
        "def d(f):\n    @functools.wraps(f)\n    def g(*a): return -f(*a)\n    return g\n@d\ndef x(v): return v",
    ),
    "what a cache is around": (
        "@functools.cache\ndef x(v): return v", "@functools.cache\ndef x(v): return -v"
    ),
    "a method of an enum": (
        "class x(enum.Enum):\n    A = 1\n    def f(self): return 1",
        "class x(enum.Enum):\n    A = 1\n    def f(self): return 2",
    ),
    "a helper's helper": (
        "def a(v): return v\ndef b(v): return a(v)\ndef x(v): return [b(w) for w in v]",
        "def a(v): return -v\ndef b(v): return a(v)\ndef x(v): return [b(w) for w in v]",
    ),
    "a text form": ("x = lambda n: f'{n:>3}'", "x = lambda n: f'{n:>4}'"),
    "bytes and text": ("x = lambda n: n == b'a'", "x = lambda n: n == 'a'"),
    "one and True": ("x = lambda n: [n, 1]", "x = lambda n: [n, True]"),
    **{
        f"{one} that a function holds": (
            f"kept = {one}\ndef x(v): return v if kept else None",
            f"kept = {other}\ndef x(v): return v if kept else None",
        )
        for one, other in [
            ("decimal.Decimal('1.0')", "decimal.Decimal('1.1')"),
            ("datetime.date(2026, 1, 2)", "datetime.date(2026, 1, 3)"),
            ("datetime.timedelta(hours=1)", "datetime.timedelta(hours=2)"), ("b'a'", "b'b'"), ("range(3)", "range(4)"),
            ("collections.deque([1])", "collections.deque([2])"),
            ("collections.deque([1], 2)", "collections.deque([1], 3)"),
            ("uuid.UUID(int=1)", "uuid.UUID(int=2)"), ("pathlib.PurePath('a')", "pathlib.PurePath('b')"),
            ("np.array([1, 2])", "np.array([1, 3])"), ("np.float32(1)", "np.float32(2)"), ("1j", "2j"),
            ("collections.Counter('a')", "collections.Counter('b')"), ("Optional[int]", "Optional[str]"),
            ("Literal['a', 'b']", "Literal['a', 'c']"), ("functools.partial(max, 1)", "functools.partial(max, 2)"),
        ]
    },
}  # fmt: skip


@pytest.mark.parametrize(("one", "other"), PAIRS.values(), ids=PAIRS)
def test_whatever_decides_an_answer_counts(one: str, other: str):
    """Two calls that answer differently are never taken for the same one."""
    here, there = names_of(HEAD + one)["x"], names_of(HEAD + other)["x"]

    assert digest(describe(here)) != digest(describe(there))


RULE = "LIMIT = 3\ndef x(v, t):\n    return v if t.text and v < LIMIT else None"
HARMLESS = {
    "layout and comments": (
        "x = lambda v: v + 1", "# why\n\nx = (\n    lambda v:\n        v + 1  # one more\n)"
    ),
    "a docstring": (RULE, RULE.replace("    return", '    """Why.\n\n      More."""\n    return')),
    "annotations": (RULE, RULE.replace("(v, t)", "(v: int, t: 'Ticket') -> int | None")),
    "a local annotation": (RULE, RULE.replace("    return", "    unset: int\n    pass\n    return")),
    "a global called like an attribute": (RULE, "text = 'hello'\n" + RULE),
    "another global called like an attribute": ("text = 'hello'\n" + RULE, "text = open\n" + RULE),
    "a global called like a local name": (
        "x = lambda vs: [v for v in vs if (w := v) and w]",
        "v = w = 1\nx = lambda vs: [v for v in vs if (w := v) and w]",
    ),
    "quotes": ("x = lambda t: t['a'] + \"b\"", 'x = lambda t: t["a"] + \'b\''),
    "how a text is written": ("x = lambda t: f'a{t}b' 'c'", "x = lambda t: f'a{t}' f'bc'"),
    "how a number is written": ("x = lambda: 1_000 + 0xff", "x = lambda: 1000 + 255"),
    "how a type is written": (
        "class x(BaseModel):\n    n: Optional[int] = None\n    m: Union[int, str] = 1",
        "class x(BaseModel):\n    n: int | None = None\n    m: int | str = 1",
    ),
    "a cache that was filled": (
        "class C:\n    def __init__(self): self._seen = {}\nx = C()",
        "class C:\n    def __init__(self): self._seen = {}\nx = C()\nx._seen[1] = 2",
    ),
    "a client that was made on first use": (
        "_client = None\ndef x(v):\n    global _client\n    _client = _client or object()\n    return v",
        "_client = object()\ndef x(v):\n    global _client\n    _client = _client or object()\n    return v",
    ),
    "the order of keys": ("K = {'a': 1, 'b': 2}\nx = lambda: K", "K = {'b': 2, 'a': 1}\nx = lambda: K"),
    "where it stands": ("if True:\n    x = lambda v: v", "\n\nx = lambda v: v"),
    "line separators in a text": ('A = """\u2028 \x0c"""\nx = lambda v: v', "A = 'a'\nx = lambda v: v"),
}  # fmt: skip


@pytest.mark.parametrize(("one", "other"), HARMLESS.values(), ids=HARMLESS)
def test_what_changes_no_answer_does_not_count(one: str, other: str):
    """Reformatting a rule, or having used it, makes no new version of it."""
    here, there = names_of(HEAD + one, "notebook")["x"], names_of(HEAD + other, "package")["x"]

    assert digest(describe(here)) == digest(describe(there))


def test_the_environment_is_in_no_fingerprint(monkeypatch: pytest.MonkeyPatch):
    """Staging and production have other keys, and a digest of a key is nothing to publish."""
    described = names_of("import os\nENV = os.environ\ndef x(v): return ENV['KEY'] + v")["x"]
    before = describe(described)
    monkeypatch.setenv("KEY", "another")

    assert describe(described) == before


def test_a_function_without_source_is_known_by_its_names_and_constants_and_says_so():
    """Nothing is compared that a compiler has made, and nobody is left to think that everything is seen."""
    space: dict[str, Any] = {}
    exec("LIMIT = 3\ndef one(v): return v.lower() < LIMIT\ndef other(v): return v.upper() < 'b'", space)

    with pytest.warns(UserWarning, match=r"the source of one \(<string>, line 2\) cannot be read.*write it in a file"):
        one = describe(space["one"])
    with pytest.warns(UserWarning, match="the source of other"):
        assert describe(space["other"]) != one
    space["LIMIT"] = 4
    with pytest.warns(UserWarning, match="the source of one"):
        assert describe(space["one"]) != one


def test_many_functions_that_share_helpers_are_described_quickly():
    """Forty levels of two calls each would be a million million descriptions, were each made anew."""
    levels = "".join(
        f"def f{n}(v): return f{n - 1}(v) + g{n - 1}(v)\ndef g{n}(v): return f{n - 1}(v)\n" for n in range(1, 41)
    )

    assert describe(names_of("f0 = g0 = abs\n" + levels)["f40"])
