"""What the story claims, each held against what was seen. A claim that does not hold is one sentence."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from backbone.faults import LocalError
from backbone.story.doors import Doors, Line, Record, Sent
from backbone.story.plot import AMOUNT_MINOR, Chapter, Happened

ACCEPTED: Final = 200
REFUSED: Final = 400
MONTH: Final = (AMOUNT_MINOR, -AMOUNT_MINOR, AMOUNT_MINOR, -AMOUNT_MINOR, AMOUNT_MINOR)
"""Billed, paid by card, owed for the debit, debited, taken back."""


@dataclass(frozen=True, slots=True)
class Delays:
    """Milliseconds from a delivery's arrival to the audit record of what it told."""

    measured: int
    median_ms: float
    longest_ms: float


def check_deliveries(chapter: Chapter, sent: Sequence[Sent], happened: Sequence[Happened], doors: Doors) -> None:
    """Raise LocalError unless exactly what the chapter promises was sent, and accepted at the first attempt."""
    arrived = tuple(event.type for event in happened)
    if arrived != chapter.arrives:
        told = f"{', '.join(chapter.arrives)} should have arrived, in this order; {', '.join(arrived) or 'nothing'} did"
        raise LocalError(f"{chapter.title}: {told}", doors.control.log)
    for one in sent:
        if (one.status, one.attempts, one.state) != (ACCEPTED, 1, "delivered"):
            raise LocalError(
                f"delivery {one.id} ({', '.join(one.event_types)}) was answered {one.status or 'nothing'} "
                f"after {one.attempts} attempts, not {ACCEPTED} at the first",
                doors.payments.log,
            )


def check_forgery(sent: Sequence[Sent], doors: Doors) -> None:
    """Raise LocalError unless the one forged delivery was refused."""
    if [(one.forged, one.status, one.state) for one in sent] != [(True, REFUSED, "failed")]:
        answers = ", ".join(f"{one.id}: {one.status}" for one in sent) or "nothing was sent"
        raise LocalError(f"the forged delivery should have been answered {REFUSED}; {answers}", doors.payments.log)


def unrecorded(events: Set[str], records: Iterable[Record]) -> set[str]:
    """Provider events that no audit record tells of yet."""
    return set(events) - {record.provider_event for record in records if record.provider_event}


def check_recorded_once(events: Set[str], records: Iterable[Record], doors: Doors) -> None:
    """Raise LocalError unless each provider event has exactly one record."""
    times = Counter(record.provider_event for record in records if record.provider_event in events)
    wrong = sorted(f"{event} {times[event]} times" for event in events if times[event] != 1)
    if wrong:
        raise LocalError(f"each provider event should be recorded once: {', '.join(wrong)}", doors.audit.log)


def added(before: Sequence[Line], after: Sequence[Line]) -> list[Line]:
    """The lines of `after` that `before` does not hold, in their order."""
    known = Counter(
        (line.effective_at, line.words, line.amount_minor, line.payment_id, line.invoice_id) for line in before
    )
    found = []
    for line in after:
        same = (line.effective_at, line.words, line.amount_minor, line.payment_id, line.invoice_id)
        if known[same]:
            known[same] -= 1
        else:
            found.append(line)
    return found


def balance(lines: Sequence[Line]) -> int:
    """What is owed after the last line."""
    return lines[-1].balance_minor if lines else 0


def ledger_is_complete(before: Sequence[Line], after: Sequence[Line], ours: Set[str]) -> bool:
    """Whether the ledger shows Mark's month, known by its payments and invoices, and its balance adds up.

    Other lines may have come at the same time: of an earlier month that was interrupted, for example.
    """
    new = added(before, after)
    month = tuple(line.amount_minor for line in new if ours & {line.payment_id, line.invoice_id})
    return month == MONTH and balance(after) == balance(before) + sum(line.amount_minor for line in new)


def check_states(doors: Doors, expected: Mapping[str, str]) -> None:
    """Raise LocalError unless each payment, by its provider's reference, is in its state."""
    for reference, state in expected.items():
        items = doors.payments.call("GET", "/payments", params={"reference": reference})["items"]
        states = [item["state"] for item in items]
        if states != [state]:
            raise LocalError(f"payment {reference} should be {state}; payments has {states}", doors.payments.log)


def check_duplicate(doors: Doors, delivery_id: str, event_id: str) -> None:
    """Raise LocalError unless payments counted both deliveries of one event, which it kept once."""
    events = doors.payments.call("GET", f"/deliveries/{delivery_id}")["provider_events"]
    counted = {event["event_id"]: event["deliveries"] for event in events}
    if counted.get(event_id) != 2:
        seen = counted.get(event_id, 0)
        raise LocalError(f"event {event_id} was delivered twice; payments counts {seen}", doors.payments.log)


def check_kept_as_rejected(doors: Doors, since: datetime | None) -> None:
    """Raise LocalError unless payments kept the forged delivery as rejected."""
    query = {"provider": "stripe", "state": "rejected", "limit": 1}
    items = doors.payments.call("GET", "/deliveries", params=query)["items"]
    kept = [item for item in items if since and datetime.fromisoformat(item["last_received_at"]) >= since]
    if not kept:
        raise LocalError("payments should have kept the forged delivery as rejected, and did not", doors.payments.log)


def delays(records: Iterable[Record], doors: Doors) -> Delays:
    """How long it took from each delivery to the audit records of its events."""
    arrived: dict[str, datetime] = {}
    found = []
    for record in records:
        delivery = record.correlation_id
        if record.provider_event is None or delivery is None:
            continue
        if delivery not in arrived:
            shown = doors.payments.call("GET", f"/deliveries/{delivery}")
            arrived[delivery] = datetime.fromisoformat(shown["received_at"])
        found.append((record.recorded_at - arrived[delivery]).total_seconds() * 1_000)
    return Delays(len(found), statistics.median(found), max(found))
