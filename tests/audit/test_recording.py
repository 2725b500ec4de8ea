"""What the audit service makes of what it consumes: records, duplicates, quarantine, coverage, sentences."""

from __future__ import annotations

from audit import verification
from audit.settings import AuditSettings
from audit.verification import Verdict
from chassis.ids import new_id
from contracts.events import AuditEventRecorded, PaymentUpdated
from contracts.examples import example_of
from contracts.registry import all_types, type_of
from contracts.topics import AUDIT_EVENTS, PAYMENTS_EVENTS

from tests.support.consuming import an_event
from tests.support.eventually import eventually
from tests.support.services import RunningService

Audit = RunningService[AuditSettings]


async def verdict(audit: Audit) -> Verdict:
    async with audit.runtime.database.reading() as tx:
        return (await verification.verify(tx.connection)).verdict


async def test_one_event_becomes_one_record_however_often_it_comes(audit: Audit) -> None:
    event = an_event("pay_1")
    await audit.receives(PAYMENTS_EVENTS, event, event)

    page = await audit.get("/records")
    (record,) = page["items"]
    assert record["seq"] == 1
    assert record["sentence"] == "Maria Rossi matched a payment"
    assert record["event_id"] == event.id
    assert record["pointer"]["topic"] == PAYMENTS_EVENTS.name

    (account,) = (await audit.get("/coverage"))["partitions"]
    assert (account["recorded"], account["duplicate"], account["next_offset"]) == (1, 3, 4)
    assert await verdict(audit) is Verdict.FINE


async def test_every_event_type_has_its_sentence_and_shows_before_and_after(audit: Audit) -> None:
    declared = [each for each in all_types() if PAYMENTS_EVENTS in each.topics and not each.technical]
    examples = [example_of(each) for each in declared]
    told = [example.model_copy(update={"id": new_id()}) for example in examples]
    await audit.receives(PAYMENTS_EVENTS, *told)

    records = {record["action"]: record for record in (await audit.get("/records?limit=200"))["items"]}
    assert set(records) == {event.type for event in told}
    for event in told:
        detail = await audit.get(f"/records/{records[event.type]['seq']}")
        assert detail["sentence"]
        assert (detail["before"], detail["after"]) == (event.data.before, event.data.after)
        assert detail["schema_status"] == "known"


async def test_the_log_tells_what_it_has_recorded_on_its_own_topic(audit: Audit) -> None:
    await audit.receives(PAYMENTS_EVENTS, an_event("pay_1"), an_event("pay_2"))
    told = await audit.emitted(AUDIT_EVENTS, AuditEventRecorded)
    assert sum(event.data.body["records"] for event in told) == 2
    assert max(event.data.body["last_seq"] for event in told) == 2


async def test_the_same_id_with_other_bytes_is_kept_as_a_conflict_and_never_recorded(audit: Audit) -> None:
    event = an_event("pay_1")
    other = event.model_copy(update={"subject": "pay_2"})
    await audit.receives(PAYMENTS_EVENTS, event, twice=False)
    await audit.receives(PAYMENTS_EVENTS, other, twice=False)

    assert len((await audit.get("/records"))["items"]) == 1
    assert await audit.rows("SELECT event_id, value FROM audit.conflicts") == [(event.id, other.encode())]
    assert sum(account["quarantined"] for account in (await audit.get("/coverage"))["partitions"]) == 1
    assert await verdict(audit) is Verdict.FINE


async def test_what_is_no_event_of_ours_is_quarantined_and_the_rest_goes_on(audit: Audit) -> None:
    await audit.receives(PAYMENTS_EVENTS, b"{", b"\xff\xfe", an_event("pay_1"), b"[]", twice=False)

    assert len((await audit.get("/records"))["items"]) == 1
    kept = await audit.rows("SELECT value, reason FROM audit.quarantine")
    assert sorted(bytes(value) for value, _ in kept) == [b"[]", b"{", b"\xff\xfe"]
    assert await verdict(audit) is Verdict.FINE


async def test_an_unknown_version_is_recorded_as_not_understood(audit: Audit) -> None:
    declared = type_of(PaymentUpdated)
    newer = an_event("pay_1", dataschema=declared.dataschema.replace("/1", "/99"))
    await audit.receives(PAYMENTS_EVENTS, newer)

    (record,) = (await audit.get("/records"))["items"]
    assert record["schema_status"] == "unknown_version"
    assert "is not understood yet" in record["sentence"]
    assert await audit.rows("SELECT reason, seq FROM audit.quarantine") == [("unknown_version", 1)]
    assert await verdict(audit) is Verdict.FINE


async def test_records_are_found_by_entity_workflow_actor_action_and_time(audit: Audit) -> None:
    await audit.receives(PAYMENTS_EVENTS, an_event("pay_1"), an_event("pay_2"))
    (first,) = (await audit.get("/records?entity=payment:pay_1"))["items"]

    async def searchable() -> bool:
        covered = await audit.get("/coverage")
        return bool(covered["searchable_seq"] == covered["last_seq"])

    await eventually(searchable)
    for query, found in (
        ("entity=payment", 2),
        ("entity=payment:pay_3", 0),
        ("workflow=collection:pay_1", 1),
        ("actor=staff_maria", 2),
        ("actor=nobody", 0),
        (f"action={type_of(PaymentUpdated).name}", 2),
        ("since=2000-01-01T00:00:00Z", 2),
        ("until=2000-01-01T00:00:00Z", 0),
        ("entity=payment:pay_1&actor=staff_maria", 1),
    ):
        assert len((await audit.get(f"/records?{query}"))["items"]) == found, query
    assert first["entity"] == {"type": "payment", "id": "pay_1"}


async def test_a_list_is_read_page_by_page_without_repeating_or_hiding_a_record(audit: Audit) -> None:
    await audit.receives(PAYMENTS_EVENTS, *(an_event(f"pay_{number}") for number in range(7)))
    seen: list[int] = []
    path = "/records?limit=3"
    while path:
        page = await audit.get(path)
        seen += [record["seq"] for record in page["items"]]
        path = f"/records?limit=3&cursor={page['next']}" if page["next"] else ""
    assert seen == [7, 6, 5, 4, 3, 2, 1]


async def test_reading_needs_a_token_and_the_scope(audit: Audit) -> None:
    assert (await audit.client.get("/records")).status_code == 401
    refused = await audit.client.get("/records", headers={"Authorization": f"Bearer {audit.token('front_desk')}"})
    assert refused.status_code == 403
    assert refused.json()["type"] == "/problems/missing-scope"
    missing = await audit.call("GET", "/records/999")
    assert (missing.status_code, missing.json()["id"]) == (404, "999")
