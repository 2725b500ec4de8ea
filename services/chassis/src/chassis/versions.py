"""Versions: what a writer has seen of a thing, compared with what is there.

A use case loads and locks the row, then calls `require` with the version that its caller expects. The web edge reads
that version from `If-Match` and answers a stale one with 412.
"""

from __future__ import annotations


class StaleVersionError(Exception):
    """The thing has changed since the caller read it; nothing was done."""

    def __init__(self, kind: str, id: str, *, expected: int, version: int) -> None:  # noqa: A002 - the member's name
        super().__init__(f"The {kind} {id} has version {version}, not {expected}")
        self.kind = kind
        self.id = id
        self.expected = expected
        self.version = version


def require(kind: str, id: str, *, expected: int | None, version: int) -> None:  # noqa: A002 - as above
    """Raise StaleVersionError unless `version` is what was `expected`; None expects nothing in particular."""
    if expected is not None and expected != version:
        raise StaleVersionError(kind, id, expected=expected, version=version)
