"""Explaining payouts: what their provider lists has to stand in the ledger too, or somebody has to hear of it.

A payout whose lines do not add up is told by the fold itself. Here it is looked whether the lines of the others were
posted: a payment that was paid out and that nobody has told of is found missing after a while, and explained once it
comes.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Final

from chassis.transaction import Transaction

from payments.collection.domain import PayoutView
from payments.collection.translate import payout_updated
from payments.explaining import store
from payments.explaining.store import Checked

AT_ONCE: Final = 100


async def look(tx: Transaction, wait: timedelta, after: str | None = None) -> str | None:
    """Look at the next payouts that are known for as long as `wait`; returns behind which id to go on, if there are."""
    await store.note_new(tx.connection, tx.now, limit=AT_ONCE)
    found = await store.due(tx.connection, tx.now - wait, after=after, limit=AT_ONCE)
    for each in found:
        missing = await store.missing(tx.connection, each.id)
        if missing == each.missing_minor:
            continue
        await store.looked(tx.connection, each.id, missing)
        before = each.missing_minor or Decimal(0)
        if missing != before:
            tx.emit(payout_updated(_view(each, missing), each.id, _view(each, before), ()))
    return found[-1].id if len(found) == AT_ONCE else None


def _view(checked: Checked, missing_minor: Decimal) -> PayoutView:
    """The payout with what of it is not explained, in whole cents: half a cent up, and never none of something."""
    cents = (int(missing_minor * 10) + 5) // 10 or (1 if missing_minor else 0)
    return PayoutView(
        key=checked.key,
        state=checked.state,
        amount_minor=checked.amount_minor,
        currency=checked.currency,
        arrives_on=checked.arrives_on,
        difference_minor=cents,
    )
