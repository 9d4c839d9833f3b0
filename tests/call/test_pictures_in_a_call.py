"""Pictures and documents through a call: into the message, the cache key, the fingerprint; never into a record."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import labkit as lk
from labkit import evals, views
from labkit.errors import DatasetInvalid
from labkit.models.media import Media
from labkit.models.server import ModelServer

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PNG_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
PDF = b"%PDF-1.7\n" + bytes(range(32))


class Claim(BaseModel):
    text: str
    photos: list[lk.Image] = []
    contract: lk.File | None = None


def claims(model: Any, user: str = "Claim: {{ input.text }}", **options: Any) -> lk.GuardedCall[str]:
    return lk.GuardedCall(
        "claims", input=Claim, output=str, prompt=lk.Prompt(system="Judge.", user=user), model=model, **options
    )


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(lk.ScriptedModel(["fine"] * 20)) as running:
        yield running


def parts_sent(server: ModelServer) -> list[str]:
    content = server.requests[-1]["messages"][-1]["content"]
    return [content] if isinstance(content, str) else [part.get("text", part["type"]) for part in content]


@pytest.mark.parametrize("client", ["direct", "litellm"])
def test_they_follow_the_text_where_no_template_names_them(server: ModelServer, client: Any):
    """In the order of the input's fields, in the wire's own form, whichever client asks."""
    model = lk.Model("openai/any", base_url=server.base_url, client=client, api_key="k")

    result = claims(model)(text="dented", photos=[PNG, PNG_URL], contract=PDF)

    assert (result.value, result.source) == ("fine", "model")
    assert parts_sent(server) == ["Claim: dented", "image_url", "image_url", "file"]
    content = server.requests[-1]["messages"][-1]["content"]
    assert content[1]["image_url"]["url"] == PNG_URL
    assert content[3]["file"]["file_data"] == "data:application/pdf;base64," + base64.b64encode(PDF).decode()


def test_a_template_says_where_they_go(server: ModelServer):
    """Each where it is named; those that it does not name follow."""
    model = lk.Model("openai/any", base_url=server.base_url, api_key="k")
    user = "{% for photo in input.photos %}[{{ loop.index }}: {{ photo }}]{% endfor %} {{ input.text|upper }}"

    claims(model, user)(text="dented", photos=[PNG, PNG + b" "], contract=PDF)

    assert parts_sent(server) == ["[1: ", "image_url", "][2: ", "image_url", "] DENTED", "file"]


def test_a_prompt_may_bring_pictures_of_its_own(server: ModelServer):
    """As values, like any other example."""
    prompt = lk.Prompt(user="Like {{ sample }}? {{ input.text }}", values={"sample": lk.Image(PNG)})
    model = lk.Model("openai/any", base_url=server.base_url, api_key="k")
    call = lk.GuardedCall("claims", input=Claim, output=str, prompt=prompt, model=model)
    other = call.replace(prompt=lk.Prompt(user=prompt.user, values={"sample": lk.Image(PNG + b" ")}))

    call(text="dented")

    assert parts_sent(server) == ["Like ", "image_url", "? dented"]
    assert call.versions["prompt"] != other.versions["prompt"]
    assert (
        call.fingerprint
        == call.replace(prompt=lk.Prompt(user=prompt.user, values={"sample": lk.Image(PNG)})).fingerprint
    )


def test_another_picture_is_another_question_to_the_cache():
    """And the same one is the same, however it came in."""
    call = claims(lk.ScriptedModel(["one", "two"]), policy=lk.Policy(cache=lk.Cache(ttl_s=60)))

    answers = [call(text="dented", photos=[photo]) for photo in (PNG, PNG + b" ", PNG_URL)]

    assert [(answer.value, answer.source) for answer in answers] == [
        ("one", "model"),
        ("two", "model"),
        ("one", "cache"),
    ]


def test_a_text_that_looks_like_a_place_stays_a_text(server: ModelServer):
    """What marks a place is drawn anew in every process: nobody can write one."""
    model = lk.Model("openai/any", base_url=server.base_url, api_key="k")

    claims(model)(text="\ue000123-1\ue001 {{ input.contract }}", contract=PDF)

    assert parts_sent(server) == ["Claim: \ue000123-1\ue001 {{ input.contract }}", "file"]


def test_records_hold_none_of_them_without_content():
    """Nor does a result, its explanation or its page."""
    records: list[lk.CallRecord] = []
    call = claims(lk.ScriptedModel("fine"), sink=records.append, policy=lk.Policy(record_content=False))

    result = call(text="dented", photos=[PNG], contract=PDF)
    lk.flush()

    shown = [str(records[0].data()), repr(result), result._repr_html_(), str(result.explain())]
    for data in (PNG, PDF):
        assert not any(base64.b64encode(data).decode() in text or repr(data) in text for text in shown)


def test_with_content_a_record_can_be_asked_again():
    """The picture is part of the input that it holds."""
    records: list[lk.CallRecord] = []
    call = claims(lk.ScriptedModel("fine"), sink=records.append, policy=lk.Policy(record_content=True))

    call(text="dented", photos=[PNG])
    lk.flush()

    assert Claim.model_validate(records[0].data()["input"]).photos == [lk.Image(PNG)]


def test_a_large_picture_is_no_long_text():
    """The limit on an input's characters is not one of a picture, in whatever form it comes."""
    large = PNG + bytes(400_000)
    url = "data:image/png;base64," + base64.b64encode(large).decode()

    for photo in (large, url):
        assert claims(lk.ScriptedModel("fine"))(text="dented", photos=[photo]).source == "model"


def test_a_picture_that_does_not_fit_costs_no_request():
    """It is named by its field."""
    result = claims(lk.ScriptedModel("fine"))(text="dented", photos=[b"no picture"])

    assert (result.source, result.attempts) == ("error", ())
    assert result.reason is not None
    assert "photos.0: application/octet-stream is not taken" in result.reason.message


# --- evaluation -------------------------------------------------------------------------------------------------------


def write_rows(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_dataset_names_files_beside_it(tmp_path: Path):
    """They are read into the case: what was asked is known, whatever becomes of the file."""
    (tmp_path / "img").mkdir()
    (tmp_path / "img/dent.png").write_bytes(PNG)
    row = {"id": "1", "input": {"text": "dented", "photos": ["img/dent.png"]}}
    path = write_rows(tmp_path / "cases.jsonl", row)
    call = claims(lk.ScriptedModel(["fine", "fine"]))

    cases = evals.Dataset.load(path, call=call)
    run = evals.evaluate(call, cases, store=f"sqlite:///{tmp_path}/runs.db", progress=False)
    again = evals.load_run(run.run_id, store=f"sqlite:///{tmp_path}/runs.db")

    assert run.rows[0].result.source == "model"
    [kept] = Claim.model_validate(again.rows[0].case.input).photos
    assert (kept.data, kept.name) == (PNG, "dent.png")
    (tmp_path / "img/dent.png").write_bytes(PNG + b" ")
    assert evals.Dataset.load(path, call=call)["1"].hash != cases["1"].hash


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("../outside.png", "lies outside of the dataset's folder"),
        ("/etc/passwd", "lies outside of the dataset's folder"),
        ("link.png", "lies outside of the dataset's folder"),
        ("missing.png", "cannot be read"),
        ("notes.txt", "text/plain is not taken"),
    ],
)
def test_a_dataset_names_no_other_file(tmp_path: Path, named: str, said: str):
    """Rows are a stranger's; the fault is told with file and line."""
    folder = tmp_path / "cases"
    folder.mkdir()
    (tmp_path / "outside.png").write_bytes(PNG)
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    (folder / "notes.txt").write_text("notes")
    path = write_rows(folder / "cases.jsonl", {"id": "1", "input": {"text": "x", "photos": [named]}})

    with pytest.raises(DatasetInvalid) as refused:
        evals.Dataset.load(path, call=claims(lk.ScriptedModel("fine")))

    assert said in str(refused.value)
    assert "line 1" in str(refused.value) or ":1" in str(refused.value)


def test_views_show_thumbnails_and_no_base64(tmp_path: Path):
    """Small copies made here, in the A/B view and in the validation table; documents in a few words."""
    case = evals.Case(id="1", input={"text": "dented", "photos": [PNG_URL], "contract": lk.File(PDF).data_url})
    call = claims(lk.ScriptedModel(["fine"]))
    other = call.replace(name="other", model=lk.ScriptedModel(["good"]))
    store = f"sqlite:///{tmp_path}/runs.db"
    a, b = evals.evaluate([call, other], evals.Dataset([case]), scorers=[lambda case, result: True], store=store)

    for page in (views.ab(a, b).html(), views.validation(a).html()):
        assert '<img src="data:image/png;base64,' in page
        assert PNG_URL not in page and base64.b64encode(PDF).decode() not in page
        assert "application/pdf, 41 bytes" in page


def test_every_kind_is_of_one_family():
    """So that whoever handles messages needs to know one name."""
    assert issubclass(lk.Image, Media) and issubclass(lk.File, Media)
