"""Sensitive actions wait until somebody else has looked at them; a review is one more record of the log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from audit import measures, reviewing
from audit.jobs import Projection
from audit.reviewing import OwnActionError, RecordNotFoundError
from audit.sensitive import SENSITIVE
from audit.settings import AuditSettings
from chassis.clock import real_now
from chassis.transaction import Cause
from contracts.envelope import Actor
from contracts.events import AuditEventRecorded, AuditReviewRecorded, AutomationPauseUpdated, PauseScope, PauseState
from contracts.registry import all_types, decode, type_of
from contracts.topics import PAYMENTS_EVENTS

from contracts import evidence
from tests.audit.logs import Log, some_events
from tests.support.consuming import an_event
from tests.support.services import RunningService

SECURITY = Actor(kind="staff", id="security", name="Security")
MARIA = Actor(kind="staff", id="staff_maria", name="Maria Rossi")
"""The actor of every event in these tests."""


def a_pause(change: str) -> AutomationPauseUpdated:
    state = PauseState(
        id="0199a0b0-0000-7000-8000-000000000001",
        scope=PauseScope(provider="gocardless", action="collection"),
        mode="hold",
        state="released",
        reason="GoCardless is back",
        epoch=4,
        expires_at=real_now() + timedelta(hours=1),
    )
    return AutomationPauseUpdated(change=change, pause=state, scope_words="GoCardless")


@pytest.fixture
async def reviewed(log: Log) -> Log:
    """A log with an ordinary record, a sensitive one and another ordinary one."""
    await log.holds(*some_events(1), an_event("pause", body=a_pause("released")), an_event("x", body=a_pause("paused")))
    await Projection(log.database).step()
    return log


async def review(log: Log, seq: int, verdict: Any, reason: str | None = None, *, by: Actor = SECURITY) -> Any:
    async with log.database.transaction(actor=by, cause=Cause("a-request")) as tx:
        return await reviewing.review(tx, seq, verdict, reason)


async def unreviewed(log: Log) -> Any:
    async with log.database.reading() as tx:
        (found,) = await measures.unreviewed(tx)
    return found.value


def test_what_is_sensitive_is_an_event_that_there_is() -> None:
    assert set(SENSITIVE) <= {each.name for each in all_types()}


async def test_only_what_the_table_says_is_sensitive(reviewed: Log) -> None:
    rows = await reviewed.rows("SELECT seq, why FROM audit.sensitive")
    assert rows == [(2, "Paused automation was let go before its time")]


async def test_a_review_is_a_record_of_its_own_told_to_others_and_the_log_verifies(reviewed: Log) -> None:
    state = await review(reviewed, 2, "approved", "GoCardless answers again")

    assert (state.state, state.by_name, state.reason) == ("approved", "Security", "GoCardless answers again")
    ((action, sentence, value, topic, offset),) = await reviewed.rows(
        "SELECT action, sentence, value, topic, record_offset FROM audit.audit_log WHERE seq = 4"
    )
    assert action == type_of(AuditReviewRecorded).name
    assert sentence == "Security approved audit record 2 because GoCardless answers again"
    assert (topic, offset) == ("audit-reviews", 0)
    told = [decode(bytes(row[0])) for row in await reviewed.rows("SELECT value FROM audit.outbox ORDER BY id")]
    assert [each.type for each in told[-2:]] == [action, type_of(AuditEventRecorded).name]
    assert told[-2].encode() == bytes(value), "the same bytes in the log and on the topic"
    assert await reviewed.findings() == []


async def test_the_newest_review_counts_and_the_same_one_again_changes_nothing(reviewed: Log) -> None:
    await review(reviewed, 2, "flagged", "Nobody asked")
    await review(reviewed, 2, "flagged", "Nobody asked")
    assert len(await reviewed.rows("SELECT seq FROM audit.reviews")) == 1

    state = await review(reviewed, 2, "approved", by=SECURITY.model_copy(update={"id": "owner", "name": "Owner"}))
    assert (state.state, state.by_name) == ("approved", "Owner")
    assert [seq for (seq,) in await reviewed.rows("SELECT seq FROM audit.reviews ORDER BY seq")] == [4, 5]
    assert await reviewed.findings() == []


async def test_nobody_reviews_what_they_did_themselves(reviewed: Log) -> None:
    with pytest.raises(OwnActionError):
        await review(reviewed, 2, "approved", by=MARIA)
    with pytest.raises(RecordNotFoundError):
        await review(reviewed, 99, "approved")
    assert await reviewed.rows("SELECT seq FROM audit.reviews") == []


async def test_a_sensitive_record_is_told_to_the_board_after_two_days_and_until_it_is_reviewed(reviewed: Log) -> None:
    assert await unreviewed(reviewed) == 0, "there is time"

    await reviewed.as_superuser("UPDATE audit.sensitive SET recorded_at = recorded_at - interval '49 hours'")
    assert await unreviewed(reviewed) == 1

    await review(reviewed, 2, "approved")
    assert await unreviewed(reviewed) == 0
    assert evidence.SENSITIVE_UNREVIEWED in evidence.OWN["audit"]


async def test_a_review_is_asked_for_over_http_and_flagging_says_why(audit: RunningService[AuditSettings]) -> None:
    await audit.receives(PAYMENTS_EVENTS, an_event("pay_1"))
    path = "/records/1/review"

    assert (await audit.call("POST", path, json={"verdict": "flagged"})).status_code == 422
    assert (await audit.call("POST", "/records/9/review", json={"verdict": "approved"})).status_code == 404
    done = await audit.call("POST", path, json={"verdict": "flagged", "reason": "Nobody asked"})

    assert (done.status_code, done.json()["state"]) == (200, "flagged")
    newest, first = (await audit.get("/records"))["items"]
    assert (first["review"]["state"], first["review"]["by"]) == ("flagged", "Maria Rossi")
    assert (newest["entity"], newest["review"]["state"]) == ({"type": "audit_record", "id": "1"}, "not_needed")
    assert (await audit.get("/records?review=awaiting"))["items"] == []
