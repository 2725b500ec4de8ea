"""The audit service tells the readiness board whether its log verifies, and which offsets nobody accounts for."""

from __future__ import annotations

from typing import Any

from audit import measures, verification
from audit.settings import AuditSettings
from chassis.consumer import Gap
from chassis.verifications import Verifications

from contracts import evidence
from tests.audit.logs import Log, some_events
from tests.support.consuming import an_event
from tests.support.eventually import eventually
from tests.support.services import RunningService


async def told(log: Log) -> dict[str, Any]:
    """What the service measures of its log, by name."""
    found: dict[str, Any] = {}
    for measure in measures.MEASURES:
        async with log.database.reading() as tx:
            found |= {each.name: each.value for each in await measure(tx)}
    return found


async def verified(log: Log) -> None:
    await Verifications(log.database, verification.verified, every_seconds=0.001).step()


async def test_a_log_that_holds_together_is_told_as_such(log: Log) -> None:
    await log.holds(*some_events(3))
    assert evidence.AUDIT_VERIFIED.name not in await told(log), "nobody has looked yet"

    await verified(log)
    found = await told(log)
    assert (found[evidence.AUDIT_VERIFIED.name], found[evidence.COVERAGE_GAPS.name]) == (True, 0)


async def test_a_log_that_was_tampered_with_and_a_gap_are_told(log: Log) -> None:
    await log.takes(*log.records(an_event("pay_1"), gap=Gap("missing", 0, 2)))
    await log.tampered("UPDATE audit.audit_log SET actor_name = 'Nobody'")

    await verified(log)
    found = await told(log)
    assert (found[evidence.AUDIT_VERIFIED.name], found[evidence.COVERAGE_GAPS.name]) == (False, 3)
    ((words,),) = await log.rows("SELECT words FROM audit.verifications")
    assert words.startswith("row: seq 1 column actor_name")


async def test_the_service_verifies_by_itself_and_says_how_late_it_is(audit: RunningService[AuditSettings]) -> None:
    async def names() -> dict[str, Any]:
        return {each["name"].partition(":")[0]: each["value"] for each in await audit.get("/evidence")}

    def complete(found: dict[str, Any]) -> bool:
        return {evidence.AUDIT_VERIFIED.name, evidence.CONSUMER_LAG.name} <= found.keys()

    found = await eventually(names, complete)
    assert found[evidence.AUDIT_VERIFIED.name] is True
    assert found[evidence.CONSUMER_LAG.name] == 0
