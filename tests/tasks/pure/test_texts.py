"""Free text: refused with a reason where somebody can mend it, made harmless where nobody can."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tasks.texts import TextRefusedError, clean, inert

DIRECTIONS = ["\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"]


@pytest.mark.parametrize("character", DIRECTIONS)
def test_what_turns_the_direction_of_text_is_refused(character: str) -> None:
    with pytest.raises(TextRefusedError, match=r"character 5 .* would turn the direction"):
        clean(f"Mark{character}snevetS", max_characters=100, several_lines=True)


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud800"])
def test_what_cannot_be_shown_is_refused(character: str) -> None:
    with pytest.raises(TextRefusedError, match=r"character 5 .* cannot be shown"):
        clean(f"Mark{character}!", max_characters=100, several_lines=True)


def test_one_line_has_no_second_one() -> None:
    with pytest.raises(TextRefusedError, match="cannot be shown"):
        clean("Mark\nStevens", max_characters=100)
    assert clean("Mark\r\nStevens\t!", max_characters=100, several_lines=True) == "Mark\nStevens\t!"


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_nothing_is_no_text(text: str) -> None:
    with pytest.raises(TextRefusedError, match="empty"):
        clean(text, max_characters=100)


def test_a_text_has_a_length() -> None:
    assert clean("x" * 100, max_characters=100) == "x" * 100
    with pytest.raises(TextRefusedError, match="100 characters are allowed, these are 101"):
        clean("x" * 101, max_characters=100)
    with pytest.raises(TextRefusedError, match="100 characters are allowed"):
        clean("x" * 1_000_000, max_characters=100)


def test_names_of_all_the_world_and_html_are_text() -> None:
    for text in ("Zoë Ó Briain", "李明", "محمد", "<b>Mark</b> & 'Co'", "👩\u200d👧"):
        assert clean(text, max_characters=100) == text
    assert clean("e\u0301", max_characters=100) == "é"


@given(st.text(max_size=300))
def test_made_harmless_is_never_refused_unless_it_is_empty(text: str) -> None:
    shown = inert(text, max_characters=100)

    assert 0 < len(shown) <= 100
    if not shown.isspace():
        assert unicodedata.normalize("NFC", clean(shown, max_characters=400)) is not None
