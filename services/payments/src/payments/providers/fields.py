"""Reading single fields of what a provider sent: each either has the type it must have, or is refused by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from payments.deliveries.domain import Unreadable, UnreadableReason
from payments.providers.currencies import CURRENCIES

TEXT_MAX_CHARACTERS: Final = 255
WORDS_MAX_CHARACTERS: Final = 500
AMOUNT_MAX_MINOR: Final = 2**53 - 1
_TENTHS: Final = re.compile(r"(-?)(\d{1,17})(?:\.(\d))?", re.ASCII)
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)

Given = Mapping[str, Any]


class UnreadableError(Exception):
    """Something that a provider sent cannot be used; becomes an `Unreadable` at the edge of this package."""

    def __init__(self, reason: UnreadableReason, detail: str, *, event_id: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.event_id = event_id

    def unreadable(self, index: int = 0, event_id: str | None = None) -> Unreadable:
        """Return the value that stands for this error."""
        return Unreadable(self.reason, self.detail, index, self.event_id or event_id)


def _wrong(name: str, expected: str, value: Any) -> UnreadableError:
    return UnreadableError(UnreadableReason.WRONG_SHAPE, f"{name} is not {expected} but {type(value).__name__}")


def text_or_none(given: Given, name: str) -> str | None:
    """Return an identifier: 1 to 255 printable characters, or None where it is null, absent or empty."""
    value = given.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _wrong(name, "text", value)
    if len(value) > TEXT_MAX_CHARACTERS or not value.isprintable():
        raise UnreadableError(UnreadableReason.WRONG_SHAPE, f"{name} is too long or not printable")
    return value


def text(given: Given, name: str) -> str:
    """Return an identifier that must be there."""
    value = text_or_none(given, name)
    if value is None:
        raise UnreadableError(UnreadableReason.WRONG_SHAPE, f"{name} is missing")
    return value


def words_or_none(given: Given, name: str) -> str | None:
    """Return free text made fit for storing and showing: shortened, one line, without control characters."""
    value = given.get(name)
    if not isinstance(value, str):
        return None
    plain = "".join(each if each.isprintable() else " " for each in value[:WORDS_MAX_CHARACTERS]).strip()
    return plain or None


def object_or_none(given: Given, name: str) -> Given | None:
    """Return an object, or None where it is null or absent; an empty list stands for an empty object."""
    value = given.get(name)
    if value is None:
        return None
    if value == []:
        return {}
    if not isinstance(value, dict):
        raise _wrong(name, "an object", value)
    return value


def truth_or_none(given: Given, name: str) -> bool | None:
    """Return a truth value, or None where it is null or absent."""
    value = given.get(name)
    if value is not None and not isinstance(value, bool):
        raise _wrong(name, "true or false", value)
    return value


def reference_or_none(given: Given, name: str) -> str | None:
    """Return the id of another object, whether given as an id or expanded in place."""
    value = given.get(name)
    if isinstance(value, dict):
        return text_or_none(value, "id")
    return text_or_none(given, name)


def amount_or_none(given: Given, name: str) -> int | None:
    """Return an amount in minor units, 0 to 2**53 - 1. Text, fractions, truth values and negatives are refused."""
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnreadableError(UnreadableReason.BAD_AMOUNT, f"{name} is not a whole number but {type(value).__name__}")
    if not 0 <= value <= AMOUNT_MAX_MINOR:
        raise UnreadableError(UnreadableReason.BAD_AMOUNT, f"{name} is {'negative' if value < 0 else 'beyond 2**53'}")
    return value


def amount(given: Given, name: str) -> int:
    """Return an amount that must be there."""
    value = amount_or_none(given, name)
    if value is None:
        raise UnreadableError(UnreadableReason.BAD_AMOUNT, f"{name} is missing")
    return value


def signed_amount(given: Given, name: str) -> int:
    """Return an amount that must be there and may be below zero: what a balance or a payout moved."""
    value = given.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and value < 0:
        return -amount({name: -value}, name)
    return amount(given, name)


def tenths(given: Given, name: str) -> int:
    """Return tenths of a cent from text such as `-37.5`, as GoCardless writes the lines of a payout."""
    value = given.get(name)
    found = _TENTHS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise UnreadableError(UnreadableReason.BAD_AMOUNT, f"{name} is not text with at most one decimal")
    sign, whole, tenth = found.groups()
    number = int(whole) * 10 + int(tenth or 0)
    if number > AMOUNT_MAX_MINOR:
        raise UnreadableError(UnreadableReason.BAD_AMOUNT, f"{name} is beyond 2**53")
    return -number if sign else number


def objects(given: Given, name: str) -> list[Given]:
    """Return a list's objects, whether it is given bare or in an envelope with `data`; [] where it is absent."""
    value = given.get(name)
    shown = value.get("data") if isinstance(value, dict) else value
    return [each for each in shown if isinstance(each, dict)] if isinstance(shown, list) else []


def currency(given: Given, name: str = "currency") -> str:
    """Return an ISO 4217 code in capitals; Stripe writes small letters, GoCardless capitals."""
    value = given.get(name)
    if not isinstance(value, str) or value.upper() not in CURRENCIES:
        raise UnreadableError(UnreadableReason.BAD_CURRENCY, f"{name} is not a currency code")
    return value.upper()


def instant_or_none(given: Given, name: str) -> datetime | None:
    """Return an instant from epoch seconds or an ISO text with its zone, between the years 2000 and 2100."""
    value = given.get(name)
    if value is None:
        return None
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            at = datetime.fromtimestamp(value, tz=UTC)
        else:
            raise _wrong(name, "a time", value)
    except (ValueError, OverflowError, OSError):
        raise UnreadableError(UnreadableReason.BAD_TIME, f"{name} is not a time") from None
    if at.tzinfo is None or not _EARLIEST <= at < _LATEST:
        raise UnreadableError(UnreadableReason.BAD_TIME, f"{name} has no zone or is not between 2000 and 2100")
    return at.astimezone(UTC)


def instant(given: Given, name: str) -> datetime:
    """Return an instant that must be there."""
    value = instant_or_none(given, name)
    if value is None:
        raise UnreadableError(UnreadableReason.BAD_TIME, f"{name} is missing")
    return value


def day_or_none(given: Given, name: str) -> date | None:
    """Return a calendar day, or None where it is null, absent or no day."""
    value = given.get(name)
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
