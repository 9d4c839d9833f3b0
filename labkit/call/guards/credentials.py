"""Keys, tokens and passwords must not leave in an answer."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.call.guards.findings import Action, Finding, check_action, verdict
from labkit.call.guards.reading import read
from labkit.call.guards.secret_forms import credentials_in
from labkit.call.rules import Reject

__all__ = ["Secrets", "no_secrets"]

_MEND = "write the answer without them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Reject or redact credentials; ``no_secrets`` is this with everything left as it is, and says how good it is.

    Args:
        action: "reject" ends the answer, which is asked for again; "redact" puts "[aws-key]" and the like in its place
            and goes on, recorded as a fix.

    Raises:
        CallInvalid: An unknown action.
    """

    action: Action = "reject"

    def __post_init__(self) -> None:
        check_action("Secrets", self.action)

    def __call__(self, text: str) -> str | Reject | None:
        reading = read(text)
        found = list(credentials_in(reading.text))
        places = reading.raw_spans([span for _, span in found])
        findings = [Finding(kind, *place) for (kind, _), place in zip(found, places, strict=True)]
        return verdict(text, findings, action=self.action, subject="credentials", mend=_MEND)


_USUAL = Secrets()


def no_secrets(text: str) -> str | Reject | None:
    """Reject text with an API key, token, private key, or password in it.

    Formats: AWS, GitHub, GitLab, Slack, Stripe, Google, OpenAI and Anthropic (sk-...), Hugging Face, npm, PyPI,
    SendGrid, Telegram, JWT, PEM private keys, Bearer and Basic headers, URLs with a password, and whatever is assigned
    to "password", "token", "api_key" and the like, if it has eight characters, a digit, and enough entropy. A password
    of plain words passes, and so does a key that is called by no such name. What documentation uses as a placeholder
    is no secret.

    Measured on tests/data/guards/secrets.jsonl, which is hard on purpose: precision 0.89, recall 0.87.
    """
    return _USUAL(text)
