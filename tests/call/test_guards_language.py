"""Language: what is told, what is too short to tell, and what is not looked at."""

from __future__ import annotations

import pytest
from guard_tables import rows

from labkit.call.guards import Language
from labkit.call.guards.language import LANGUAGES, detect_language
from labkit.call.rules import Reject
from labkit.errors import CallInvalid

GERMAN = "Wir haben die Karte gesperrt und eine neue f\u00fcr Sie bestellt."


def test_the_reason_says_which_language_it_is_and_which_it_shall_be():
    """Codes only: the model knows them."""
    assert Language("en", "fr")(GERMAN) == Reject("the text is in 'de': write it in 'en' or 'fr'")


def test_any_of_several_languages_may_be():
    """A Swiss desk answers in three."""
    assert Language("en", "de")(GERMAN) is None


def test_keys_and_labels_of_json_are_no_prose():
    """They are English in every country."""
    text = f'{{"the_reply_to_the_customer": "{GERMAN}", "intent": "lost_or_stolen_card"}}'

    assert detect_language(text) == "de"


def test_a_text_too_short_to_tell_passes():
    """Three words prove nothing; the bound is the user's."""
    assert Language("en")("Danke und bis bald") is None
    assert isinstance(Language("en", min_words=3)("Danke und bis bald"), Reject)


def test_links_and_addresses_say_nothing():
    """The words of a path are not the writer's."""
    assert detect_language("https://x.example/der/die/das/und/ist/nicht a@der.die.das.de") is None


def test_every_language_that_is_promised_is_told_once_at_least():
    """The table has a text of each that comes out right."""
    told = {row.language for row in rows("language") if detect_language(row.text) == row.language}

    assert told == LANGUAGES


@pytest.mark.parametrize("languages", [(), ("english",), ("en", "fi")])
def test_a_language_that_cannot_be_told_is_refused(languages: tuple[str, ...]):
    """It would let everything through, or nothing."""
    with pytest.raises(CallInvalid, match=r"give one or more of ar da de"):
        Language(*languages)
