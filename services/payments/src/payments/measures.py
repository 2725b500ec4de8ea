"""What payments measures about itself for the readiness board: the ledger, the queue and what providers sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from chassis import verifications
from chassis.clock import real_now
from chassis.evidence import Measuring
from chassis.service import Runtime
from chassis.transaction import Transaction
from contracts.evidence import Measurement
from sqlalchemy import text

from contracts import evidence
from payments.pauses.view import Pauses
from payments.schema import SCHEMA
from payments.settings import PaymentsSettings, split_secrets

_LONG: Final = timedelta(hours=1)
_PENDING: Final = text(
    "SELECT count(*) AS pending,"
    " coalesce(extract(epoch FROM clock_timestamp() - min(received_at)), 0)::float8 AS oldest"
    " FROM payments.pending_events"
)
# A fetch that was asked for is due a moment later and put off at every failure.
_PARKED: Final = text(
    """
    SELECT count(*) FROM payments.payments
    WHERE awaiting <> '{}' AND NOT superseded AND created_at < :before
    """
)
# One row is one owner: a failed payment without a row has none.
_RETRIES: Final = text(
    """
    SELECT (SELECT count(*) FROM payments.payments AS p
            WHERE p.state IN ('failed', 'charged_back') AND NOT p.superseded
              AND NOT EXISTS (SELECT FROM payments.payment_retries AS r WHERE r.payment_id = p.id)) AS unowned,
           (SELECT count(*) FROM payments.payment_retries
            WHERE state = 'held' OR (state = 'scheduled' AND due_at < CAST(:overdue AS timestamptz))) AS held
    """
)
_OVERDUE: Final = timedelta(minutes=1)
_REJECTED: Final = text(
    "SELECT coalesce(sum(deliveries), 0)::bigint FROM payments.rejections WHERE minute > CAST(:since AS timestamptz)"
)


async def ledger(tx: Transaction) -> Sequence[Measurement]:
    counts = {"unbalanced": evidence.UNBALANCED_JOURNALS}
    return await verifications.measured(tx.connection, SCHEMA, evidence.LEDGER_VERIFIED, counts)


async def queue(tx: Transaction) -> Sequence[Measurement]:
    now, row = real_now(), (await tx.connection.execute(_PENDING)).one()
    parked = (await tx.connection.execute(_PARKED, {"before": now - _LONG})).scalar_one()
    return [
        evidence.PENDING_EVENTS.reading(row.pending, now),
        evidence.OLDEST_UNPROCESSED.reading(round(row.oldest, 1), now),
        evidence.PARKED_OVER_AN_HOUR.reading(parked, now, detail_url="/payments"),
    ]


async def rejected(tx: Transaction) -> Sequence[Measurement]:
    now = real_now()
    count = (await tx.connection.execute(_REJECTED, {"since": now - _LONG})).scalar_one()
    return [evidence.REJECTED_DELIVERIES.reading(count, now, detail_url="/deliveries?state=rejected")]


async def retries(tx: Transaction) -> Sequence[Measurement]:
    """Failed payments that nobody owns, and retries that are held or should have been made by now."""
    now, row = real_now(), (await tx.connection.execute(_RETRIES, {"overdue": tx.now - _OVERDUE})).one()
    return [
        evidence.FAILURES_WITHOUT_ONE_OWNER.reading(row.unowned, now, detail_url="/payments"),
        evidence.HELD_RETRIES.reading(row.held, now, detail_url="/payments"),
    ]


def pauses(known: Pauses, instance: str) -> Measuring:
    """Whether this process knows which pauses are in force; where it does not, it moves no money."""

    async def readable(_: Transaction) -> Sequence[Measurement]:
        return [evidence.PAUSES_READABLE.reading(known.blindness() is None, real_now(), of=instance)]

    return readable


def signatures(settings: PaymentsSettings) -> Measuring:
    """Whether each provider's deliveries are checked: without a secret nothing is believed, and nothing arrives."""

    async def checked(_: Transaction) -> Sequence[Measurement]:
        secrets = {"stripe": settings.stripe_webhook_secrets, "gocardless": settings.gocardless_webhook_secrets}
        now = real_now()
        return [
            evidence.SIGNATURE_CHECKS.reading(bool(split_secrets(secret)), now, of=provider)
            for provider, secret in secrets.items()
        ]

    return checked


def measures(runtime: Runtime[PaymentsSettings]) -> Sequence[Measuring]:
    """Everything that this service measures beside what every service does."""
    return [ledger, queue, rejected, retries, signatures(runtime.settings)]
