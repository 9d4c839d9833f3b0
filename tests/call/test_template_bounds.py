"""A rendering ends by itself: in size, in time, and at the deadline of its call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from desk import support_desk
from pydantic import BaseModel, PrivateAttr

import labkit as lk

DOUBLING = "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = BODY %}{% endfor %}{{ ns.s }}"
NESTING = "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(99) %}{% set ns.a = [ns.a, ns.a] %}"

TOO_MUCH = [
    "{{ 'x' * 10**9 }}",
    "{{ 10**9 * 'x' }}",
    "{{ [1] * 10**9 }}",
    "{{ (1, 2) * 10**8 }}",
    "{{ 10 ** (10**8) }}",
    "{{ 7 ** 99999 ** 9 }}",
    "{% set ns = namespace(i=3) %}{% for i in range(99) %}{% set ns.i = ns.i * ns.i %}{% endfor %}{{ ns.i }}",
    "{{ ('9' * 99999)|int }}",
    "{{ ('f' * 99999)|int(0, 16) }}",
    "{% for i in range(10**9) %}a{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}a{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}" + "x" * 1_000 + "{% endfor %}",
    "{% for i in range(99999) %}{% set x %}{{ ('y' * 999999)|upper }}{% endset %}{% endfor %}",
    "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{% for x in [1] recursive %}{{ loop([1, 1]) }}{{ loop([1]) }}{% endfor %}",
    "{{ 'x'|center(10**9) }}",
    "{{ 'x'.center(10**9) }}",
    "{{ 'x'.ljust(10**10) }}",
    "{{ 'x'.rjust(width=10**10) }}",
    "{{ '1'.zfill(10**10) }}",
    "{{ ('\t' * 99).expandtabs(10**9) }}",
    "{{ 'a'|indent(10**9, true) }}",
    "{{ 'a'|indent('x' * 999999)|indent('x' * 999999)|indent('x' * 4999999, true) }}",
    "{{ 'x' ~ 'y' * 10**9 }}",
    DOUBLING.replace("BODY", "ns.s ~ ns.s"),
    DOUBLING.replace("BODY", "ns.s + ns.s"),
    DOUBLING.replace("BODY", "ns.s|replace('x', 'xx')"),
    DOUBLING.replace("BODY", "[ns.s, ns.s]|join"),
    DOUBLING.replace("BODY", "'%s%s'|format(ns.s, ns.s)"),
    DOUBLING.replace("BODY", "'{0}{0}'.format(ns.s)"),
    DOUBLING.replace("BODY", "'xx'.join([ns.s, ns.s, ns.s])"),
    DOUBLING.replace("BODY", "[ns.s, ns.s]"),
    DOUBLING.replace("BODY", "{'a': ns.s, 'b': ns.s}"),
    DOUBLING.replace("BODY", "(ns.s, ns.s)"),
    DOUBLING.replace("BODY", "dict(a=ns.s, b=ns.s)"),
    NESTING + "{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
    NESTING + "{% endfor %}{{ ns.a|tojson }}",
    NESTING + "{% endfor %}{{ ns.a|string|length }}",
    "{{ ('x' * 999999)|replace('x', 'y' * 999999) }}",
    "{{ ('x' * 999999).replace('', 'y' * 999999) }}",
    "{{ ('y' * 99999).join(['x'] * 9999) }}",
    "{{ ['x'] * 9999|join('y' * 99999) }}",
    "{{ '%1000000000d'|format(1) }}",
    "{{ '%.1000000000f' % 1.5 }}",
    "{{ '%*d' % (10**9, 1) }}",
    "{{ '%(a)s' * 9999 % {'a': 'x' * 99999} }}",
    "{{ ('%(a)s' * 9999) % {'a': 'x' * 99999} }}",
    "{{ '{:>1000000000}'.format(1) }}",
    "{{ '{:{w}}'.format(1, w=10**9) }}",
    "{{ '{:.1000000000f}'.format(1.5) }}",
    "{{ ('{a}' * 9999).format(a='x' * 99999) }}",
    "{{ [1]|batch(10**9, 'x')|list }}",
    "{{ [1]|slice(10**9)|list }}",
    "{{ 1.5|round(10**9) }}",
    "{{ [1]|tojson(indent=10**9) }}",
    "{{ 'x'|wordwrap(1, wrapstring='y' * 10**9) }}",
    "{{ range(99999)|select('in', range(99999)|list)|list }}",
    "{{ range(99999)|map('string')|map('center', 99999)|join }}",
    "{{ [['x']] * 99999|sum(start=[]) }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% macro m(t) %}{{ t }}{{ t }}{% endmacro %}{{ m(m(m(m('x' * 999999)))) }}",
    "{{ lipsum(n=10**6) }}",
    "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "{{ " + "-" * 5_000 + "1 }}",
    "{{ " + "[" * 5_000 + "]" * 5_000 + " }}",
    "{% if true %}" * 200 + "{% endif %}" * 200,
    "{% for x in [1] %}" * 200 + "{% endfor %}" * 200,
    "{{ 1" + " + 1" * 20_000 + " }}",
    "{{ 'x'" + " ~ 'x'" * 20_000 + "|center(10**9) }}",
]


@pytest.mark.parametrize("template", TOO_MUCH, ids=lambda template: template[:60])
def test_a_template_that_takes_too_much_is_refused_when_it_is_made(template: str):
    """Without a word of Python's own: no MemoryError, RecursionError or OverflowError, and nothing that hangs."""
    with pytest.raises(lk.CallInvalid, match="template"):
        lk.Prompt(user=template)


@pytest.mark.parametrize("template", TOO_MUCH, ids=lambda template: template[:60])
def test_what_a_call_brings_changes_nothing_about_the_bounds(template: str):
    """The call answers with its reason; where the template cannot even be read, the prompt cannot be made."""
    try:
        desk = support_desk(prompt=lk.Prompt(user="{{ input.text }}" + template), policy=lk.Policy(deadline_s=60.0))
    except lk.CallInvalid:
        return

    result = desk(text="hello")

    assert (result.reason.step, result.reason.outcome) == ("prompt", "bug")


class Batch(BaseModel):
    n: int
    words: list[str] = []


LONG = "{% for i in range(300) %}{% for j in range(input.n) %}{{ (i * j) % 7 }}{% endfor %}{% endfor %}"


def test_a_template_that_loops_cannot_hold_a_call_beyond_its_deadline():
    """The fallback serves, and the outcome says that it was the deadline."""
    desk = support_desk(
        input=Batch,
        prompt=lk.Prompt(user=LONG),
        policy=lk.Policy(deadline_s=0.15, reserve_s=0.05),
        fallbacks=[lk.SafeDefault({"intent": "card_arrival", "urgency": 1})],
    )

    result = desk(n=3_000)

    assert (result.source, result.reason.step, result.reason.outcome) == ("default", "prompt", "deadline")


def test_the_loop_serves_others_while_a_long_prompt_is_written():
    """What is not written quickly is written in a thread."""
    desk = support_desk(input=Batch, prompt=lk.Prompt(user=LONG), policy=lk.Policy(deadline_s=60.0))
    turns = 0

    async def others(until: asyncio.Event) -> None:
        nonlocal turns
        while not until.is_set():
            turns += 1
            await asyncio.sleep(0)

    async def scenario() -> lk.Result[Any]:
        done = asyncio.Event()
        waiting = asyncio.create_task(others(done))
        result = await desk.acall(n=400)
        done.set()
        await waiting
        return result

    result = asyncio.run(scenario())

    assert result.source == "model"
    assert turns > 10


class Ticking(BaseModel):
    n: int
    _ticks: int = PrivateAttr(default=0)

    @property
    def tick(self) -> int:
        self._ticks += 1
        return self._ticks


def test_a_cancelled_rendering_stops_in_its_thread():
    """Nothing goes on in the background once nobody waits."""
    desk = support_desk(
        input=Ticking,
        prompt=lk.Prompt(user=LONG.replace("(i * j) % 7", "input.tick")),
        policy=lk.Policy(deadline_s=60.0),
    )
    given = Ticking(n=3_000)

    async def scenario() -> None:
        call = asyncio.create_task(desk.acall(given))
        while given._ticks < 10_000:
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(scenario())

    assert 10_000 <= given._ticks < 300_000


def test_a_long_list_is_written_whole():
    """The bounds are far from what prompts need: ten thousand items, and a megabyte of text."""
    model = lk.ScriptedModel('{"intent": "card_arrival", "urgency": 2}')
    prompt = lk.Prompt(user="{% for word in input.words %}{{ loop.index }}. {{ word|upper }}\n{% endfor %}")

    support_desk(model, input=Batch, prompt=prompt, policy=lk.Policy(normalize=lk.Normalization(max_chars=2_000_000)))(
        n=1, words=["w" * 100] * 10_000
    )

    said = model.requests[0].messages[-1].content
    assert said.count("\n") == 9_999 or said.count("\n") == 10_000
    assert len(said) > 1_000_000
