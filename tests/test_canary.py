"""One call with a key, a gateway's key and a sensitive value, and a provider that quotes all that it was sent."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import pickle
import sqlite3
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from aiohttp import web
from provider import completion, provider
from pydantic import BaseModel

import labkit as lk
from labkit import evals, views
from labkit.cli import main
from labkit.views.report import Report

KEY, GATEWAY, VALUE = "key-canary-0011", "gateway-canary-0022", "value-canary-0033"
CANARIES = (KEY, GATEWAY, VALUE)


class Ticket(BaseModel):
    text: str
    account: Annotated[str, lk.Sensitive]


class Answer(BaseModel):
    intent: str
    account: Annotated[str, lk.Sensitive]


async def quoting(request: web.Request, body: Any) -> web.StreamResponse:
    """Answer some, and quote address, headers and question in the errors to the others."""
    said = f"{request.url} {dict(request.headers)} {json.dumps(body)}"
    text = body["messages"][-1]["content"]
    if "refuse" in text:
        return web.json_response({"error": {"message": said}}, status=400)
    if "break" in text:
        return web.json_response({"error": {"message": said}}, status=500)
    if "nonsense" in text:
        return web.json_response(completion(f"I cannot: {said}"))
    return web.json_response(completion(json.dumps({"intent": "a", "account": VALUE})))


async def asked(tmp_path: Path, key_from: str, texts: list[str], env: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """Ask and evaluate; give the call and its two runs, and add to *texts* what was shown on the way."""
    async with provider(quoting) as served:
        base_url = f"{served.base_url}?api-key={GATEWAY}"
        if key_from == "environment":
            env.setenv("OPENAI_API_KEY", KEY)
            env.setenv("GATEWAY_URL", base_url)
        call = lk.GuardedCall(
            "desk", input=Ticket, output=Answer,
            model=lk.Model("openai/m", base_url=base_url, api_key=KEY if key_from == "code" else None),
            prompt=lk.Prompt(user="{{ input.text }} {{ input.account }}"),
            policy=lk.Policy(record_content=True, retry=lk.Retry(max_attempts=1), reask=1),
            sink=f"jsonl:{tmp_path}/records.jsonl",
        )  # fmt: skip
        for text in ("fine", "refuse", "break", "nonsense"):
            result = await call.acall(text=text, account=VALUE)
            texts += [repr(result), str(result), result._repr_html_()]
            result.explain()
            try:
                result.unwrap()
            except lk.CallFailed as error:
                texts.append("".join(traceback.format_exception(error)))
        cases = evals.Dataset(
            [evals.Case(id=text, input={"text": text, "account": VALUE}, expected={"account": VALUE})
             for text in ("fine", "fine too", "nonsense", "break")]
        )  # fmt: skip
        runs = [
            await evals.aevaluate(
                call, cases, scorers=[evals.FieldMatch()], store=f"sqlite:///{tmp_path}/runs.db", run_id=run_id
            )
            for run_id in ("one", "two")
        ]
    assert any(KEY in value for sent in served.headers for value in sent.values())
    assert VALUE in json.dumps(served.bodies) and GATEWAY in served.paths[0]
    return call, runs


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    logger = logging.getLogger("labkit")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield out
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


@pytest.mark.parametrize("key_from", ["code", "environment"])
def test_no_key_password_or_sensitive_value_is_shown_or_kept_anywhere(
    key_from: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    logged: io.StringIO,
):  # fmt: skip
    """Not in reprs, messages, logs, pickles, records, stores, reports, views, JUnit, gate.json or exports."""
    store = f"sqlite:///{tmp_path}/runs.db"
    texts: list[str] = []
    call, runs = asyncio.run(asked(tmp_path, key_from, texts, monkeypatch))
    assert lk.flush()

    gate = evals.Gate(floors={"pass_rate": 0.99}).check(runs[1], baseline=runs[0])
    gate.write(tmp_path / "gate.json")
    Report(runs[1], baseline=runs[0], gate=gate, history=evals.history("desk", store=store)).write(
        tmp_path / "report.html"
    )
    evals.write_junit(tmp_path / "junit.xml", runs, gate=gate)
    texts += [repr(call), repr(call._parts.model), repr(runs), *(repr(row) for run in runs for row in run.rows)]
    texts += [view.html() for view in (views.ab(*runs), views.validation(runs[0]), views.latency(*runs))]
    for command in (
        ["runs"],
        ["compare", "one", "two"],
        ["history", "desk"],
        ["export", "one", f"{tmp_path}/rows.jsonl"],
    ):
        main([*command, "--store", store])
    texts += [logged.getvalue(), *capfd.readouterr()]
    with sqlite3.connect(tmp_path / "runs.db") as db:
        texts.append("\n".join(db.iterdump()))
    texts += [path.read_bytes().decode("latin-1") for path in tmp_path.iterdir()]
    pickled = pickle.dumps(call).decode("latin-1")

    assert len([path for path in tmp_path.iterdir() if path.is_file()]) >= 6
    assert not [(canary, text[:200]) for text in texts for canary in CANARIES if canary in text]
    assert KEY not in pickled
    assert key_from == "code" or GATEWAY not in pickled
