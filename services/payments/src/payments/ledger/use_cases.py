"""Reading the ledger as people do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from payments.ledger import queries
from payments.ledger.lines import Line, Posted, member_lines
from payments.ledger.queries import Bound

_CORRECTIONS_EXPECTED: Final = 50
"""How many entries more than lines are read at once."""


class NoSuchLineError(Exception):
    """The place from which to go on is none in this member's ledger."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which part of a member's ledger: what had taken effect and what was known by then, before a journal's line."""

    as_of: datetime | None = None
    recorded_as_of: datetime | None = None
    before: int | None = None
    limit: int = 200


@dataclass(frozen=True, slots=True)
class MemberPage:
    """The newest lines that were asked for, in the order of their effect, and what is owed after them.

    `earlier` is the number of the journal before whose line there are more; None: there are none.
    """

    lines: Sequence[Line]
    balances: Mapping[str, int]
    earlier: int | None


async def member_ledger(connection: AsyncConnection, member_id: str, asked: Asked) -> MemberPage:
    """A page of a member's lines; both dates are inclusive, None is now. Raises NoSuchLineError.

    The newest page costs what a page costs, however long the ledger; any other one sum by index of what comes before.
    """
    bound = Bound.until(asked.as_of)
    if asked.before is not None:
        place = await queries.place_of(connection, member_id, asked.before)
        if place is None:
            raise NoSuchLineError
        bound = min(bound, Bound.before(place))
    found, more = await _read(connection, member_id, asked, bound)
    opening = await _opening(connection, member_id, asked, found) if more else {}
    lines = member_lines(found, opening)
    shown = lines[-asked.limit :]
    balances = {**opening, **{line.currency: line.balance_minor for line in lines}}
    on_page = {line.currency for line in shown}
    return MemberPage(
        lines=shown,
        balances={currency: owed for currency, owed in balances.items() if owed or currency in on_page},
        earlier=shown[0].number if len(lines) > len(shown) else None,
    )


async def _opening(
    connection: AsyncConnection, member_id: str, asked: Asked, found: Sequence[Posted]
) -> Mapping[str, int]:
    """What was owed before these entries, which are not all there are."""
    if asked.as_of is None and asked.recorded_as_of is None and asked.before is None:
        owed = Counter(await queries.totals(connection, member_id))
        for each in found:
            owed[each.currency] -= each.amount_minor
        return owed
    before = Bound.before(min(each.place for each in found))
    return await queries.sums(connection, member_id, before=before, recorded_until=asked.recorded_as_of)


async def _read(
    connection: AsyncConnection, member_id: str, asked: Asked, bound: Bound
) -> tuple[Sequence[Posted], bool]:
    """Read whole lines until there is one more than asked for; tells whether there is anything before them."""
    at_once = asked.limit + _CORRECTIONS_EXPECTED
    found: list[Posted] = []
    while True:
        rows = await queries.entries(
            connection, member_id, before=bound, recorded_until=asked.recorded_as_of, limit=at_once
        )
        found += rows
        if len(rows) < at_once:
            return found, False
        last = found[-1].place
        # What belongs to the last one's line may go on behind it.
        whole = [each for each in found if each.place != last]
        if len(member_lines(whole)) > asked.limit:
            return whole, True
        bound = Bound(last, found[-1].number)
