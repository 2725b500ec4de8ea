"""Free text: what is kept of it, and what is refused with a sentence that says why.

What staff write is refused with a reason (`clean`). What another service tells is shown without harm instead (`inert`):
nobody there could mend it, and the task must not be lost for it. Refused are control characters, half surrogates, and
the characters that change the direction in which what stands beside them is read: they let a text look like another
one. HTML is text like any other; whoever shows it escapes it.
"""

from __future__ import annotations

import unicodedata
from typing import Final

TITLE_MAX_CHARACTERS: Final = 300
SHORT_MAX_CHARACTERS: Final = 500
NOTE_MAX_CHARACTERS: Final = 4_000
_DIRECTION: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_BREAKS: Final = frozenset("\n\t")
_UNSHOWN: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_MARK: Final = "\ufffd"


class TextRefusedError(ValueError):
    """The text holds something that no text here may hold."""


def clean(text: str, *, max_characters: int, several_lines: bool = False) -> str:
    """The text as it is kept: without white space around it and in composed form. Raises TextRefusedError."""
    if len(text) > 4 * max_characters:  # before anything is done that costs as much as the text is long
        raise TextRefusedError(f"{max_characters} characters are allowed")
    kept = unicodedata.normalize("NFC", text.replace("\r\n", "\n")).strip()
    if not kept:
        raise TextRefusedError("the text is empty")
    if len(kept) > max_characters:
        raise TextRefusedError(f"{max_characters} characters are allowed, these are {len(kept)}")
    for place, character in enumerate(kept, start=1):
        if character in _DIRECTION:
            raise TextRefusedError(f"character {place} (U+{ord(character):04X}) would turn the direction of the text")
        if not _can_be_shown(character, several_lines=several_lines):
            raise TextRefusedError(f"character {place} (U+{ord(character):04X}) cannot be shown")
    return kept


def inert(text: str, *, max_characters: int, several_lines: bool = False) -> str:
    """The text with a mark in place of everything that `clean` refuses, and cut where it is too long."""
    kept = unicodedata.normalize("NFC", text[: 4 * max_characters].replace("\r\n", "\n")).strip()
    shown = "".join(
        each if each not in _DIRECTION and _can_be_shown(each, several_lines=several_lines) else _MARK for each in kept
    )
    return shown if 0 < len(shown) <= max_characters else f"{shown[: max_characters - 1]}…"


def _can_be_shown(character: str, *, several_lines: bool) -> bool:
    return (several_lines and character in _BREAKS) or unicodedata.category(character) not in _UNSHOWN
