"""Which shape an event has. Stripe freezes `api_version` per event, so both shapes live side by side for years."""

from __future__ import annotations

from datetime import date
from enum import Enum
from typing import Final

BASIL_FROM: Final = date(2025, 3, 31)


class Shape(Enum):
    """CLASSIC before basil, BASIL from it on; UNKNOWN where the event names no version that can be read."""

    CLASSIC = "classic"
    BASIL = "basil"
    UNKNOWN = "unknown"


def shape_of(api_version: str | None) -> Shape:
    """Return the shape of a version such as `2024-06-20`, `2025-03-31.basil` or one with a beta suffix.

    An event without a version, or with one that is no date, is read by whatever fields it has.
    """
    try:
        day = date.fromisoformat((api_version or "")[:10])
    except ValueError:
        return Shape.UNKNOWN
    return Shape.BASIL if day >= BASIL_FROM else Shape.CLASSIC
