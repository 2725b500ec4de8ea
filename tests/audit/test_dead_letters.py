"""What could not be recorded is kept whole, listed, and brought back over HTTP once its cause is mended."""

from __future__ import annotations

import base64
from typing import Any
from uuid import uuid4

from audit.settings import AuditSettings
from contracts.envelope import Event, Payload
from contracts.events import MessageDeadLettered, MessageRetried
from contracts.topics import AUDIT_EVENTS, PAYMENTS_EVENTS

from tests.audit.logs import Log, too_long_to_index
from tests.support.consuming import an_event
from tests.support.services import OWNER, RunningService

Audit = RunningService[AuditSettings]
CAUSE_MENDED = "DROP INDEX audit.audit_log_entity, audit.audit_log_workflow"


async def set_aside(audit: Audit) -> tuple[Event[Payload], dict[str, Any]]:
    """An event that the log cannot hold yet, and the letter that it has become."""
    event = too_long_to_index()
    await audit.receives(PAYMENTS_EVENTS, an_event("pay_1"), event, twice=False)
    (letter,) = (await audit.get("/dead-letters"))["items"]
    return event, letter


async def test_a_dead_letter_is_listed_and_shown_whole(audit: Audit) -> None:
    event, letter = await set_aside(audit)
    assert (letter["owner"], letter["consumer"], letter["state"], letter["attempts"]) == ("audit", "audit", "open", 0)
    assert (letter["event_id"], letter["message_type"]) == (event.id, event.type)
    assert letter["pointer"].startswith(f"{PAYMENTS_EVENTS.name}/")

    shown = await audit.get(f"/dead-letters/{letter['id']}")
    assert base64.b64decode(shown["message_base64"]) == event.encode()
    assert shown["text"] == event.encode().decode()
    assert (await audit.get("/dead-letters?state=retried"))["items"] == []
    assert len((await audit.get("/dead-letters?state=open&consumer=audit"))["items"]) == 1
    assert (await audit.get("/dead-letters?consumer=nobody"))["items"] == []
    (told,) = await audit.emitted(AUDIT_EVENTS, MessageDeadLettered)
    assert told.data.entity.id == letter["id"]


async def test_a_retry_before_the_cause_is_mended_leaves_the_letter_open(audit: Audit) -> None:
    _, letter = await set_aside(audit)
    answer = await audit.call("POST", f"/dead-letters/{letter['id']}/retry")
    assert (answer.status_code, answer.json()["state"], answer.json()["attempts"]) == (200, "open", 1)
    assert "index row" in answer.json()["reason"]
    assert len((await audit.get("/records"))["items"]) == 1
    (told,) = await audit.emitted(AUDIT_EVENTS, MessageRetried)
    assert (told.data.actor, told.data.body["state"]) == (OWNER, "open")
    assert await Log(audit.place, audit.runtime.database).findings() == []


async def test_a_retry_records_the_event_once_by_appending(audit: Audit) -> None:
    event, letter = await set_aside(audit)
    log = Log(audit.place, audit.runtime.database)
    before = (await audit.get("/coverage"))["partitions"]
    await log.as_superuser(CAUSE_MENDED)

    path = f"/dead-letters/{letter['id']}/retry"
    for answer in [await audit.call("POST", path) for _ in range(2)]:
        assert (answer.status_code, answer.json()["state"], answer.json()["attempts"]) == (200, "retried", 1)

    newest, _ = (await audit.get("/records"))["items"]
    assert (newest["seq"], newest["event_id"], newest["schema_status"]) == (2, event.id, "known")
    assert f"{PAYMENTS_EVENTS.name}/{newest['pointer']['partition']}/{newest['pointer']['offset']}" == letter["pointer"]
    assert (await audit.get("/coverage"))["partitions"] == before
    assert len(await audit.emitted(AUDIT_EVENTS, MessageRetried)) == 1
    assert await log.findings() == []


async def test_a_letter_whose_event_has_come_again_meanwhile_adds_nothing(audit: Audit) -> None:
    event, letter = await set_aside(audit)
    log = Log(audit.place, audit.runtime.database)
    await log.as_superuser(CAUSE_MENDED)
    await audit.receives(PAYMENTS_EVENTS, event)

    answer = await audit.call("POST", f"/dead-letters/{letter['id']}/retry")
    assert answer.json()["state"] == "retried"
    assert len((await audit.get("/records"))["items"]) == 2
    assert await log.findings() == []


async def test_a_letter_whose_id_stands_for_another_event_by_now_stays_open(audit: Audit) -> None:
    event, letter = await set_aside(audit)
    await audit.receives(PAYMENTS_EVENTS, an_event("pay_2").model_copy(update={"id": event.id}))

    answer = await audit.call("POST", f"/dead-letters/{letter['id']}/retry")
    assert answer.json()["state"] == "open"
    assert answer.json()["reason"].endswith("with other bytes")
    assert await Log(audit.place, audit.runtime.database).findings() == []


async def test_what_is_asked_wrongly_is_said_so(audit: Audit) -> None:
    _, letter = await set_aside(audit)
    unknown = uuid4()
    for method, path in (("GET", f"/dead-letters/{unknown}"), ("POST", f"/dead-letters/{unknown}/retry")):
        answer = await audit.call(method, path)
        assert (answer.status_code, answer.json()["id"]) == (404, str(unknown))
    assert (await audit.call("GET", "/dead-letters/1")).status_code == 422
    assert (await audit.call("GET", "/dead-letters?state=lost")).status_code == 422

    await Log(audit.place, audit.runtime.database).as_superuser("UPDATE audit.dead_letters SET consumer = 'gone'")
    gone = await audit.call("POST", f"/dead-letters/{letter['id']}/retry")
    assert (gone.status_code, gone.json()["type"]) == (409, "/problems/nobody-retries")

    for role, read, write in (("security", 403, 403), ("platform", 200, 409)):
        headers = {"Authorization": f"Bearer {audit.token(role)}"}
        assert (await audit.client.get("/dead-letters", headers=headers)).status_code == read
        retried = await audit.client.post(f"/dead-letters/{letter['id']}/retry", headers=headers)
        assert retried.status_code == write
