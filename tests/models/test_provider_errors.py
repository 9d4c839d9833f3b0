"""A provider's status, code and headers mean one thing to the pipeline."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from labkit.models.provider_errors import provider_error, retry_after_s


@pytest.mark.parametrize(
    ("status", "said", "code", "outcome"),
    [
        (400, "unknown parameter: 'foo'", None, "bug"),
        (401, "Incorrect API key", "invalid_api_key", "auth"),
        (402, "Insufficient balance", None, "auth"),
        (403, "Country not supported", None, "auth"),
        (404, "The model `x` does not exist", "model_not_found", "bug"),
        (408, "Request timeout", None, "timeout"),
        (409, "Conflict", None, "transport"),
        (413, "Payload too large", None, "bug"),
        (422, "Unprocessable", None, "bug"),
        (429, "Rate limit reached", "rate_limit_exceeded", "rate_limited"),
        (429, "You exceeded your current quota", "insufficient_quota", "auth"),
        (500, "The server had an error", None, "transport"),
        (503, "Overloaded", None, "transport"),
        (504, "Gateway timeout", None, "timeout"),
        (529, "Overloaded", None, "transport"),
        (307, "Temporary Redirect", None, "bug"),
        (400, "Flagged", "content_policy_violation", "refused"),
        (400, "The response was filtered due to Azure OpenAI's content management policy", None, "refused"),
        (400, "This model's maximum context length is 8192 tokens", "context_length_exceeded", "refused"),
        (413, "prompt is too long: 250000 tokens", None, "refused"),
        (429, "Too many tokens per minute", None, "rate_limited"),
    ],
)
def test_every_status_has_its_outcome(status: int, said: str, code: str | None, outcome: str):
    """The table at the top of the module."""
    error = provider_error("openai/m", status, said, code=code)

    assert (error.outcome, error.status) == (outcome, status)
    assert str(error).startswith(f"openai/m: HTTP {status}: {said}")


def test_a_prompt_that_is_too_long_says_so():
    """It is the input, not the definition, that must change."""
    error = provider_error("m", 400, "too long", code="context_length_exceeded")

    assert "longer than the context window" in str(error)


def test_a_long_message_is_cut():
    """A provider's page must not fill the records."""
    assert len(str(provider_error("m", 500, "x" * 100_000))) < 3_000


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0.0),
    ],
)
def test_how_long_to_wait_is_read_from_the_headers(headers: dict[str, str], seconds: float | None):
    """What makes no sense is as if it were not there."""
    assert retry_after_s(headers) == seconds


def test_how_long_to_wait_may_be_a_date():
    """RFC 9110 allows both."""
    in_an_hour = retry_after_s({"retry-after": formatdate(time.time() + 3_600, usegmt=True)})

    assert in_an_hour is not None
    assert 3_000 < in_an_hour <= 3_601


def test_the_request_id_is_kept_for_the_providers_support():
    """Under either of its names."""
    assert provider_error("m", 500, "", headers={"x-request-id": "a"}).request_id == "a"
    assert provider_error("m", 500, "", headers={"request-id": "b"}).request_id == "b"
