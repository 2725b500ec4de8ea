"""How the story ends: what it claims is held against what is there, and all of it is shown."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.events import OperationalTaskUpdated, ProviderHealthReviewed
from contracts.registry import type_of

from backbone.faults import LocalError
from backbone.story.chapters.people import (
    AMOUNT_MINOR,
    GRADING_MINOR,
    MEMBER_ID,
    MEMBER_NAME,
    REFUND_MINOR,
    TRIAL_FEE_MINOR,
    TRIALIST_ID,
)
from backbone.story.shown import Line, Record
from backbone.story.stage import Stage

_PROVIDERS = {"stripe": "Stripe", "gocardless": "GoCardless"}
Lines = Mapping[str, Sequence[Line]]
# The month and its payment; the grading, its debit, what the bank took back and then paid; the refund and its payment.
MONTHS = {
    MEMBER_ID: (AMOUNT_MINOR, -AMOUNT_MINOR, *(GRADING_MINOR, -GRADING_MINOR) * 2, -REFUND_MINOR, REFUND_MINOR),
    TRIALIST_ID: (TRIAL_FEE_MINOR, -TRIAL_FEE_MINOR),
}


@dataclass(frozen=True, slots=True)
class Delays:
    """Milliseconds from a delivery's arrival to the audit record of what it told."""

    measured: int
    median_ms: float
    longest_ms: float


@dataclass(frozen=True, slots=True)
class Before:
    """What stood in the ledgers before the story."""

    ledgers: Lines

    @classmethod
    def of(cls, stage: Stage) -> Before:
        return cls({member: stage.doors.ledger(member) for member in MONTHS})


def show(stage: Stage, before: Before) -> None:
    """Check and show the ending. Raises LocalError with the first claim that does not hold."""
    page, doors = stage.page, stage.doors
    ledgers = {member: _settled(stage, before, member) for member in MONTHS}
    _wait_for_the_last_words(stage)
    _check_recorded_once(stage)
    page.board(doors.owner.get("/v1/board"))
    known = before.ledgers[MEMBER_ID]
    page.ledger(MEMBER_NAME, balance(known), added(known, ledgers[MEMBER_ID]), _gst(stage))
    for reference in stage.cast.payouts:
        payout = doors.payout(reference) or {}
        page.payout(f"The payout {reference} of {_PROVIDERS[payout['provider']]}", payout)
    task = doors.billing.get(f"/v1/tasks/{stage.cast.call}")
    page.entries(f"The task: {task['title']}", history(doors.billing.pages(f"/v1/tasks/{stage.cast.call}/history")))
    incident = doors.operations.get(f"/v1/incidents/{stage.cast.incident}")
    page.entries(f"The incident: {incident['title']}", timeline(incident))
    page.records(told(stage))
    measured = delays(stage)
    page.say(
        f"From delivery to audit record: median {measured.median_ms:.0f} ms, longest {measured.longest_ms:.0f} ms "
        f"({measured.measured} events)"
    )


def added(before: Sequence[Line], after: Sequence[Line]) -> list[Line]:
    """The lines of `after` that `before` does not hold, in their order."""
    known = Counter(map(_same, before))
    found = []
    for line in after:
        if known[_same(line)]:
            known[_same(line)] -= 1
        else:
            found.append(line)
    return found


def balance(lines: Sequence[Line]) -> int:
    """What is owed after the last line."""
    return lines[-1].balance_minor if lines else 0


def history(changes: Iterable[Mapping[str, Any]]) -> Iterator[tuple[datetime, str, str]]:
    """What was done about a task: when, by whom, and what."""
    for entry in changes:
        why = entry["reason"] or entry["comment"]
        yield (
            datetime.fromisoformat(entry["at"]),
            entry["actor"]["name"],
            f"{entry['change']}{f': {why}' if why else ''}",
        )


def timeline(incident: Mapping[str, Any]) -> Iterator[tuple[datetime, str, str]]:
    """What happened during an incident: when, by whom, and what."""
    for entry in incident["timeline"]:
        yield datetime.fromisoformat(entry["at"]), entry["actor_name"], entry["words"]


def told(stage: Stage) -> list[Record]:
    """The records of this story, in the order of the log: others may use the stack at the same time."""
    cast = stage.cast
    things = (cast.trial, cast.pickup, cast.comp_board, cast.call, cast.prevention, cast.hold, cast.incident)
    names = {MEMBER_ID, TRIALIST_ID, *things, cast.pause, cast.replay, *cast.payouts} | {
        event.id for event in stage.happened
    }
    records = [stage.records[seq] for seq in sorted(stage.records)]
    return [one for one in records if any(name in json.dumps(one.event) for name in names - {""})]


def delays(stage: Stage) -> Delays:
    """How long it took from each delivery to the audit records of its events."""
    arrived: dict[str, datetime] = {}
    found = []
    events = {event.id for event in stage.happened}
    for record in stage.records.values():
        delivery = record.correlation_id
        if record.provider_event not in events or delivery is None:
            continue
        if delivery not in arrived:
            shown = stage.doors.billing.get(f"/v1/deliveries/{delivery}")
            arrived[delivery] = datetime.fromisoformat(shown["received_at"])
        found.append((record.recorded_at - arrived[delivery]).total_seconds() * 1_000)
    return Delays(len(found), statistics.median(found), max(found))


def _settled(stage: Stage, before: Before, member: str) -> list[Line]:
    """The member's ledger once this story's lines are in it, and what they leave owed is what was owed before."""
    known = before.ledgers[member]

    def complete(lines: list[Line]) -> bool:
        amounts = tuple(line.amount_minor for line in added(known, lines))
        return amounts == MONTHS[member] and balance(lines) == balance(known)

    return stage.until(f"the ledger of {member} to show the month", lambda: stage.doors.ledger(member), complete)


def _gst(stage: Stage) -> dict[str, int]:
    """The GST inside each of Mark's invoices of this month, by their ids."""
    shown = [stage.doors.known_payment(each)["invoice"] for each in (stage.cast.intent, stage.cast.grading)]
    return {invoice["id"]: invoice["gst"]["amount_minor"] for invoice in shown if invoice}


def _wait_for_the_last_words(stage: Stage) -> None:
    """Wait until the log holds the last things that the staff did."""
    last = {
        (type_of(OperationalTaskUpdated).name, stage.cast.call),
        (type_of(ProviderHealthReviewed).name, stage.cast.incident),
    }

    def missing() -> set[tuple[str, str]]:
        stage.recorded()
        return last - {(record.action, record.entity_id) for record in stage.records.values()}

    stage.until("the log to tell of what the staff did last", missing, lambda found: not found)


def _check_recorded_once(stage: Stage) -> None:
    """Raise LocalError unless each provider event has exactly one record."""
    events = {event.id for event in stage.happened}
    times = Counter(_events(stage.records.values()))
    wrong = sorted(f"{event} {times[event]} times" for event in events if times[event] != 1)
    if wrong:
        raise LocalError(f"each provider event should be recorded once: {', '.join(wrong)}", stage.doors.billing.log)


def _events(records: Iterable[Record]) -> Iterator[str]:
    for record in records:
        if record.provider_event is not None:
            yield record.provider_event


def _same(line: Line) -> tuple[object, ...]:
    return (line.effective_at, line.words, line.amount_minor, line.payment_id, line.invoice_id)
