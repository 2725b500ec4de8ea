"""Who tries again to collect a failed payment, and when: derived from its facts and from what we have tried ourselves.

Each failure has exactly one owner. The provider's, where it says that it tries again itself; ours, where another
attempt may help; the member's, where only the member can mend it; nobody's, where automatic collection has ended. Times
are business time. Nothing here looks at holds or pauses until an attempt is due: `decide` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

Decline = Literal["soft", "cautious", "member", "hard"]
Owner = Literal["provider", "us", "member", "nobody"]
State = Literal["scheduled", "held", "calling", "provider", "recovery", "closed"]
AttemptState = Literal["calling", "accepted", "declined", "unknown", "not_made"]

STEPS: Final = (timedelta(days=3), timedelta(days=5), timedelta(days=7))
CAUTIOUS_STEPS: Final = (timedelta(days=7),)
CARD_WINDOW: Final = timedelta(days=21)
DEBIT_WINDOW: Final = timedelta(days=35)
FAILURES_MAX: Final = 20
"""Attempts that failed, ours and anybody's, after which not even a person's wish makes another one."""
KEY_REMEMBERED: Final = timedelta(hours=23)
"""How long a provider surely remembers an idempotency key: after that the call is not made again."""
_BY_FACTS: Final = frozenset({"paid", "cancelled_by_provider", "needless"})
LOOK_AGAIN: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class DeclineTable:
    """Which code of which provider is of which class. An unknown code gets one late attempt."""

    version: str
    classes: Mapping[tuple[str, str], Decline]

    def classify(self, provider: str, codes: Sequence[str | None]) -> Decline:
        """The class of a failure, by the first of its codes that is known."""
        for code in codes:
            if code is not None and (provider, code) in self.classes:
                return self.classes[provider, code]
        return "cautious"


@dataclass(frozen=True, slots=True)
class Failing:
    """A payment that has failed at least once, as the set of its facts tells it.

    `standing` is how it stands now. `failures` counts attempts that failed, `provider_retries` is whether the provider
    says that it tries again itself. `collectable`: there is something at the provider that we can ask to collect.
    """

    standing: Literal["failed", "charged_back", "under_way", "paid", "cancelled"]
    failures: int
    first_failed_at: datetime
    last_failed_at: datetime
    decline: Decline
    reason: str | None
    provider_retries: bool
    collectable: bool
    direct_debit: bool


@dataclass(frozen=True, slots=True)
class Made:
    """An attempt of ours. `failures_known`: how many failures were told when it was recorded."""

    number: int
    manual: bool
    key: str
    state: AttemptState
    failures_known: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to become of a failed payment. `number` is that of the next attempt of ours, 1 for the first.

    `why` is a code: of the failure where `owner` is us, of the end of automatic collection where state is recovery.
    """

    state: State
    owner: Owner
    why: str
    decline: Decline | None
    table: str
    failures: int
    number: int = 0
    manual: bool = False
    planned_for: datetime | None = None
    held_by: str | None = None

    @property
    def due_at(self) -> datetime | None:
        """When the schedule is to look at it; a held one waits to be released."""
        return self.planned_for if self.state == "scheduled" else None


def unresolved(made: Sequence[Made], failures: int) -> Made | None:
    """Our latest attempt, while its outcome has not been told as a fact."""
    last = made[-1] if made else None
    return last if last is not None and last.state != "not_made" and last.failures_known >= failures else None


def derive(failing: Failing, stored: Plan | None, made: Sequence[Made], table: DeclineTable) -> Plan | None:
    """Return the plan that the facts and our attempts call for; None where a payment never stood as failed here.

    The same set of facts and attempts gives the same plan, whatever order they came in: `stored` adds what people
    decided (a closed plan, a manual attempt, that recovery was asked for) and that a retry is held.
    """
    base = Plan("closed", "nobody", "paid", failing.decline, table.version, failing.failures)
    match failing.standing:
        case "paid":
            return None if stored is None else replace(base, why="paid")
        case "cancelled":
            return None if stored is None else replace(base, why="cancelled_by_provider")
        case "under_way":
            return None if stored is None else replace(base, state="provider", owner="provider", why="under_way")
        case "charged_back":
            ended = replace(base, state="recovery", why="no_retry")
            return stored if stored is not None and stored.state == "closed" and stored.why != "paid" else ended
        case "failed":
            return _failed(failing, stored, made, base)


def _failed(failing: Failing, stored: Plan | None, made: Sequence[Made], base: Plan) -> Plan:
    if stored is not None and _decided(stored, failing):
        return stored
    if failing.provider_retries:
        return replace(base, state="provider", owner="provider", why="provider_retries")
    if stored is not None and unresolved(made, failing.failures) is not None:
        return replace(stored, state="calling", owner="us")
    handed_over = stored is not None and (stored.state == "recovery" or any(each.manual for each in made))
    if failing.decline == "hard":
        return replace(base, state="recovery", why="hard_decline")
    if failing.decline == "member":
        return replace(base, state="recovery", owner="member", why="member_must_act")
    if not failing.collectable:
        return replace(base, state="recovery", why="no_retry")
    tried = [each for each in made if each.state != "not_made"]
    steps = CAUTIOUS_STEPS if failing.decline == "cautious" else STEPS
    if handed_over or len(tried) >= len(steps):
        why = stored.why if stored is not None and stored.state == "recovery" else "exhausted"
        return replace(base, state="recovery", why=why)
    planned_for = failing.last_failed_at + steps[len(tried)]
    window = DEBIT_WINDOW if failing.direct_debit else CARD_WINDOW
    if planned_for > failing.first_failed_at + window:
        return replace(base, state="recovery", why="exhausted")
    plan = replace(
        base,
        state="scheduled",
        owner="us",
        why=failing.reason or "soft_decline",
        number=len(made) + 1,
        planned_for=planned_for,
    )
    held = stored is not None and stored.state == "held" and stored.number == plan.number
    return replace(plan, state="held", held_by=stored.held_by) if held and stored is not None else plan


def _decided(stored: Plan, failing: Failing) -> bool:
    """Whether people have decided about the failure that stands: then that holds until another one is told."""
    if stored.state == "closed":
        return stored.why not in _BY_FACTS
    return stored.manual and stored.state in ("scheduled", "held") and stored.failures == failing.failures


@dataclass(frozen=True, slots=True)
class Due:
    """A retry whose time has come, with what was read about it in the transaction that is to record the attempt."""

    payment_id: str
    plan: Plan
    made: tuple[Made, ...]
    unpaid: bool
    hold: str | None
    """The kind of a hold that is in force for the member."""
    paused: str | None
    """Why no call may be made now, in words."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Make the attempt, under this key; `look_up`: it was begun before, so look first what became of it.

    `send`: whether the call may be made where it was not.
    """

    number: int
    key: str
    manual: bool
    look_up: bool = False
    send: bool = True


@dataclass(frozen=True, slots=True)
class Hold:
    """A pause, or not knowing, holds the retry: it keeps its key and its place."""

    words: str


@dataclass(frozen=True, slots=True)
class HandOver:
    """Automatic collection has ended: a person takes over."""

    why: str


@dataclass(frozen=True, slots=True)
class Needless:
    """There is nothing to collect any more, or nothing planned."""


Decision = Attempt | Hold | HandOver | Needless


def decide(due: Due, *, now: datetime) -> Decision:
    """Decide what a due retry may do, by what holds in this very transaction."""
    begun = unresolved(due.made, due.plan.failures)
    if begun is not None and due.plan.state == "calling":
        if begun.state not in ("calling", "unknown"):
            return Needless()
        free = due.unpaid and due.hold is None and due.paused is None
        remembered = now - begun.recorded_at < KEY_REMEMBERED
        return Attempt(begun.number, begun.key, begun.manual, look_up=True, send=free and remembered)
    if due.plan.state != "scheduled" or not due.unpaid:
        return Needless()
    if due.hold is not None:
        return HandOver("held")
    if due.plan.failures >= FAILURES_MAX:
        return HandOver("exhausted")
    if due.paused is not None:
        return Hold(due.paused)
    return Attempt(due.plan.number, key_of(due.payment_id, due.plan.number), due.plan.manual)


def key_of(payment_id: str, number: int) -> str:
    """The idempotency key of an attempt: known as soon as it is planned, and the same after any hold or crash."""
    return f"backbone-retry-{payment_id}-{number}"


def retried_by_hand(plan: Plan, *, made: Sequence[Made], why: str, now: datetime) -> Plan:
    """The plan once a person has decided that it is to be tried again now."""
    return replace(
        plan, state="scheduled", owner="us", why=why, number=len(made) + 1, manual=True, planned_for=now, held_by=None
    )


def closed(plan: Plan, why: str) -> Plan:
    """The plan once a person has decided that nothing is to be tried any more."""
    return replace(plan, state="closed", owner="nobody", why=why, planned_for=None, held_by=None)


def calling(plan: Plan) -> Plan:
    """The plan while an attempt is out and its outcome has not been told."""
    return replace(plan, state="calling", held_by=None)


def held(plan: Plan, words: str) -> Plan:
    """The plan while something holds it."""
    return replace(plan, state="held", held_by=words)


def released(plan: Plan) -> Plan:
    """The plan once nothing holds it any more: its time and number are what they were."""
    return replace(plan, state="scheduled", held_by=None)


def handed_over(plan: Plan, why: str) -> Plan:
    """The plan once a person has been asked to take over."""
    return replace(plan, state="recovery", owner="nobody", why=why, planned_for=None, held_by=None)
