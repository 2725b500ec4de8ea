"""What the audit log measures about itself for the readiness board."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from chassis import verifications
from chassis.clock import real_now
from chassis.evidence import Measuring
from chassis.transaction import Transaction
from contracts.evidence import Measurement
from sqlalchemy import text

from audit.tables import SCHEMA
from contracts import evidence

_UNREVIEWED_FOR: Final = timedelta(hours=48)
_UNREVIEWED: Final = text(
    """
    SELECT count(*) FROM audit.sensitive AS s
    WHERE recorded_at < :before AND NOT EXISTS (SELECT FROM audit.reviews AS r WHERE r.of_seq = s.seq)
    """
)
_GAPS: Final = text("SELECT coalesce(sum(unexplained_gap), 0)::bigint FROM audit.coverage")


async def gaps(tx: Transaction) -> Sequence[Measurement]:
    count, now = (await tx.connection.execute(_GAPS)).scalar_one(), real_now()
    return [evidence.COVERAGE_GAPS.reading(count, now, detail_url="/coverage")]


async def unreviewed(tx: Transaction) -> Sequence[Measurement]:
    now = real_now()
    count = (await tx.connection.execute(_UNREVIEWED, {"before": now - _UNREVIEWED_FOR})).scalar_one()
    return [evidence.SENSITIVE_UNREVIEWED.reading(count, now, detail_url="/records?review=awaiting")]


async def verified(tx: Transaction) -> Sequence[Measurement]:
    return await verifications.measured(tx.connection, SCHEMA, evidence.AUDIT_VERIFIED, {})


MEASURES: Final[Sequence[Measuring]] = (gaps, verified, unreviewed)
