"""A sentence says what happened in an owner's words, and nobody forges another one through it."""

from __future__ import annotations

import pytest
from contracts.examples import EXAMPLES, example_of
from contracts.registry import all_types, decode
from contracts.sentences import Sentence, in_words


@pytest.mark.parametrize(
    ("amount_minor", "currency", "words"),
    [
        (11000, "AUD", "A$110.00"),
        (-500, "AUD", "-A$5.00"),
        (0, "NZD", "NZ$0.00"),
        (5, "USD", "US$0.05"),
        (123456789, "GBP", "£1,234,567.89"),
        (500, "JPY", "JPY 500"),
        (1234567, "KWD", "KWD 1,234.567"),
        (100, "CHF", "CHF 1.00"),
    ],
)
def test_an_amount_in_words(amount_minor: int, currency: str, words: str) -> None:
    assert in_words(amount_minor, currency) == words


DATA = {
    "actor": {"kind": "staff", "id": "maria-rossi", "name": "Maria Rossi"},
    "entity": {"type": "dead_letter", "id": "7"},
    "reason": None,
    "body": {
        "amount": {"amount_minor": 11000, "currency": "AUD"},
        "held": True,
        "free": False,
        "count": 0,
        "one": 1,
        "title": "1 form(s)",
        "names": [{"name": "Isla Morgan"}, {}, {"name": "Emma"}],
        "other": {"unknown": "shape"},
    },
}


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{actor} moved {entity}", "Maria Rossi moved dead letter 7"),
        ("moved{reason: because {}}", "moved"),
        ("moved{body.amount: {} of }{body.amount}", "moved A$110.00 of A$110.00"),
        ("{body.held}, {body.count}", "yes, 0"),
        ("{body.count:{} event(s)}, {body.one:{} event(s)}", "0 events, 1 event"),
        ("wants{body.title: {}}{body.title: (in word(s): {})}", "wants 1 form(s) (in words: 1 form(s))"),
        ("{body.held:held }{body.free:free }{body.free}", "held no"),
        ("with {body.names}", "with Isla Morgan, Emma"),
        ("{body.other}{body.missing.deep}{actor.name.deep}.", "."),
    ],
)
def test_a_template_renders(template: str, sentence: str) -> None:
    assert Sentence(template).render(DATA) == sentence


@pytest.mark.parametrize(
    "template", ["", "  ", "{actor", "actor}", "{Actor}", "{actor!r}", "{reason: {because {}}}", "{0}"]
)
def test_a_template_that_does_not_parse_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"brace|empty"):
        Sentence(template)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Mark\nMaria Rossi approved it", "Mark Maria Rossi approved it"),
        ("Mark\x00\x1b[31m Stevens", "Mark [31m Stevens"),
        ("Mark\u202esnevetS", "Mark snevetS"),
        ("{body.amount}", "{body.amount}"),
        ("Zoë O'Brien 李", "Zoë O'Brien 李"),
        ("", ""),
    ],
)
def test_a_value_stays_on_its_line_and_is_never_a_template(name: str, shown: str) -> None:
    assert Sentence("{actor}").render({"actor": {"kind": "staff", "id": "", "name": name}}) == shown


def test_every_type_has_an_example_whose_sentence_is_whole() -> None:
    assert len(EXAMPLES) == len(all_types())
    for declared in all_types():
        raw = decode(example_of(declared).encode())
        sentence = declared.sentence.render(raw.data.model_dump(mode="json"))
        assert sentence == sentence.strip()
        assert "{" not in sentence
        assert "  " not in sentence
