"""Reading the log over HTTP: what may be asked, what is refused, and what stands beside the records."""

from __future__ import annotations

from audit import jobs, queries
from audit.settings import AuditSettings
from contracts.topics import PAYMENTS_EVENTS

from tests.audit.logs import Log, some_events
from tests.support.consuming import an_event
from tests.support.services import RunningService

Audit = RunningService[AuditSettings]


REFUSED = [
    ("/records?cursor=nonsense", 400, "bad-cursor"),
    ("/records?cursor=ImEi", 400, "bad-cursor"),
    ("/records?entity=payment%00", 400, "bad-value"),
    ("/records?entity=payment:%00", 400, "bad-value"),
    ("/records?actor=%00", 400, "bad-value"),
    ("/records?action=%00", 400, "bad-value"),
    ("/quarantine?reason=%00", 400, "bad-value"),
    ("/records?actor=" + "a" * 201, 422, "invalid"),
    ("/records?entity=" + "a" * 301, 422, "invalid"),
    ("/records?since=yesterday", 422, "invalid"),
    ("/records?since=2026-03-02T09:00:00", 422, "invalid"),
    ("/records?limit=0", 422, "invalid"),
    ("/records?limit=201", 422, "invalid"),
    ("/records?actr=maria", 422, "invalid"),
    ("/records/one", 422, "invalid"),
    ("/records/0", 404, "not-found"),
    ("/records/-1", 404, "not-found"),
    (f"/records/{2**63}", 404, "not-found"),
    (f"/records/{10**30}", 404, "not-found"),
]
MATCHING_NOTHING = [
    "since=2026-03-02T00:00:00Z&until=2026-03-01T00:00:00Z",
    "until=0001-01-01T00:00:00Z",
    "since=9999-12-31T23:59:59Z",
    "entity=nothing",
    "entity=payment:nothing",
    "workflow=nothing:of:the:kind",
]


async def test_what_cannot_be_asked_is_the_callers_fault(audit: Audit) -> None:
    for path, status, problem in REFUSED:
        answer = await audit.call("GET", path)
        assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{problem}"), (path, answer.text)


async def test_what_matches_nothing_is_an_empty_page(audit: Audit) -> None:
    await audit.receives(PAYMENTS_EVENTS, an_event("pay_1"))
    for query in MATCHING_NOTHING:
        assert await audit.get(f"/records?{query}") == {"items": [], "next": None}, query


async def test_quarantine_and_conflicts_are_counted_and_listed_page_by_page(audit: Audit) -> None:
    event = an_event("pay_1")
    conflicts = [event.model_copy(update={"subject": f"pay_{number}"}) for number in (2, 3)]
    newer = an_event("pay_4", dataschema="urn:backbone:event:payment.updated/99")
    await audit.receives(PAYMENTS_EVENTS, event, *conflicts, b"{", b"[", newer, twice=False)

    covered = await audit.get("/coverage")
    assert covered["set_aside"] == {
        "unreadable": 2,
        "unknown_type": 0,
        "unknown_version": 1,
        "unreadable_body": 0,
        "conflicts": 2,
    }
    assert sum(account["quarantined"] for account in covered["partitions"]) == 5

    (understood,) = (await audit.get("/quarantine?reason=unknown_version"))["items"]
    assert (understood["seq"], understood["detail"]) == (2, "payment.updated/99")
    for path, count in (("/quarantine", 3), ("/conflicts", 2)):
        seen = []
        cursor = ""
        while cursor is not None:
            page = await audit.get(f"{path}?limit=1{cursor}")
            seen += [item["id"] for item in page["items"]]
            cursor = page["next"] and f"&cursor={page['next']}"
        assert (len(seen), seen) == (count, sorted(seen, reverse=True))
    assert (await audit.get("/conflicts"))["items"][0]["event_id"] == event.id


async def test_a_text_with_a_nul_is_recorded_without_it_and_its_bytes_as_they_were(audit: Audit) -> None:
    event = an_event("pay\x001")
    await audit.receives(PAYMENTS_EVENTS, event)
    (record,) = (await audit.get("/records"))["items"]
    assert record["entity"]["id"] == "pay\ufffd1"
    assert (await audit.get("/records/1"))["event"]["data"]["entity"]["id"] == "pay\x001"
    assert await Log(audit.place, audit.runtime.database).findings() == []


async def test_the_projection_finds_what_the_log_holds_however_far_behind_it_is(log: Log) -> None:
    await log.holds(*some_events(5))
    projection = jobs.Projection(log.database)
    wanted = queries.Wanted(actor="staff_maria")

    async def found() -> list[int]:
        async with log.database.reading() as tx:
            rows = await queries.list_records(tx.connection, wanted, before_seq=None, limit=10)
            return [row.seq for row in rows]

    assert await found() == []
    await projection.step()
    assert await found() == [5, 4, 3, 2, 1]
    assert not await projection.step()
    assert await found() == [5, 4, 3, 2, 1]
    await log.holds(*some_events(2, "more"))
    await projection.step()
    assert await found() == [7, 6, 5, 4, 3, 2, 1]
