"""Built-in output guards: functions of the model's text that reject it, or black out what must not go on.

    pii.py          personal data: emails.py, phones.py, bank_numbers.py, identity_numbers.py, ip_addresses.py
    credentials.py  keys, tokens, passwords
    phrases.py      words that must not be said
    length.py       too long, too short
    language.py     another language than was asked for; stopwords.py tells them apart
    refusal.py      a refusal instead of an answer
    canary.py       the prompt, given away
    links.py        links that lead elsewhere
    findings.py     what was found becomes a rejection or a redaction
    reading.py      the text as its reader sees it; passages.py its prose; patterns.py compiled when used

Each takes time in proportion to the text, keeps nothing between calls, and says in its docstring how good it is on the
table in ``tests/data/guards``. Patterns do not understand: a guard lowers a risk, it does not remove it. May import
what ``labkit.call`` may.
"""

from labkit.call.guards.canary import PromptLeak, make_canary
from labkit.call.guards.credentials import Secrets, no_secrets
from labkit.call.guards.language import Language
from labkit.call.guards.length import Length
from labkit.call.guards.links import UrlAllowList
from labkit.call.guards.phrases import ForbiddenPhrases
from labkit.call.guards.pii import Pii, no_pii
from labkit.call.guards.refusal import no_refusal

__all__ = [
    "ForbiddenPhrases",
    "Language",
    "Length",
    "Pii",
    "PromptLeak",
    "Secrets",
    "UrlAllowList",
    "make_canary",
    "no_pii",
    "no_refusal",
    "no_secrets",
]
