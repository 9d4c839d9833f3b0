"""A model that says it will not: a refusal is no answer, even where it fits the schema."""

from __future__ import annotations

import re

from labkit.call.guards.passages import passages
from labkit.call.guards.patterns import Pattern
from labkit.call.rules import Reject

__all__ = ["no_refusal"]

# The rest of a regret or a greeting: up to the punctuation, or to where the speaker begins anew.
_REST = r"(?:(?! (?:i|i'm|we|but|however)\b)[^.,;:!?\n]){0,80}+"
_REGRET = (
    rf"(?:(?:(?:i'm|i am|we're|we are) (?:(?:very|so|really|truly|deeply) )?)?(?:sorry|afraid){_REST}"
    rf"|(?:my|our|i|we)?(?: sincere(?:st)?)? ?apolog(?:y|ies|i[sz]e){_REST}"
    rf"|(?:thanks|thank you|hi|hello|dear|i understand|i appreciate|i know|i see){_REST}"
    rf"|as an? (?:large |responsible |helpful )?(?:ai|artificial|language|virtual|assistant)\b{_REST}"
    r"|unfortunately|regrettably|no|oh|but|however|[,;:.!\s*_#>-])"
)
_UNABLE = (
    r"(?:i|we)(?: (?:really|simply|just|also))?(?: can ?not| can't| cant| won't| will not| decline to| refuse to"
    r"| (?:must|have to|need to) (?:respectfully )?(?:decline|refuse) to| (?:don't|do not) feel comfortable"
    r"|(?: am| are|'m|'re) (?:not able to|unable to|not allowed to|not permitted to|not going to|not comfortable))"
)
# What is refused is help or writing; "I can't find your order" is an answer.
_TASK = (
    r"(?: (?:with|ethically|legally|directly|in good conscience|be able to|continue to|further)){0,3}"
    r" (?:help|assist|comply|fulfil|do (?:that|this)|writ(?:e|ing)\b|generat|creat|produc|provid|answer|support|engag"
    r"|discuss|participat|offer\b|give\b|shar(?:e|ing)\b|respond)"
)
_REFUSAL = Pattern(
    rf"{_REGRET}{{0,40}}+(?:{_UNABLE}{_TASK}"
    r"|(?:i|we) (?:must|have to|need to) (?:respectfully )?(?:decline|refuse)\b"
    r"|(?:this|that|your|the) request (?:violates|goes against|is against)"
    r"|(?:that|this)(?: is|'s) (?:not something i can|something i (?:can't|cannot|won't)) (?:help|assist|do)\b"
    r"|(?:it is|it's|that is|that's|that would be) against (?:my|our) (?:polic|guidelines|rules|programming))",
    re.IGNORECASE,
)
_BEGINNING_CHARS = 600
_MEND = "answer what was asked, or say in the answer's own fields that it cannot be answered"


def no_refusal(text: str) -> str | Reject | None:
    """Reject text that begins by refusing, as a whole or in one of its JSON string values.

    Only the beginning counts: what somebody said, quoted further on, is no refusal. English only; other languages pass,
    and so does a refusal that comes after a sentence of its own. "I can't give an exact date" is taken for one.

    Measured on tests/data/guards/refusal.jsonl, which is hard on purpose: precision 0.84, recall 0.84.
    """
    for passage in passages(text):
        if _REFUSAL.match(passage.lstrip()[:_BEGINNING_CHARS].replace("\u2019", "'")):
            return Reject(f"a refusal where an answer was asked for: {_MEND}")
    return None
