"""Payouts that do not add up: an incident for each, which recovers once the payout is explained.

What a payout is more or less than its lines is money that somebody has to ask the provider about. Nothing is paused
because of it. Of two things that were told of one payout the later holds, in whatever order they arrive.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from chassis.ids import new_id
from chassis.transaction import Transaction
from contracts.sentences import in_words

from provider_health.incidents import store, translate
from provider_health.incidents.domain import Incident, PayoutTold, duration_words, still_gathers
from provider_health.incidents.use_cases import change, write
from provider_health.names import name_of

_SEVERITY: Final = 3


async def payout_told(tx: Transaction, told: PayoutTold) -> None:
    """Open an incident for a payout that does not add up, and let it recover once it does."""
    if not await store.payout_told(tx.connection, told.provider, told.reference, told.told_at):
        return
    standing = await store.gathering(tx.connection, f"{told.provider}:{told.cause}")
    if told.difference_minor == 0:
        if standing is not None and standing.recovered_at is None:
            lasted = duration_words((tx.now - standing.detected_at).total_seconds())
            words = f"its lines explain the payout, after {lasted}"
            await change(
                tx, standing, replace(standing, recovered_at=tx.now), "recovered", "recovered", words, reason=words
            )
        return
    if standing is not None and not still_gathers(standing, now=tx.now):
        words = "it is long over: what happens now is another incident"
        await change(tx, standing, replace(standing, gathers=False), "noted", "note", words, note=words)
        standing = None
    if standing is None:
        await _opened(tx, told)
    else:
        await _again(tx, standing, told)


async def _opened(tx: Transaction, told: PayoutTold) -> None:
    made = Incident(
        id=new_id(),
        title=_title(told),
        provider=told.provider,
        cause=told.cause,
        state="detected",
        severity=_SEVERITY,
        detected_at=tx.now,
        impact="money is missing, or nobody can say what it is for",
        at_risk_minor=abs(told.difference_minor),
        at_risk_currency=told.currency,
        noticed=(tx.now,),
    )
    await store.add(tx.connection, made)
    await write(tx, made, "opened", made.title, notice=True)
    tx.emit(translate.updated(None, made, "opened", reason="its lines do not add up to it"))


async def _again(tx: Transaction, standing: Incident, told: PayoutTold) -> None:
    """It differs by another amount, or again."""
    relapsed = standing.recovered_at is not None
    title = _title(told)
    if not relapsed and standing.title == title:
        return
    after = replace(
        standing,
        title=title,
        at_risk_minor=abs(told.difference_minor),
        at_risk_currency=told.currency,
        recovered_at=None,
        relapses=standing.relapses + relapsed,
    )
    verb = "reopened" if relapsed else "noted"
    await change(tx, standing, after, verb, "relapsed" if relapsed else "symptom", title, reason=title)


def _title(told: PayoutTold) -> str:
    more = "more" if told.difference_minor > 0 else "less"
    amount = in_words(abs(told.difference_minor), told.currency)
    return f"Payout {told.reference} of {name_of(told.provider)} is {amount} {more} than what explains it"
