"""What a guarded call promises, step by step."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
from typing import Any

import pytest
from desk import GOOD, STOLEN, Ticket, Triage, support_desk

import labkit as lk
from labkit.errors import LoopMisuse, ModelError


def test_a_good_answer_is_served_as_it_is():
    """The plain case: the model answers, the value fits, nothing is degraded."""
    result = support_desk()(text="Where is my card?")

    assert result.value == Triage(intent="card_arrival", urgency=2)
    assert (result.source, result.degraded, result.ok) == ("model", False, True)
    assert [attempt.outcome for attempt in result.attempts] == ["ok"]
    assert set(result.steps) == {"input", "validate", "context", "prompt", "model", "output", "rules", "record"}


@pytest.mark.parametrize("given", [Ticket(text="Where is it?"), {"text": "Where is it?"}])
def test_a_model_a_mapping_and_keywords_are_the_same_input(given: Any):
    """People call it the way that suits them."""
    model = lk.ScriptedModel(GOOD)

    support_desk(model)(given)
    support_desk(model)(text="Where is it?")

    assert model.requests[0] == model.requests[1]


def test_text_is_normalized_before_it_is_validated():
    """What cannot be seen never reaches the model, and a blank ticket is an empty one."""
    model = lk.ScriptedModel(GOOD)
    desk = support_desk(model)

    desk(text="  Wo ist\x00 meine\u202e Karte,  Rene\u0301? \r\n")
    blank = desk(text=" \u200b\n\t ")

    assert model.requests[0].messages[-1].content == "Ticket: Wo ist meine Karte,  René?"
    assert blank.source == "error"
    assert len(model.requests) == 1


def test_invalid_input_costs_no_model_call_and_names_the_field():
    """The person who asked learns which field to mend; fallbacks are not asked about nonsense."""
    model = lk.ScriptedModel(GOOD)
    desk = support_desk(model, fallbacks=[lk.SafeDefault(Triage(intent="card_arrival", urgency=1))])

    result = desk(text="")

    assert (result.source, result.reason.step, result.reason.outcome) == ("error", "validate", "schema")
    assert [error.path for error in result.reason.errors] == ["text"]
    assert "text: " in result.user_message
    assert model.requests == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((1,), "int is not an input"),
        (({"text": "a"}, {"text": "b"}), "several"),
        (({"txet": "a"},), "text: Field required"),
    ],
)
def test_an_input_of_the_wrong_kind_is_an_error_result(given: Any, said: str):
    """Nothing that is passed in can make the call raise."""
    result = support_desk()(*given)

    assert result.source == "error"
    assert said in result.reason.message


def test_an_oversized_input_is_refused_before_any_work():
    """A huge text is counted, not processed."""
    desk = support_desk(policy=lk.Policy(normalize=lk.Normalization(max_chars=100)))

    assert "over 100 characters" in desk(text="a" * 101).reason.message


def test_data_is_never_a_template():
    """A ticket that holds template code is text like any other."""
    model = lk.ScriptedModel(GOOD)

    support_desk(model)(text="{{ 7*7 }} {% for x in y %}")

    assert model.requests[0].messages[-1].content == "Ticket: {{ 7*7 }} {% for x in y %}"


def test_sources_are_asked_side_by_side_and_seen_by_the_template():
    """Two slow sources take as long as one: each waits for the other to have started."""
    both = threading.Barrier(2, timeout=10)

    def policy(ticket: Ticket) -> str:
        both.wait()
        return "Be kind."

    async def account(ticket: Ticket) -> dict[str, int]:
        await asyncio.to_thread(both.wait)
        return {"cards": 2}

    model = lk.ScriptedModel(GOOD)
    desk = support_desk(
        model,
        context=[lk.Source(policy), lk.Source(account)],
        prompt=lk.Prompt(user="{{ context.policy }} {{ context.account.cards }} {{ input.text }}"),
    )

    result = desk(text="hello")

    assert model.requests[0].messages[0].content == "Be kind. 2 hello"
    assert result.notes == ()


def test_an_optional_source_that_fails_is_left_out_and_seen():
    """The call goes on without it, and says so."""

    def broken(ticket: Ticket) -> str:
        raise ConnectionError("no route")

    desk = support_desk(context=[lk.Source(broken, required=False)])

    result = desk(text="hello")

    assert result.source == "model"
    assert [(note.step, note.message) for note in result.notes] == [
        ("context", "went on without source broken: ConnectionError: no route")
    ]


def test_a_required_source_that_fails_ends_the_main_path():
    """An answer without the facts it rests on is not served as if it had them."""

    async def hangs(ticket: Ticket) -> str:
        await asyncio.Event().wait()
        return ""

    desk = support_desk(context=[lk.Source(hangs, timeout_s=0.01)], fallbacks=[lk.RulesBased(lambda ticket: None)])

    result = desk(text="hello")

    assert (result.reason.step, result.reason.outcome, result.source) == ("context", "timeout", "error")


def test_a_rule_that_fixes_a_value_is_recorded_as_a_repair():
    """What a rule changed can be seen: where, from what, to what, by whom."""

    def stolen_is_urgent(value: Triage, ticket: Ticket) -> Triage | lk.Reject:
        if value.intent == "lost_or_stolen_card" and value.urgency < 4:
            return value.model_copy(update={"urgency": 4})
        return value

    result = support_desk(STOLEN, rules=[stolen_is_urgent])(text="My card was stolen")

    assert result.value.urgency == 4
    assert [(r.kind, r.path, r.before, r.after, r.by) for r in result.repairs] == [
        ("rule", "urgency", 2, 4, "stolen_is_urgent")
    ]


def test_a_rule_that_rejects_sends_the_call_to_its_fallback():
    """A forbidden answer never reaches the customer, and the result says why."""
    desk = support_desk(
        rules=[lambda value, ticket: lk.Reject("not today")],
        fallbacks=[lk.RulesBased(lambda ticket: Triage(intent="exchange_rate", urgency=1))],
    )

    result = desk(text="hello")

    assert (result.source, result.degraded) == ("rules", True)
    assert (result.reason.step, result.reason.outcome) == ("rules", "rule")
    assert result.attempts[0].outcome == "rule"
    assert result.user_message


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda value, ticket: value.nothing, "AttributeError"),
        (lambda value, ticket: None, "returned None"),
        (lambda value, ticket: value.model_copy(update={"urgency": 9}), "schema rejects"),
    ],
)
def test_a_broken_rule_is_a_bug_and_the_call_still_answers(rule: Any, said: str, caplog: pytest.LogCaptureFixture):
    """A programming error is named as one, and the person who waits gets the default."""
    default = Triage(intent="card_arrival", urgency=3)

    result = support_desk(rules=[rule], fallbacks=[lk.SafeDefault(default)])(text="hello")

    assert (result.value, result.source, result.reason.outcome) == (default, "default", "bug")
    assert said in result.reason.message


def test_a_guard_sees_the_text_before_it_is_read():
    """A guard may fix or reject what the model said."""
    fixed = support_desk(guards=[lambda text: text.replace("card_arrival", "exchange_rate")])(text="hello")
    rejected = support_desk(guards=[lambda text: lk.Reject("a name in it")])(text="hello")

    assert fixed.value.intent == "exchange_rate"
    assert fixed.repairs[0].kind == "guard"
    assert (rejected.reason.step, rejected.reason.outcome) == ("rules", "guard")


def test_confidence_below_the_threshold_is_not_served():
    """An unsure answer goes to the fallback."""
    desk = support_desk(confidence=lk.Confidence(at_least=0.6, score=lambda value, completion: 0.59))

    assert desk(text="hello").reason.outcome == "low_confidence"


def test_an_answer_that_breaks_the_schema_is_asked_again_with_what_is_wrong():
    """The model gets its own answer back with the fault, once per allowed re-ask."""
    model = lk.ScriptedModel(['{"intent": "card_arrival", "urgency": 9}', GOOD])

    result = support_desk(model, policy=lk.Policy(reask=1))(text="hello")

    assert result.value.urgency == 2
    assert [(a.kind, a.outcome) for a in result.attempts] == [("first", "schema"), ("reask", "ok")]
    assert "urgency" in model.requests[1].messages[-1].content
    assert model.requests[1].messages[-2].content == '{"intent": "card_arrival", "urgency": 9}'


def test_a_transport_failure_is_tried_again_and_a_refused_key_is_not():
    """Only what another request may mend is sent again."""
    down = ModelError("down", outcome="transport", status=503)
    retry = lk.Policy(retry=lk.Retry(max_attempts=3, backoff_s=0.0))

    mended = support_desk([down, down, GOOD], policy=retry)(text="hello")
    refused = support_desk([ModelError("no key", outcome="auth", status=401), GOOD], policy=retry)(text="hello")

    assert [(a.kind, a.outcome, a.status) for a in mended.attempts] == [
        ("first", "transport", 503),
        ("retry", "transport", 503),
        ("retry", "ok", None),
    ]
    assert (len(refused.attempts), refused.reason.outcome) == (1, "auth")


def test_a_wait_that_would_outlast_the_deadline_is_not_begun():
    """Retry-After is honoured, and a call does not sleep through its own deadline."""
    limited = ModelError("slow down", outcome="rate_limited", status=429, retry_after_s=3600)

    result = support_desk([limited, GOOD], policy=lk.Policy(deadline_s=5, retry=lk.Retry(max_attempts=2)))(text="hello")

    assert (result.reason.outcome, len(result.attempts)) == ("rate_limited", 1)
    assert "no time left" in result.reason.message


class HangingModel:
    """Never answers; says when it was cancelled."""

    name = "scripted/hangs"

    def __init__(self) -> None:
        self.asked, self.cancelled = threading.Event(), threading.Event()

    async def complete(self, request: Any) -> Any:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def stream(self, request: Any) -> Any:
        raise AssertionError("not streamed here")


def test_the_deadline_ends_a_hanging_model_and_the_default_still_answers():
    """The reserve is the default's: expiry of the main path cannot kill the rescue."""
    model = HangingModel()
    default = Triage(intent="card_arrival", urgency=3)

    result = support_desk(model, policy=lk.Policy(deadline_s=0.1, reserve_s=0.05), fallbacks=[lk.SafeDefault(default)])(
        text="hello"
    )

    assert (result.value, result.source) == (default, "default")
    assert result.reason.outcome in ("timeout", "deadline")
    assert model.cancelled.is_set()
    assert len(result.attempts) == 1


def test_a_hanging_primary_leaves_time_for_its_fallback_model():
    """Without limits of its own the primary takes its share, not all there is."""
    result = support_desk(HangingModel(), policy=lk.Policy(deadline_s=1.0), fallbacks=[lk.ScriptedModel(GOOD)])(
        text="hello"
    )

    assert (result.source, result.degraded, result.value.intent) == ("fallback_model", True, "card_arrival")
    assert [(a.kind, a.outcome) for a in result.attempts] == [("first", "timeout"), ("fallback", "ok")]


def test_rungs_are_tried_in_order_and_each_miss_is_noted():
    """What every rung said stays in the record."""

    def broken(ticket: Ticket) -> Triage:
        raise KeyError("x")

    result = support_desk(
        "no json here",
        fallbacks=[
            lk.ScriptedModel("nor here", name="scripted/small"),
            lk.RulesBased(broken),
            lk.RulesBased(lambda ticket: None),
            lk.SafeDefault({"intent": "card_arrival", "urgency": 1}),
        ],
    )(text="hello")  # fmt: skip

    assert (result.source, result.value) == ("default", Triage(intent="card_arrival", urgency=1))
    assert [note.message.split(":")[0] for note in result.notes if note.step == "fallback"] == [
        "scripted/small",
        "RulesBased(broken)",
        "RulesBased(<lambda>)",
    ]


def test_without_any_answer_the_result_is_an_error_that_can_be_shown():
    """Nothing raises; unwrap() opts in and names the step."""
    result = support_desk(ModelError("down", outcome="transport"))(text="hello")

    assert (result.ok, result.value, result.source) == (False, None, "error")
    assert "try again" in result.user_message
    with pytest.raises(lk.CallFailed, match=r"triage has no value .*model: transport"):
        result.unwrap()


def test_a_shortcut_answers_before_the_model_and_is_not_degraded():
    """A simple case costs nothing and is not a failure."""
    model = lk.ScriptedModel(GOOD)
    value = Triage(intent="exchange_rate", urgency=1)
    desk = support_desk(model, shortcuts=[lk.RulesBased(lambda ticket: value if ticket.text == "rate" else None)])

    assert (desk(text="rate").source, desk(text="rate").degraded) == ("shortcut", False)
    assert model.requests == []
    assert desk(text="something else").source == "model"


def test_a_second_identical_call_is_answered_from_the_cache(tmp_path: Any):
    """Only validated answers are kept, and another question is not answered by them."""
    model = lk.ScriptedModel(GOOD)
    desk = support_desk(model, policy=lk.Policy(cache=lk.Cache(path=str(tmp_path / "cache.db"))))

    sources = [desk(text=text).source for text in ("a", "a", "b")]

    assert sources == ["model", "cache", "model"]
    assert len(model.requests) == 2


def test_a_rejected_answer_is_never_kept(tmp_path: Any):
    """A bad answer is asked for again, not remembered."""
    desk = support_desk(["not json", GOOD], policy=lk.Policy(cache=lk.Cache(path=str(tmp_path / "cache.db"))))

    assert [desk(text="a").source, desk(text="a").source] == ["error", "model"]


def test_an_old_answer_serves_when_the_model_is_down(tmp_path: Any):
    """Stale is a fallback: it shows that the model failed."""
    cache = lk.Cache(path=str(tmp_path / "cache.db"), ttl_s=0)
    desk = support_desk(
        [GOOD, ModelError("down", outcome="transport")],
        policy=lk.Policy(cache=cache, retry=lk.Retry(max_attempts=1)),
        fallbacks=[lk.Stale()],
    )

    first, second = desk(text="a"), desk(text="a")

    assert (first.source, second.source, second.degraded) == ("model", "stale", True)
    assert second.value == first.value


def test_a_cache_that_breaks_is_a_miss_with_a_warning(tmp_path: Any, caplog: pytest.LogCaptureFixture):
    """A broken file costs a model call, never an error."""
    path = tmp_path / "cache.db"
    desk = support_desk([GOOD, GOOD], policy=lk.Policy(cache=lk.Cache(path=str(path))))
    assert desk(text="a").source == "model"
    with contextlib.closing(sqlite3.connect(path)) as damaged, damaged:
        damaged.execute("UPDATE answers SET value = substr(value, 3)")

    result = desk(text="a")

    assert result.source == "model"
    assert "taken as a miss" in caplog.text


def test_a_file_that_is_no_cache_is_refused_and_left_as_it_is(tmp_path: Any):
    """It may be anything of anybody's."""
    path = tmp_path / "cache.db"
    path.write_bytes(b"this is not a database" * 100)

    with pytest.raises(lk.CallInvalid, match="file is not a database"):
        support_desk(policy=lk.Policy(cache=lk.Cache(path=str(path))))

    assert path.read_bytes() == b"this is not a database" * 100


def test_a_degraded_call_says_so_in_the_log(caplog: pytest.LogCaptureFixture):
    """A fallback that fires silently hides a failing model."""
    with caplog.at_level(logging.WARNING, logger="labkit"):
        support_desk("nonsense", fallbacks=[lk.SafeDefault(Triage(intent="card_arrival", urgency=1))])(text="a")

    assert "triage answered by default: step output ended with parse" in caplog.text


def test_every_call_leaves_one_record_with_its_attempts():
    """Also the good ones; content stays out of it unless it is asked for."""
    records: list[lk.CallRecord] = []
    desk = support_desk(["nope", GOOD], policy=lk.Policy(reask=1), sink=records.append)

    desk(text="my secret")
    desk(text="")
    assert lk.flush()

    first, second = (record.data() for record in records)
    assert [attempt["outcome"] for attempt in first["attempts"]] == ["parse", "ok"]
    assert (first["outcome"], first["source"], first["fingerprint"]) == ("ok", "model", desk.fingerprint)
    assert (second["outcome"], second["source"]) == ("schema", "error")
    assert "my secret" not in str(first) and GOOD not in str(first)


def test_content_is_recorded_where_the_policy_says_so():
    """An audit needs the words; then they are all there."""
    records: list[lk.CallRecord] = []

    support_desk(policy=lk.Policy(record_content=True), sink=records.append)(text="hello")
    assert lk.flush()

    data = records[0].data()
    assert (data["input"], data["value"]["urgency"], data["attempts"][0]["text"]) == ({"text": "hello"}, 2, GOOD)


def test_a_broken_sink_cannot_break_the_call(caplog: pytest.LogCaptureFixture):
    """The answer is served; the lost record is in the log."""

    def full(record: lk.CallRecord) -> None:
        raise OSError("disk full")

    assert support_desk(sink=full)(text="hello").source == "model"
    assert lk.flush()
    assert "disk full" in caplog.text


def test_records_go_to_the_file_that_the_environment_names(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    """LABKIT_RECORDS=jsonl:PATH needs no code."""
    monkeypatch.setenv("LABKIT_RECORDS", f"jsonl:{tmp_path}/deep/calls.jsonl")

    desk = support_desk()
    desk(text="a")
    desk(text="b")
    assert lk.flush()

    assert len((tmp_path / "deep" / "calls.jsonl").read_text().splitlines()) == 2


def test_a_cancelled_call_is_recorded_and_stops_the_request():
    """Nobody waits any more: the request ends, and the record says cancelled."""
    model, records = HangingModel(), []

    async def scenario() -> None:
        task = asyncio.create_task(support_desk(model, sink=records.append).acall(text="hello"))
        await asyncio.to_thread(model.asked.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert lk.flush()

    assert model.cancelled.is_set()
    assert [(r.outcome, r.attempts[0].outcome) for r in records] == [("cancelled", "cancelled")]


def test_the_sync_call_works_inside_a_running_loop():
    """As in a notebook cell."""

    async def cell() -> str:
        return support_desk()(text="hello").source

    assert asyncio.run(cell()) == "model"


def test_a_sync_call_on_the_loop_thread_is_refused_not_deadlocked():
    """A rule that makes a sync call would wait for itself; the error says what to write."""
    inner = support_desk()

    async def asks_again(value: Triage, ticket: Ticket) -> Triage:
        inner(text="again")
        return value

    result = support_desk(rules=[asks_again])(text="hello")

    assert result.reason.outcome == "bug"
    assert LoopMisuse.__name__ in result.reason.message and "acall" in result.reason.message


def test_many_calls_share_one_loop():
    """A thousand calls at once need no thread each."""
    desk = support_desk()

    async def burst() -> list[str]:
        before = threading.active_count()
        sources = [r.source for r in await asyncio.gather(*(desk.acall(text=str(n)) for n in range(1000)))]
        assert threading.active_count() == before
        return sources

    assert set(asyncio.run(burst())) == {"model"}


def test_plain_text_is_an_output_too():
    """A call may promise a string; then the text is taken as it is."""
    assert support_desk("just words", output=str)(text="hello").value == "just words"


@pytest.mark.parametrize(("completion", "outcome"), [("length", "truncated"), ("filter", "refused")])
def test_an_answer_that_was_cut_off_or_refused_is_not_read(completion: Any, outcome: str):
    """Half an answer is no answer, even if it happens to parse."""
    result = support_desk(lk.ScriptedModel(GOOD, finish_reason=completion))(text="hello")

    assert (result.reason.step, result.reason.outcome) == ("output", outcome)


def test_explain_tells_the_nine_steps():
    """One look says what happened where."""
    desk = support_desk("nope", fallbacks=[lk.SafeDefault(Triage(intent="card_arrival", urgency=1))])

    printed = desk(text="a").explain()

    assert printed.splitlines()[0].startswith("triage: default, degraded")
    assert [line.split()[1] for line in printed.splitlines()[1:]] == [
        "input", "validate", "context", "prompt", "model", "output", "rules", "record", "fallback",
    ]  # fmt: skip
    assert "ended here: parse" in printed and "answered by default" in printed


def test_a_result_in_a_notebook_is_escaped():
    """What a model says is shown, never run."""
    html = support_desk("<script>alert(1)</script>", output=str)(text="a")._repr_html_()

    assert "<script>" not in html and "&lt;script&gt;" in html
