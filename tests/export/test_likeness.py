"""When two objects, made in two processes, count as made by the same code."""

from __future__ import annotations

import dataclasses
import enum
import functools
import re
from typing import Any

import pytest
from pydantic import BaseModel
from written_code import names_of

from labkit.export.likeness import Likeness, first_difference


def made_in(module: str, source: str) -> Any:
    """Run *source* as the module *module* and describe its ``x``."""
    return Likeness(module).of(names_of(source, module)["x"])


@pytest.mark.parametrize(
    "source",
    [
        "x = lambda a, b=1: a + b",
        "import json\ndef x(value): return json.dumps(value)",
        "class x:\n    LIMIT = 3\n    def cut(self, text): return text[:self.LIMIT]",
        "from pydantic import BaseModel\nclass x(BaseModel):\n    n: int = 1",
        "import enum\nclass x(enum.Enum):\n    A = 1",
        "import re\nx = [{'a': (1, 2.0, None)}, {3}, re.compile('a'), b'z', float('nan')]",
        "import logging\nx = [logging.getLogger(__name__), __name__]",
        "x = [1]\nx.append(x)",
        "import datetime, decimal\nx = [datetime.date(2026, 1, 2), decimal.Decimal('1.5')]",
    ],
)
def test_the_same_code_gives_the_same_description_in_another_module(source):
    """A class is at home in ``__main__`` in the notebook and in the package outside."""
    assert first_difference(made_in("__main__", source), made_in("package.feature", source)) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = lambda a, b: a < b", "x = lambda a, b: a > b"),
        ("x = lambda a: a + 1", "x = lambda a: a - 1"),
        ("x = lambda a, b=1: a", "x = lambda a, b=2: a"),
        ("def make(n): return lambda: n\nx = make(1)", "def make(n): return lambda: n\nx = make(2)"),
        ("import json\ndef x(value): return json.dumps(value)", "import json\ndef x(value): return json.loads(value)"),
        ("class x:\n    LIMIT = 3", "class x:\n    LIMIT = 4"),
        ("import enum\nclass x(enum.Enum):\n    A = 1", "import enum\nclass x(enum.Enum):\n    A = 2"),
        ("x = 1", "x = 1.0"),
        ("x = True", "x = 1"),
        ("x = (1,)", "x = [1]"),
        ("import itertools\nx = itertools.count(1)", "import itertools\nx = itertools.count(2)"),
        ("x = iter([1, 2])", "x = iter([1, 2])\nnext(x)"),
        (
            "import functools\nx = functools.partial(int, base=2)",
            "import functools\nx = functools.partial(int, base=3)",
        ),
        (
            "from pydantic import BaseModel, Field\nclass x(BaseModel):\n    n: int = Field(ge=1)",
            "from pydantic import BaseModel, Field\nclass x(BaseModel):\n    n: int = Field(ge=2)",
        ),
        (
            "from pydantic import BaseModel, field_validator\nclass x(BaseModel):\n    n: int\n"
            "    @field_validator('n')\n    def check(cls, n): return n + 1",
            "from pydantic import BaseModel, field_validator\nclass x(BaseModel):\n    n: int\n"
            "    @field_validator('n')\n    def check(cls, n): return n + 2",
        ),
        (
            "class C:\n    def __init__(self): self.n = 1\nx = C()",
            "class C:\n    def __init__(self): self.n = 2\nx = C()",
        ),
        ("import re\nx = re.compile('a')", "import re\nx = re.compile('a', re.I)"),
        ("import datetime\nx = datetime.date(2026, 1, 2)", "import datetime\nx = datetime.date(2026, 1, 3)"),
    ],
)
def test_other_behaviour_gives_another_description(one, other):
    """Nothing that would answer differently passes as the same."""
    assert first_difference(made_in("__main__", one), made_in("__main__", other)) is not None


def test_the_first_difference_says_where():
    """The path leads to the value."""
    live = Likeness("m").of({"examples": [{"text": "lost"}]})
    written = Likeness("m").of({"examples": [{"text": "found"}]})

    path, here, there = first_difference(live, written) or ("", None, None)

    assert (here, there) == ("lost", "found")
    assert path.startswith("items[0]")


def test_foreign_objects_are_known_by_their_type():
    """A client or a lock has no value that another process could have."""

    class Colour(enum.Enum):
        RED = 1

    @dataclasses.dataclass
    class Point:
        x: int

    class Model(BaseModel):
        n: int

    described = [
        Likeness("m").of(thing) for thing in (Colour.RED, Point(1), Model(n=1), re.compile("a"), functools.cache(len))
    ]

    assert len({repr(d) for d in described}) == len(described)
    assert Likeness("m").of(__import__("threading").Lock()) == {"type": "_thread.lock"}
