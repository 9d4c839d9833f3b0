"""A guard takes time in proportion to the text, whoever wrote it: steps are counted, no clock is read."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
import sys
from collections.abc import Callable

import pytest
from guard_tables import GUARDS, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from regex_steps import Steps

from labkit.call import guards
from labkit.call.guards import Pii, Secrets, UrlAllowList
from labkit.call.guards.patterns import Pattern
from labkit.call.guards.phrases import _pattern
from labkit.call.rules import Guard

MODULES = [
    importlib.import_module(f"{guards.__name__}.{found.name}") for found in pkgutil.iter_modules(guards.__path__)
]
PATTERNS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": found
    for module in MODULES
    for name, found in vars(module).items()
    if isinstance(found, Pattern) and not (name == "STRING" and module.__name__.endswith("findings"))
} | {"phrases.made": _pattern(("risk free", "100% safe", "e.g. free"))}

# They are only tried at one place: at a text's beginning, behind a string, or in a slice of bounded length.
TRIED_ONCE = {"refusal._REFUSAL", "passages._JSON_STRING", "passages._KEY_END", "emails._LOCAL_BACKWARDS"}
SEARCHED = sorted(PATTERNS.keys() - TRIED_ONCE)

# What patterns begin with, and what their repetitions are made of.
FRAGMENTS = [
    "a", "A", "1", ".", "@", "-", "+", " ", '"', "\\", "/", ":", "=", "_", "%", "[", "{", "中", "a.", "@a.", "a@", "1 ",
    "12.", "00 1", "0171 ", "+1", "AA11 ", "eyJaaaaaaaaa.", "sk-", "Bearer ", "http:", "://", "(//", "www.", "](data:",
    "password", "= ", " is ", "tel ", "passport ", "\\ud800", '\\"', "-----BEGIN ", "PRIVATE KEY-----", "risk ",
    "i'm sorry ", "i ", "can't ",
]  # fmt: skip
units = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=4).map("".join)
N = 160


def repeated(unit: str, chars: int) -> str:
    """Whole pieces, *chars* characters or a few more."""
    return unit * -(-chars // len(unit))


@functools.cache
def stepper(name: str) -> Steps:
    return Steps(PATTERNS[name].source, PATTERNS[name].flags)


def steps(name: str, text: str) -> int:
    matcher = stepper(name)
    matcher.match(text) if name in TRIED_ONCE else matcher.finditer(text)
    return matcher.count


def calls(guard: Guard, text: str) -> int:
    """Functions, Python's and C's, that one look of *guard* calls."""
    count = 0

    def profile(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        guard(text)
    finally:
        sys.setprofile(before)
    return count


def assert_linear(cost: Callable[[str], int], unit: str, chars: int) -> None:
    """Going from 3 n to 6 n characters costs no more than twice what n to 3 n should: the slope does not grow."""
    once, twice, four = (cost(repeated(unit, chars * times)) for times in (1, 2, 4))
    assert four - twice <= 2.4 * (twice - once) + 40 * chars**0.5, (unit, once, twice, four)


@pytest.mark.parametrize("name", SEARCHED)
def test_a_pattern_takes_steps_in_proportion_to_the_text(name: str):
    """No text of one repeated piece makes a pattern read a run of characters again from each of its places."""
    for unit in FRAGMENTS:
        assert_linear(functools.partial(steps, name), unit, N)


def test_a_pattern_that_reads_a_run_from_each_of_its_places_is_told():
    """The measure can fail: a letter's run before an @ is the classic mistake."""
    careless = Steps(r"\w+@")

    def cost(text: str) -> int:
        careless.finditer(text)
        return careless.count

    with pytest.raises(AssertionError):
        assert_linear(cost, "a", N)


@pytest.mark.parametrize("name", sorted(TRIED_ONCE))
def test_a_pattern_that_is_tried_at_one_place_reads_it_a_few_times_at_most(name: str):
    """The text from there on, times a small constant."""
    for unit in FRAGMENTS:
        assert steps(name, repeated(unit, 600)[:600]) <= 60 * 600, unit


@settings(max_examples=30, deadline=None, derandomize=True)
@given(unit=units, lead=st.sampled_from(FRAGMENTS))
def test_no_mixture_of_pieces_is_dear(unit: str, lead: str):
    """Nor does a text of several pieces in turn: a character is looked at some hundred times at most."""
    for name in SEARCHED:
        assert steps(name, lead + repeated(unit, N)) <= 400 * N, name


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_the_counting_matcher_finds_what_re_finds(name: str):
    """Its counts say something about CPython only if it is the same matcher."""
    pattern = PATTERNS[name]
    texts = [row.text for table in GUARDS for row in rows(table)] + [repeated(unit, 60) for unit in FRAGMENTS]

    for text in texts:
        if name in TRIED_ONCE:
            found = re.compile(pattern.source, pattern.flags).match(text)
            assert stepper(name).match(text) == (found.end() if found else None), text
        else:
            assert stepper(name).finditer(text) == [found.span() for found in pattern.finditer(text)], text


EVERY_GUARD: dict[str, Guard] = GUARDS | {
    "pii redacts": Pii(action="redact", kinds=("email", "phone", "card", "iban", "ssn", "passport", "ip")),
    "secrets redacts": Secrets(action="redact"),
    "links redacts": UrlAllowList(["good.example"], action="redact"),
}


@pytest.mark.parametrize("name", EVERY_GUARD)
def test_a_guard_calls_functions_in_proportion_to_the_text(name: str):
    """Nor does what a guard does with its findings grow faster than their number."""
    guard = EVERY_GUARD[name]
    for text in [row.text for table in ("pii", "secrets", "links") for row in rows(table)[::2]]:
        guard(repeated(text + " ", 2_000))  # patterns are compiled, hosts encoded
        assert_linear(functools.partial(calls, guard), text + " ", 1_000)


@pytest.mark.parametrize("name", GUARDS)
def test_a_megabyte_of_anything_ends(name: str):
    """The longest answers there are pass through every guard; with a quadratic step this test would not end."""
    for unit in ("a", "1 ", '\\"', "a.", "bob@a.example ", "中"):
        GUARDS[name](repeated(unit, 1_000_000))
