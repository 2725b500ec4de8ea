"""Identifiers: UUIDv7, so that they sort by the millisecond in which they were made; and what others call theirs."""

from __future__ import annotations

import hashlib
from typing import Final

import uuid_utils

ID_MAX_CHARACTERS: Final = 255
DIGESTED: Final = "digest:"


def new_id() -> str:
    """A new UUIDv7 in its canonical text form."""
    return str(uuid_utils.uuid7())


def bounded(identity: str) -> str:
    """The identity itself, or a digest of one that PostgreSQL's text refuses or that no index should hold.

    The same identity gives the same result, and a digest stays as it is.
    """
    if len(identity) <= ID_MAX_CHARACTERS and identity.isprintable():
        return identity
    return DIGESTED + hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()
