"""GoCardless payments from the set of facts. All attempts share one id, so their order is that of `created_at`.

The walk below goes through what happened in that order. Success is `confirmed`, or `paid_out` where that is missing;
`failed` after it is a late failure. `late_failure_settled` is the settlement of one: it takes nothing back a second
time, and stands in for the `failed` that it proves where that is missing. Events of one millisecond are taken in the
order of life, unless the payment as fetched afterwards says otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, get_args

from payments.collection.domain import Attempt, AttemptState, Awaiting, Fetch, Movement, PaymentState, PaymentView
from payments.collection.facts import DebitAction, DebitDescribed, DebitTold, Failure
from payments.collection.objects import Key

LIFE: Final[tuple[DebitAction, ...]] = get_args(DebitAction)
_ASK_AGAIN_SECONDS: Final = 10
_SUCCESSES: Final = frozenset({"confirmed", "paid_out"})
_PROVES_NO_DEBT: Final = frozenset(
    {"created", "customer_approval_granted", "customer_approval_denied", "cancelled", "surcharge_fee_debited"}
)


@dataclass(frozen=True, slots=True)
class Debit:
    """A direct debit before anything is known of invoices and members."""

    view: PaymentView
    fetches: tuple[Fetch, ...]


def fold_debits(told: Collection[DebitTold], described: Collection[DebitDescribed]) -> list[Debit]:
    """Return every GoCardless payment that the facts tell of, sorted by key."""
    events: dict[Key, list[DebitTold]] = defaultdict(list)
    shown: dict[Key, list[DebitDescribed]] = defaultdict(list)
    for event in told:
        events[event.debit].append(event)
    for description in described:
        shown[description.debit].append(description)
    return [_debit(key, events[key], shown[key]) for key in sorted({*events, *shown})]


def _debit(key: Key, told: Sequence[DebitTold], described: Sequence[DebitDescribed]) -> Debit:
    known = max(described, key=lambda each: (each.told.at, each.amount_minor, each.told.event_id), default=None)
    events = _in_order(told, known)
    walk = _Walk()
    for event in events:
        walk.take(event)
    amount_minor, currency = (known.amount_minor, known.currency) if known else (None, None)
    undecided = _undecided(told, known)
    awaiting: list[Awaiting] = [] if known else ["awaiting payment"]
    if undecided:
        awaiting.append("awaiting order")
    fetch = "its amount and customer are unknown" if known is None else "two events share one millisecond"
    begun = [event.told.at for event in events if event.action not in _PROVES_NO_DEBT]
    view = PaymentView(
        key=key,
        state=walk.state,
        amount_minor=amount_minor,
        currency=currency,
        created_at=known.created_at if known else events[0].told.at,
        customer=known.customer if known else None,
        attempts=tuple(_attempt(key, each) for each in walk.rounds if each.at and not each.restored),
        movements=tuple(_movement(key, each, known) for each in walk.rounds) if known else (),
        owed_since=begun[0] if begun else None,
        failure=walk.failure if walk.state in ("failed", "charged_back") else None,
        late_failure=walk.state == "failed" and walk.rounds[-1].succeeded_at is not None,
        will_attempt_retry=walk.will_attempt_retry if walk.state == "failed" else None,
        method=next((event.scheme for event in events if event.scheme), None),
        payout=next((event.payout for event in reversed(events) if event.payout), None),
        reference=known.reference if known else None,
        objects=frozenset({key}),
        awaiting=tuple(awaiting),
    )
    # A tie is asked about again while the answer is no younger than the tie: not in a hot loop where clocks disagree.
    after_seconds = 0 if known is None else _ASK_AGAIN_SECONDS
    return Debit(view, (Fetch(key, fetch, after_seconds),) if awaiting else ())


def _in_order(told: Sequence[DebitTold], known: DebitDescribed | None) -> list[DebitTold]:
    """Sort by the provider's time; where success and failure share a millisecond, the later status decides."""
    failed_first = {
        at
        for at in _ties(told)
        if known is not None and known.told.at > at and known.status in ("confirmed", "paid_out")
    }

    def place(event: DebitTold) -> tuple[datetime, bool, int, str]:
        after_failure = event.told.at in failed_first and event.action in _SUCCESSES
        return (event.told.at, after_failure, LIFE.index(event.action), event.told.event_id)

    return sorted(told, key=place)


def _ties(told: Sequence[DebitTold]) -> set[datetime]:
    """Return the milliseconds in which the payment both succeeded and failed."""
    succeeded = {event.told.at for event in told if event.action in _SUCCESSES}
    return succeeded & {event.told.at for event in told if event.action == "failed"}


def _undecided(told: Sequence[DebitTold], known: DebitDescribed | None) -> bool:
    """Whether a tie is open: neither a later description nor a settlement, which proves lateness, decides it."""
    settled = any(event.action == "late_failure_settled" for event in told)
    return not settled and any(known is None or known.told.at <= at for at in _ties(told))


@dataclass(frozen=True, slots=True)
class _Round:
    """One attempt of the payment. `restored`: none of its own, but an earlier one whose chargeback was cancelled."""

    number: int
    at: datetime | None = None
    state: AttemptState = "pending"
    pending_at: datetime | None = None
    ended_at: datetime | None = None
    succeeded_at: datetime | None = None
    reversed_at: datetime | None = None
    charged_back: bool = False
    restored: bool = False
    failure: Failure | None = None

    @property
    def over(self) -> bool:
        return self.state in ("failed", "reversed", "charged_back")


class _Walk:
    """Goes through what happened, in order, and keeps the rounds."""

    def __init__(self) -> None:
        self.rounds: list[_Round] = [_Round(1)]
        self.state: PaymentState = "created"
        self.failure: Failure | None = None
        self.will_attempt_retry: bool | None = None
        self._late_failures = 0
        self._settlements = 0
        self._chargebacks = 0
        self._chargeback_settlements = 0

    def take(self, event: DebitTold) -> None:
        at = event.told.at
        match event.action:
            case "created" | "customer_approval_granted" | "sds_settlement_delayed" | "surcharge_fee_debited":
                pass
            case "cancelled" | "customer_approval_denied":
                self._cancelled(at, event)
            case "resubmission_requested":
                self._resubmitted(at)
            case "submitted":
                self._submitted(at)
            case "confirmed" | "paid_out":
                self._succeeded(at, "paid_out" if event.action == "paid_out" else "succeeded")
            case "failed":
                self._failed(at, event)
            case "late_failure_settled":
                self._settled(at, event)
            case "charged_back":
                self._charged_back(at, event)
            case "chargeback_settled":
                self._chargeback_settled(at, event)
            case "chargeback_cancelled":
                self._chargeback_cancelled(at)

    def _current(self) -> _Round:
        """Return the round that goes on; after one that is over a new one has begun."""
        if self.rounds[-1].over:
            self.rounds.append(_Round(self.rounds[-1].number + 1))
        return self.rounds[-1]

    def _change(self, **changes: object) -> None:
        self.rounds[-1] = replace(self.rounds[-1], **changes)  # type: ignore[arg-type]

    def _submitted(self, at: datetime) -> None:
        current = self._current()
        if current.pending_at is None and current.succeeded_at is None:
            self._change(pending_at=at, at=at, state="submitted")
            self.state = "submitted"

    def _cancelled(self, at: datetime, event: DebitTold) -> None:
        """End what has not succeeded; money that came in is taken back by what says so, never by this."""
        last = self.rounds[-1]
        if last.succeeded_at is not None and not last.over:
            return
        self.failure = _failure(event) if event.action == "customer_approval_denied" else None
        self.state = "cancelled"
        if not last.over and last.pending_at is not None:
            self._change(ended_at=at, state="failed")

    def _resubmitted(self, at: datetime) -> None:
        """Begin a new attempt: the one before is over, whether or not its failure has been told yet."""
        last = self.rounds[-1]
        if last.succeeded_at is not None and not last.over:
            self._late_failures += 1
            self._change(reversed_at=at, state="reversed")
        elif last.pending_at is not None and not last.over:
            self._change(ended_at=at, state="failed")
        self.state, self.will_attempt_retry = "processing", None

    def _succeeded(self, at: datetime, state: PaymentState) -> None:
        if self._paid_out_again(state):
            return
        current = self._current()
        if current.succeeded_at is None:
            ended = at if current.pending_at else None
            self._change(succeeded_at=at, ended_at=ended, at=current.at or at, state="succeeded")
        if self.state != "paid_out":
            self.state = state

    def _paid_out_again(self, state: PaymentState) -> bool:
        """Whether a pay-out only settles a round that has failed late since: it is no new attempt."""
        last = self.rounds[-1]
        return state == "paid_out" and last.over and last.succeeded_at is not None

    def _failed(self, at: datetime, event: DebitTold) -> None:
        self.failure = _failure(event) or self.failure
        self.will_attempt_retry = event.will_attempt_retry
        self.state = "failed"
        last = self.rounds[-1]
        if last.over:
            return
        if last.succeeded_at is not None:
            self._late_failures += 1
            self._change(reversed_at=at, state="reversed", failure=self.failure)
        else:
            ended = at if last.pending_at else None
            self._change(ended_at=ended, at=last.at or at, state="failed", failure=self.failure)

    def _settled(self, at: datetime, event: DebitTold) -> None:
        """Count a settlement; more of them than late failures means that a failure is still to be told."""
        self._settlements += 1
        last = self.rounds[-1]
        if self._settlements > self._late_failures and last.succeeded_at is not None and not last.over:
            self.failure = _failure(event)
            self.will_attempt_retry = None
            self.state = "failed"
            self._late_failures += 1
            self._change(reversed_at=at, state="reversed", failure=self.failure)

    def _charged_back(self, at: datetime, event: DebitTold) -> None:
        self.failure = _failure(event) or self.failure
        self.state = "charged_back"
        self._chargebacks += 1
        last = self.rounds[-1]
        if last.over:
            return
        if last.succeeded_at is not None:
            self._change(reversed_at=at, charged_back=True, state="charged_back", failure=self.failure)
        else:
            ended = at if last.pending_at else None
            self._change(ended_at=ended, at=last.at or at, state="charged_back", failure=self.failure)

    def _chargeback_settled(self, at: datetime, event: DebitTold) -> None:
        """Count a settlement; more of them than chargebacks means that a chargeback is still to be told."""
        self._chargeback_settlements += 1
        last = self.rounds[-1]
        if self._chargeback_settlements > self._chargebacks and last.succeeded_at is not None and not last.over:
            self._charged_back(at, event)

    def _chargeback_cancelled(self, at: datetime) -> None:
        """Bring back what a chargeback took: it counts as received again from now on."""
        last = self.rounds[-1]
        if last.state == "charged_back" and last.succeeded_at is not None:
            self.rounds.append(_Round(last.number + 1, at, "succeeded", succeeded_at=at, restored=True))
            self.state, self.failure = "succeeded", None


def _failure(event: DebitTold) -> Failure | None:
    if not (event.cause or event.description):
        return None
    return Failure(event.cause, event.reason_code, event.description)


def _attempt(key: Key, walked: _Round) -> Attempt:
    assert walked.at is not None  # noqa: S101 - rounds without a time are left out
    return Attempt(f"{key.id}:{walked.number}", walked.state, walked.at, walked.failure)


def _movement(key: Key, walked: _Round, known: DebitDescribed) -> Movement:
    return Movement(
        subject=key,
        number=walked.number,
        amount_minor=known.amount_minor,
        currency=known.currency,
        pending_at=walked.pending_at,
        pending_ended_at=walked.ended_at,
        succeeded_at=walked.succeeded_at,
        reversed_at=walked.reversed_at,
        charged_back=walked.charged_back,
    )
