"""Pictures and documents: what is taken for one, what never is, and how they stand on the wire."""

from __future__ import annotations

import base64
import json
import pickle
from pathlib import Path
from typing import Annotated, Any

import pytest
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, TypeAdapter, ValidationError

from labkit.models.media import File, Image, MediaLimits
from labkit.models.openai_format import ChatRequest
from labkit.models.protocol import CompletionRequest, Message
from labkit.models.schema_wire import messages_of, prompted_messages

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
PNG_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()


class Claim(BaseModel):
    photo: Image
    papers: list[File] = []
    thumb: Annotated[Image, MediaLimits(max_bytes=40)] | None = None
    only_jpeg: Annotated[Image, MediaLimits(types=("image/jpeg",))] | None = None
    far: Annotated[Image, MediaLimits(remote=True)] | None = None


def test_bytes_a_path_and_a_data_url_are_the_same_picture(tmp_path: Path):
    """However it comes in, it is the bytes and their type that count."""
    (tmp_path / "photo.png").write_bytes(PNG)

    by_bytes, by_url = Claim(photo=PNG).photo, Claim(photo=PNG_URL).photo
    by_path = Claim(photo=tmp_path / "photo.png").photo

    assert by_bytes == by_url
    assert (by_path.name, by_path.sha256) == ("photo.png", by_bytes.sha256)
    assert {each.media_type for each in (by_bytes, by_url, by_path)} == {"image/png"}
    assert by_bytes.data_url == PNG_URL


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("photo", "/etc/passwd", "a text is no image: give bytes, a pathlib.Path or a data: URL"),
        ("photo", "file:///etc/passwd", "a text is no image"),
        ("photo", "https://example.org/a.png", "allow it with MediaLimits(remote=True)"),
        ("photo", Path("no/such/picture.png"), "cannot be read"),
        ("photo", b"GIF89b not quite", "is not taken: give image/png"),
        ("photo", PDF, "application/pdf is not taken"),
        ("photo", PNG_URL.replace("png", "jpeg", 1), "it says image/jpeg and its bytes are image/png"),
        ("photo", PNG_URL[:-3] + "!!=", "no base64"),
        ("photo", "data:image/png,abc", "has to be in base64"),
        ("photo", b"", "is empty"),
        ("photo", 7, "a int is no image"),
        ("thumb", PNG, "over 40 bytes"),
        ("thumb", PNG_URL * 20, "over 40 bytes"),
        ("only_jpeg", PNG, "image/png is not taken: give image/jpeg"),
        ("far", "https:///a.png", "a text is no image"),
        ("far", "ftp://example.org/a.png", "a text is no image"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_mend(field: str, value: Any, said: str):
    """A text is never a path: it may come from a stranger."""
    with pytest.raises(ValidationError) as refused:
        Claim.model_validate({"photo": PNG} | {field: value})

    [fault] = refused.value.errors()
    assert fault["loc"] == (field,)
    assert said in fault["msg"]


def test_limits_hold_for_one_that_was_made_before():
    """Made without limits, it still has to keep the field's."""
    with pytest.raises(ValidationError, match="over 40 bytes"):
        Claim(photo=PNG, thumb=Image(PNG))
    with pytest.raises(ValidationError, match="remote address"):
        Claim(photo=Image("https://example.org/a.png"))

    assert Claim(photo=PNG, far="https://example.org/a.png").far == Image("https://example.org/a.png")


def test_it_survives_json_and_pickle():
    """With its name, which a data: URL has no place for."""
    claim = Claim(photo=PNG, papers=[File(PDF, name="contract.pdf"), b"%PDF-1.4"])

    assert Claim.model_validate_json(claim.model_dump_json()) == claim
    assert pickle.loads(pickle.dumps(claim)) == claim
    assert claim.papers[0].name == "contract.pdf"


def test_it_shows_its_kind_and_size_and_none_of_its_content():
    """In a repr, and so in logs and error messages."""
    shown = repr(Claim(photo=PNG, papers=[File(b"secret words", media_type="text/plain")]))

    assert "image/png, 70 bytes, sha256 6b7fa434f92a" in shown
    assert "secret" not in shown and base64.b64encode(b"secret words").decode() not in shown


def question() -> CompletionRequest:
    text = "Before between after"
    media = ((7, Image(PNG)), (15, File(PDF, name="contract.pdf")), (20, Image("https://example.org/a.png")))
    return CompletionRequest(messages=(Message("system", "Look."), Message("user", text, media)), schema={})


def test_it_stands_in_the_message_where_it_was_put_in_openais_own_form():
    """The openai SDK's types take the body, part for part."""
    [system, user] = messages_of(question())

    assert system == {"role": "system", "content": "Look."}
    assert user["content"] == [
        {"type": "text", "text": "Before "},
        {"type": "image_url", "image_url": {"url": PNG_URL}},
        {"type": "text", "text": "between "},
        {
            "type": "file",
            "file": {
                "filename": "contract.pdf",
                "file_data": "data:application/pdf;base64," + base64.b64encode(PDF).decode(),
            },
        },
        {"type": "text", "text": "after"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]
    for message in (system, user):
        checked: Any = TypeAdapter(ChatCompletionMessageParam).validate_python(message, extra="forbid")
        assert json.loads(json.dumps(message)).keys() == checked.keys()


def test_a_schema_in_words_leaves_it_where_it_was():
    """Where a server takes no schema, pictures still go out."""
    messages = prompted_messages(question())

    assert [part["type"] for part in messages[-1]["content"]].count("image_url") == 2


def test_a_server_reads_what_a_client_wrote():
    """Back into the same message: the model server hands pictures on to the model behind it."""
    body = {"model": "m", "messages": messages_of(question())}

    assert ChatRequest.model_validate_json(json.dumps(body)).as_request().messages[1].content == "Before between after"
    [user] = [m for m in ChatRequest.model_validate(body).as_request().messages if m.role == "user"]
    assert [(at, type(medium)) for at, medium in user.media] == [(7, Image), (15, File), (20, Image)]
    assert [medium for _, medium in user.media[:2]] == [Image(PNG), File(PDF, name="contract.pdf")]


def test_jpegs_and_texts_are_told_by_their_bytes_or_their_name(tmp_path: Path):
    """A text has no first bytes of its own: its ending says what it is."""
    (tmp_path / "notes.md").write_text("# Notes")

    assert Image(JPEG).media_type == "image/jpeg"
    assert File(tmp_path / "notes.md").media_type == "text/markdown"
