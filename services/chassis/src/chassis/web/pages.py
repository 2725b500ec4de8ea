"""Pages: lists by keyset, `{"items": [...], "next": cursor or null}`.

A cursor is the key of the last item shown, opaque to the caller and checked when it comes back. Unlike an offset it
costs the same on every page, and rows that arrive meanwhile neither repeat an item nor hide one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar
from uuid import UUID

import orjson
from fastapi import Depends, Query
from pydantic import BaseModel

from chassis.web.problems import BAD_CURSOR, INVALID, Problem

T = TypeVar("T")
LIMIT_DEFAULT: Final = 50
LIMIT_MAX: Final = 200
_CURSOR_MAX_CHARACTERS: Final = 300
_LARGEST_BIGINT: Final = 2**63 - 1


class Listed(BaseModel, Generic[T]):
    """One page of a list; `next` is the cursor of the next one, null on the last."""

    items: list[T]
    next: str | None


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page is asked for. Fetch `limit + 1` rows after the key, then call `listed`."""

    limit: int
    cursor: str | None

    def after_int(self) -> int | None:
        """The last key seen, where keys are integers; None for the first page. Raises Problem (400)."""
        key = self._key()
        if key is None or (type(key) is int and -_LARGEST_BIGINT <= key <= _LARGEST_BIGINT):
            return key
        raise _bad_cursor()

    def after_id(self) -> str | None:
        """The last key seen, where keys are UUIDs; None for the first page. Raises Problem (400)."""
        key = self._key()
        if key is None:
            return None
        try:
            return str(UUID(key if isinstance(key, str) else ""))
        except ValueError:
            raise _bad_cursor() from None

    def listed(self, rows: Sequence[T], *, key: Callable[[T], int | str | UUID]) -> Listed[T]:
        """The page that `rows` make, of which there may be one more than `limit`."""
        items = list(rows[: self.limit])
        return Listed(items=items, next=_cursor(key(items[-1])) if len(rows) > self.limit else None)

    def cursor_of(self, key: int | str | UUID) -> str:
        """The cursor of the page after this key, for a list that is answered otherwise than as JSON."""
        return _cursor(key)

    def _key(self) -> int | str | None:
        if self.cursor is None:
            return None
        try:
            padded = self.cursor + "=" * (-len(self.cursor) % 4)
            key = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        except (ValueError, binascii.Error):
            raise _bad_cursor() from None
        if isinstance(key, int | str):
            return key
        raise _bad_cursor()


def _cursor(key: int | str | UUID) -> str:
    plain = str(key) if isinstance(key, UUID) else key
    return base64.urlsafe_b64encode(orjson.dumps(plain)).rstrip(b"=").decode()


def _bad_cursor() -> Problem:
    return Problem(BAD_CURSOR, "Use the `next` of a page as it was given, or leave the cursor out.")


LIST_PROBLEMS: Final = (_bad_cursor(), Problem(INVALID, "Some values are missing, or are not what they should be."))
"""What every list may answer instead of a page."""


async def page(
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Items on a page")] = LIMIT_DEFAULT,
    cursor: Annotated[
        str | None, Query(max_length=_CURSOR_MAX_CHARACTERS, description="`next` of the page before")
    ] = None,
) -> PageRequest:
    """Which page the query asks for."""
    return PageRequest(limit, cursor)


Page = Annotated[PageRequest, Depends(page)]
