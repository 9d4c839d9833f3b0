"""What was asked in production becomes cases, once, and only where its input was recorded."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Annotated, Any

import pytest
from desk import GOOD, Ticket, support_desk
from scripted_runs import banking_runs

import labkit as lk
from labkit.errors import DatasetInvalid
from labkit.evals import Dataset


def asked(*texts: str, model: Any = GOOD, content: bool = True, **changes: Any) -> list[lk.CallRecord]:
    """The records of a desk that was asked *texts*."""
    records: list[lk.CallRecord] = []
    policy = lk.Policy(retry=lk.Retry(max_attempts=1), record_content=content)
    desk = support_desk(model, policy=policy, sink=records.append, **changes)
    for text in texts:
        desk(text=text)
    lk.flush()
    return records


def test_a_record_becomes_a_case():
    """Named by its call, tagged with how it went, noted with why; nothing is expected before a review."""
    good, bad = asked("Where is my card?", "Stolen!", model=[GOOD, "no idea", "no idea"])

    first, second = Dataset.from_records([good, bad], call=support_desk(), tags=["march"])

    assert (first.id, first.input, first.expected) == (good.call_id, {"text": "Where is my card?"}, None)
    assert (first.tags, first.note) == (("production", "model", "ok", "march"), "")
    assert second.tags == ("production", "error", "parse", "march")
    assert second.note.startswith("output: parse: ")


def test_a_file_of_records_is_read_by_line(tmp_path: Path):
    """As the sink wrote it; a broken line is named."""
    records = asked("one", "two")
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"".join(record.line() for record in records))

    assert Dataset.from_records(path).cases == Dataset.from_records(record.data() for record in records).cases
    with path.open("ab") as file:
        file.write(b'{"call": "x"}\n{oops\n')
    with pytest.raises(DatasetInvalid) as caught:
        Dataset.from_records(path)
    assert [line.partition(": ")[0].rpartition(":")[2] for line in str(caught.value).splitlines()] == ["3", "4"]
    with pytest.raises(DatasetInvalid, match="is not there"):
        Dataset.from_records(tmp_path / "none.jsonl")


def test_a_review_says_what_is_expected():
    """By id or beside the record; a review of nothing is a mistake in the id."""
    one, two = asked("one", "two")
    wanted = {"intent": "card_arrival", "urgency": 1}

    by_id = Dataset.from_records([one, two], reviews={two.call_id: wanted}, call=support_desk())
    beside = Dataset.from_records([(one, wanted), two])

    assert [case.expected for case in by_id] == [None, wanted]
    assert [case.expected for case in beside] == [wanted, None]
    with pytest.raises(DatasetInvalid, match="1 reviews, the first of 'nobody', are of nothing"):
        Dataset.from_records([one], reviews={"nobody": wanted})
    with pytest.raises(DatasetInvalid, match=r"records, record 1: case .* urgency: Input should be a valid integer"):
        Dataset.from_records([(one, {"urgency": "high"})], call=support_desk())


def test_what_was_asked_twice_is_one_case():
    """The reviewed one, if there is one."""
    one, again, other = asked("one", "one", "two")

    assert [case.id for case in Dataset.from_records([one, again, other])] == [one.call_id, other.call_id]
    assert [case.id for case in Dataset.from_records([one, (again, {"urgency": 1})])] == [again.call_id]


def test_records_without_their_input_are_counted_not_guessed(caplog: pytest.LogCaptureFixture):
    """What was not recorded or is hidden cannot come back; the error says how to record it from now on."""

    class Secret(Ticket):
        iban: Annotated[str, lk.Sensitive] = "DE02120300000000202051"

    whole = asked("one")
    mixed = [*whole, *asked("two", content=False), *asked("three", input=Secret), *asked("")]

    with pytest.raises(DatasetInvalid) as caught:
        Dataset.from_records(mixed)
    assert "3 of 4 records cannot become cases: 1 recorded without content, 1 with a sensitive" in str(caught.value)
    assert "1 with an input that was invalid" in str(caught.value)
    assert "Policy(record_content=True)" in str(caught.value)
    with caplog.at_level(logging.WARNING, "labkit.evals"):
        assert [c.id for c in Dataset.from_records(mixed, without_input="skip")] == [whole[0].call_id]
    assert "3 of 4 records are left out" in caplog.text
    with pytest.raises(DatasetInvalid, match="1 of 1 records cannot"):
        Dataset.from_records(mixed[1:2], without_input="skip")


def test_only_the_records_of_the_call_are_taken():
    """A sink may hold those of many calls."""
    records = asked("one")
    other = {**records[0].data(), "call": "other", "call_id": "x"}

    assert len(Dataset.from_records([*records, other])) == 1
    assert [case.id for case in Dataset.from_records([other, *records], call=support_desk())] == [records[0].call_id]
    with pytest.raises(DatasetInvalid, match="no record is of call 'triage', they are of 'other'"):
        Dataset.from_records([other], call=support_desk())


def test_rows_of_an_evaluation_become_cases():
    """They keep what they expected, their tags, and gain how they went."""
    run, _ = banking_runs(48)
    failed = [row for row in run.rows if row.status != "ok"]

    cases = Dataset.from_records(failed, name="failed", reviews={failed[0].case_id: {"intent": "exchange_rate"}})

    assert [case.id for case in cases] == [row.case_id for row in failed]
    assert cases.cases[0].expected == {"intent": "exchange_rate"}
    assert cases.cases[1].expected == failed[1].case.expected
    assert cases.cases[0].tags == (*failed[0].case.tags, "evaluation", failed[0].result.source, failed[0].status)
    assert cases.cases[0].note.startswith("output: parse: the text holds no JSON")


def test_a_promoted_dataset_is_a_dataset(tmp_path: Path):
    """It is written, read back and merged like any other."""
    cases = Dataset.from_records(asked("one", "two"))

    cases.write(tmp_path / "cases.jsonl")

    assert Dataset.load(tmp_path / "cases.jsonl", call=support_desk()).hash == cases.hash
    assert json.loads((tmp_path / "cases.jsonl").read_text().splitlines()[0])["tags"][0] == "production"
